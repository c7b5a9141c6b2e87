internal import CPostgres
internal import EventLoop
internal import Registry

/// An error of PostgreSQL or libpq, or the reason why a statement was not sent. Safe to log: it contains no
/// parameter values.
struct PostgresFailure: Error, CustomStringConvertible {
  /// Five characters (PostgreSQL's manual, appendix A). Empty for an error of libpq.
  let sqlState: String
  /// The violated constraint, or empty.
  let constraint: String
  let message: String
  /// Whether the error ended the session.
  let isFatal: Bool
  /// Why the statement was not sent, if the store's queue refused it.
  private let refusal: RegistryError?

  init(refusal: RegistryError) {
    self.init(message: "\(refusal)", refusal: refusal)
  }

  init(message: String, refusal: RegistryError? = nil, sqlState: String = "") {
    self.refusal = refusal
    isFatal = false
    self.sqlState = sqlState
    constraint = ""
    self.message = message
  }

  init(result: OpaquePointer) {
    refusal = nil
    sqlState = Self.field(UInt8(ascii: "C"), of: result)
    constraint = Self.field(UInt8(ascii: "n"), of: result)
    // PG_DIAG_SEVERITY_NONLOCALIZED: the server translates the other severity field.
    isFatal = ["FATAL", "PANIC"].contains(Self.field(UInt8(ascii: "V"), of: result))
    let primary = Self.field(UInt8(ascii: "M"), of: result)
    // Messages of class 22 quote values. An error of libpq has no fields.
    message =
      sqlState.hasPrefix("22") ? "data exception" : primary.isEmpty ? "connection lost" : primary
  }

  /// - Parameter sqlState: of the last announcement of the server, or empty.
  init(lost connection: OpaquePointer, sqlState: String = "") {
    let text = PQerrorMessage(connection).map { String(cString: $0) } ?? ""
    let lines = text.split(separator: "\n").map { $0.drop(while: \.isWhitespace) }
    self.init(
      message: lines.isEmpty ? "connection lost" : lines.joined(separator: "; "), sqlState: sqlState)
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

  /// Whether an administrator stops the server, or ends the session.
  var isShutdown: Bool { sqlState == "57P01" }

  /// Whether the session can no longer be used: it is ending, the server has become read-only (a failover), or
  /// the prepared statements are gone.
  var endsSession: Bool {
    isFatal || sqlState.hasPrefix("08") || ["57P01", "57P02", "57P03", "25006", "26000"].contains(sqlState)
  }

  /// Whether a single row of the batch may be the cause: its value, or a lock of another transaction that led
  /// to a deadlock or to the statement timeout.
  var mayBeOfOneRow: Bool {
    ["22", "23", "40"].contains(sqlState.prefix(2)) || sqlState == "57014"
  }

  var registryError: RegistryError {
    if let refusal { return refusal }
    return switch (sqlState, constraint) {
    case ("23505", "devices_name_unique"): .deviceNameTaken
    case ("23505", "clients_pkey"): .clientIDTaken
    case ("23505", "clients_email_unique"): .clientEmailTaken
    case ("23505", "idempotency_keys_pkey"): .idempotencyKeyUsed
    case ("23503", "devices_client_fkey"), ("23503", "signals_client_fkey"), ("23503", "webhooks_client_fkey"),
      ("23503", "enrolments_client_fkey"), ("23503", "groups_client_fkey"),
      ("23503", "telegram_links_client_fkey"):
      .clientNotFound
    case ("23514", "enrolments_maximum"): .tooManyEnrolments(limit: Enrolment.maximumPerClient)
    case ("23503", "device_groups_group_fkey"): .groupNotFound
    case ("23514", "devices_labels_few"): Labels.tooMany
    case ("23514", "devices_groups_few"): .tooManyGroupsOfDevice(limit: GroupName.maximumPerDevice)
    case ("23514", "groups_maximum"): .tooManyGroups(limit: Group.maximumPerClient)
    case ("23514", "webhooks_maximum"): .tooManyWebhooks(limit: Webhook.maximumPerClient)
    case ("23514", "telegram_links_maximum"): .tooManyTelegramLinks(limit: TelegramLink.maximumPerClient)
    // Empty: connection. 57014: statement_timeout. 55P03: lock_timeout. 53: out of memory, disk or connections.
    // 40: retry.
    case ("", _), ("57014", _), ("55P03", _): .unavailable(cause: description)
    case _ where endsSession || sqlState.hasPrefix("53") || sqlState.hasPrefix("40"):
      .unavailable(cause: description)
    default: .fault(cause: description)
    }
  }
}

extension QueueFull {
  func registryError(queue: String, maximumPerClient: Int) -> RegistryError {
    switch self {
    case .forAll: .overloaded(queue: queue)
    case .forParty: .tooManyWaiting(limit: maximumPerClient)
    }
  }
}
