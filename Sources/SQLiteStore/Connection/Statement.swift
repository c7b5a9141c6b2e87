/// A statement as a value, declared next to the operation that runs it: its SQL, and how to read its rows. A
/// connection prepares it at first use, and caches it.
struct SQLiteStatement<Row>: Sendable {
  let text: SQLiteText
  /// Reads the columns of a row from left to right.
  let row: @Sendable (inout SQLiteRow) -> Row

  init(_ sql: String, row: @escaping @Sendable (inout SQLiteRow) -> Row) {
    text = SQLiteText(sql)
    self.row = row
  }

  var sql: String { text.sql }
}

/// The SQL of a statement. A class: connections find what they prepared by its identity, which costs less than to hash the
/// SQL.
final class SQLiteText: Sendable {
  let sql: String

  init(_ sql: String) { self.sql = sql }
}

extension SQLiteStatement<Void> {
  /// A statement without rows to read.
  init(_ sql: String) { self.init(sql) { _ in } }
}

/// Columns of a SELECT, INSERT or RETURNING, and how to read them in the same order.
struct SQLiteColumns<Value>: Sendable, CustomStringConvertible {
  /// The column names, separated by commas.
  let description: String
  let read: @Sendable (inout SQLiteRow) -> Value

  init(_ names: String, read: @escaping @Sendable (inout SQLiteRow) -> Value) {
    description = names
    self.read = read
  }

  /// The columns' parameters: `?6, ?7` and so on.
  func parameters(from first: Int) -> String {
    let count = description.split(separator: ",").count
    return (first..<first + count).map { "?\($0)" }.joined(separator: ", ")
  }
}
