/// A statement as a value, declared beside the operation that runs it: its SQL, and how its rows are read.
///
/// An operation also lists its statements in its file's `statements`; `PostgresStore.run` refuses others in debug builds.
struct PostgresStatement<Row>: Sendable {
  let prepared: PreparedStatement
  /// Reads a row's columns in their order.
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
  /// A statement whose rows are not read.
  init(_ kind: PreparedStatement.Kind, _ sql: String, file: String = #fileID, line: Int = #line) {
    self.init(kind, sql, file: file, line: line) { _ in }
  }
}

/// What a connection knows of a statement. Each connection of a lane prepares all statements of its kind before it is
/// ready: a connection to a database with another schema never is, and no request waits for a statement to be prepared.
final class PreparedStatement: Sendable {
  enum Kind { case read, write }

  /// Where it is declared, such as `PostgresStore/Devices.swift:42`. The server's logs and pg_prepared_statements show it.
  let name: String
  /// A write waits for the disk.
  let kind: Kind
  let sql: String

  fileprivate init(name: String, kind: Kind, sql: String) {
    self.name = name
    self.kind = kind
    self.sql = sql
  }
}

/// Columns of a SELECT, INSERT or RETURNING, and what reads them in the same order.
struct PostgresColumns<Value>: Sendable, CustomStringConvertible {
  /// Their names, with commas between them.
  let description: String
  let read: @Sendable (inout PostgresRow) -> Value

  init(_ names: String, read: @escaping @Sendable (inout PostgresRow) -> Value) {
    description = names
    self.read = read
  }

  /// A parameter for each of them: `$6, $7` and so on.
  func parameters(from first: Int) -> String {
    let count = description.split(separator: ",").count
    return (first..<first + count).map { "$\($0)" }.joined(separator: ", ")
  }
}
