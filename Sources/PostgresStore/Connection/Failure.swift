internal import CPostgres
internal import Registry

/// What PostgreSQL or libpq said went wrong, taken at once, or what kept a statement from them. Safe to log: it holds no
/// parameter's value.
struct PostgresFailure: Error, CustomStringConvertible {
  /// Five characters (PostgreSQL's manual, appendix A). Empty where libpq itself failed.
  let sqlState: String
  /// The constraint that was violated, if one was.
  let constraint: String
  let message: String
  /// Whether it ended the session already.
  let isFatal: Bool
  /// The queue of ours that was full, if that was it: then nothing was sent.
  private let fullQueue: String?

  init(fullQueue: String) {
    self.init(message: "\(fullQueue): full", fullQueue: fullQueue)
  }

  init(message: String, fullQueue: String? = nil) {
    self.fullQueue = fullQueue
    isFatal = false
    sqlState = ""
    constraint = ""
    self.message = message
  }

  /// The server refused a statement.
  init(result: OpaquePointer) {
    fullQueue = nil
    sqlState = Self.field(UInt8(ascii: "C"), of: result)
    constraint = Self.field(UInt8(ascii: "n"), of: result)
    // Not translated, unlike the severity that is shown.
    isFatal = ["FATAL", "PANIC"].contains(Self.field(UInt8(ascii: "V"), of: result))
    let primary = Self.field(UInt8(ascii: "M"), of: result)
    // Class 22 is about values, and quotes them. A failure of libpq's own has no fields.
    message =
      sqlState.hasPrefix("22") ? "data exception" : primary.isEmpty ? "connection lost" : primary
  }

  /// The connection could not be made, or broke.
  init(lost connection: OpaquePointer) {
    let text = PQerrorMessage(connection).map { String(cString: $0) } ?? ""
    let lines = text.split(separator: "\n").map { $0.drop(while: \.isWhitespace) }
    self.init(message: lines.isEmpty ? "connection lost" : lines.joined(separator: "; "))
  }

  /// `code` is one of the PG_DIAG_ characters of libpq-fe.h.
  private static func field(_ code: UInt8, of result: OpaquePointer) -> String {
    PQresultErrorField(result, Int32(code)).map { String(cString: $0) } ?? ""
  }

  var description: String {
    var text = sqlState.isEmpty ? message : "\(sqlState) \(message)"
    if !constraint.isEmpty { text += " (\(constraint))" }
    return text
  }

  /// Whether the session is of no more use: it is ending, the server has become read-only (a failover), or our
  /// prepared statements are gone.
  var endsSession: Bool {
    isFatal || sqlState.hasPrefix("08") || ["57P01", "57P02", "57P03", "25006", "26000"].contains(sqlState)
  }

  /// Whether one row of several may be the cause: its value, or a lock that another transaction has and that led to a
  /// deadlock or to the statement's time-out.
  var mayBeOfOneRow: Bool {
    ["22", "23", "40"].contains(sqlState.prefix(2)) || sqlState == "57014"
  }

  /// What the domain is told.
  var registryError: RegistryError {
    if let fullQueue { return .overloaded(queue: fullQueue) }
    return switch (sqlState, constraint) {
    case ("23505", "devices_name_unique"): .deviceNameTaken
    case ("23505", "clients_pkey"): .clientIDTaken
    case ("23505", "clients_email_unique"): .clientEmailTaken
    case ("23503", "devices_client_fkey"), ("23503", "signals_client_fkey"): .clientNotFound
    // Empty: the connection. 57014: statement_timeout. 55P03: lock_timeout. 53: out of memory, disk or connections. 40: try again.
    case ("", _), ("57014", _), ("55P03", _): .unavailable(cause: description)
    case _ where endsSession || sqlState.hasPrefix("53") || sqlState.hasPrefix("40"):
      .unavailable(cause: description)
    default: .fault(cause: description)
    }
  }
}
