internal import EventLoop

/// A statement as a value, declared next to the operation that runs it: its SQL, and how to read its rows.
///
/// Each file lists its statements in `...Statements`; debug builds refuse to run any other.
struct PostgresStatement<Row>: Sendable {
  let prepared: PreparedStatement
  /// Reads the columns of a row from left to right.
  let row: @Sendable (inout PostgresRow) -> Row

  init(
    _ kind: PreparedStatement.Kind, _ sql: String, file: String = #fileID, line: Int = #line,
    row: @escaping @Sendable (inout PostgresRow) -> Row
  ) {
    prepared = PreparedStatement(name: "\(file):\(line)", kind: kind, sql: sql)
    self.row = row
  }
}

extension PostgresStatement<Void> {
  /// A statement without rows to read.
  init(_ kind: PreparedStatement.Kind, _ sql: String, file: String = #fileID, line: Int = #line) {
    self.init(kind, sql, file: file, line: line) { _ in }
  }
}

/// The part of a statement that a connection needs. Each connection of a lane prepares all statements of its
/// kind before it is ready. So a connection to a database with another schema never becomes ready, and no
/// request waits for a statement to be prepared.
final class PreparedStatement: Sendable {
  /// How a statement is sent.
  struct Kind: Sendable {
    let isWrite: Bool
    var urgency: Turn.Urgency = .ordinary
    /// It waits for the lock of its client's row. A store runs one for each client at a time: others would only wait
    /// on more connections.
    var locksClient = false
    /// It changes few rows and waits for no lock that another statement holds for long. So several may be on their way
    /// on one connection.
    var isShort = false
    /// It continues what the client has begun, and is sent before the client's other statements.
    var isNextStep = false
    /// It is part of a transaction of several statements, which has a connection for itself.
    var isInTransaction = false
    /// It begins such a transaction.
    var beginsTransaction = false

    static let read = Kind(isWrite: false, isShort: true)
    static let write = Kind(isWrite: true, isShort: true)
    /// It may wait for the lock of a row that others of its kind lock too.
    static let waitingWrite = Kind(isWrite: true)
    static let lockingWrite = Kind(isWrite: true, locksClient: true)
    static let nextStep = Kind(isWrite: true, locksClient: true, isNextStep: true)
    static let urgentWrite = Kind(isWrite: true, urgency: .urgent)
    static let begin = Kind(isWrite: true, isInTransaction: true, beginsTransaction: true)
    static let urgentBegin = Kind(
      isWrite: true, urgency: .urgent, isInTransaction: true, beginsTransaction: true)
    static let inTransaction = Kind(isWrite: true, isShort: true, isInTransaction: true)
    static let backgroundWrite = Kind(isWrite: true, urgency: .background)
  }

  /// The place of its declaration, such as `PostgresStore/Devices.swift:42`, for server logs and
  /// pg_prepared_statements.
  let name: String
  let kind: Kind
  let sql: String
  /// Whether the statement records events, of which readers are then notified.
  let recordsEvents: Bool

  fileprivate init(name: String, kind: Kind, sql: String) {
    self.name = name
    self.kind = kind
    self.sql = sql
    recordsEvents = sql.contains("INSERT INTO events")
  }
}

/// Columns of a SELECT, INSERT or RETURNING, and how to read them in the same order.
struct PostgresColumns<Value>: Sendable, CustomStringConvertible {
  /// The column names, separated by commas.
  let description: String
  let read: @Sendable (inout PostgresRow) -> Value

  init(_ names: String, read: @escaping @Sendable (inout PostgresRow) -> Value) {
    description = names
    self.read = read
  }

  /// The columns' parameters: `$6, $7` and so on.
  func parameters(from first: Int) -> String {
    let count = description.split(separator: ",").count
    return (first..<first + count).map { "$\($0)" }.joined(separator: ", ")
  }
}
