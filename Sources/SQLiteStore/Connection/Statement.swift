/// A statement as a value, declared beside the operation that runs it: its SQL, and how its rows are read. A connection
/// prepares it when it first runs it, and keeps it.
struct SQLiteStatement<Row>: Sendable {
  let sql: String
  /// Reads a row's columns in their order.
  let row: @Sendable (inout SQLiteRow) -> Row

  init(_ sql: String, row: @escaping @Sendable (inout SQLiteRow) -> Row) {
    self.sql = sql
    self.row = row
  }
}

extension SQLiteStatement<Void> {
  /// A statement whose rows are not read.
  init(_ sql: String) { self.init(sql) { _ in } }
}

/// Columns of a SELECT, INSERT or RETURNING, and what reads them in the same order.
struct SQLiteColumns<Value>: Sendable, CustomStringConvertible {
  /// Their names, with commas between them.
  let description: String
  let read: @Sendable (inout SQLiteRow) -> Value

  init(_ names: String, read: @escaping @Sendable (inout SQLiteRow) -> Value) {
    description = names
    self.read = read
  }

  /// A parameter for each of them: `?6, ?7` and so on.
  func parameters(from first: Int) -> String {
    let count = description.split(separator: ",").count
    return (first..<first + count).map { "?\($0)" }.joined(separator: ", ")
  }
}
