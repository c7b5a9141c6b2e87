internal import CSQLite
internal import Registry

/// A parameter.
enum SQLiteValue: Sendable {
  case null
  case text(String)
  /// Text, as its UTF-8 bytes.
  case utf8([UInt8])
  case blob([UInt8])
  case integer(Int64)

  static func id(_ id: Identifier<some Any>) -> SQLiteValue { .text(id.description) }
  static func time(_ time: Timestamp) -> SQLiteValue { .integer(time.millisecondsSince1970) }
  static func time(_ time: Timestamp?) -> SQLiteValue { time.map { .time($0) } ?? .null }
  static func text(_ text: String?) -> SQLiteValue { text.map { .text($0) } ?? .null }
  static func bool(_ value: Bool) -> SQLiteValue { .integer(value ? 1 : 0) }

  /// SQLITE_TRANSIENT, a macro that Swift cannot read: SQLite copies the bytes before the call returns.
  private nonisolated(unsafe) static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

  /// Sets the parameter with this number, counted from 1, and answers a result code.
  func bind(to statement: OpaquePointer, at number: Int32) -> Int32 {
    switch self {
    case .null: sqlite3_bind_null(statement, number)
    case .integer(let value): sqlite3_bind_int64(statement, number, value)
    case .text(let text): sqlite3_bind_text(statement, number, text, Int32(text.utf8.count), Self.copied)
    case .utf8(let bytes):
      bytes.withUnsafeBytes {
        sqlite3_bind_text(
          statement, number, $0.assumingMemoryBound(to: CChar.self).baseAddress, Int32($0.count), Self.copied)
      }
    case .blob(let bytes): sqlite3_bind_blob(statement, number, bytes, Int32(bytes.count), Self.copied)
    }
  }
}

/// The row that a statement stands on. Valid until the statement moves.
struct SQLiteRow {
  let statement: OpaquePointer

  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

  func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

  func bool(_ column: Int32) -> Bool { integer(column) != 0 }

  func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

  /// A text's UTF-8 bytes.
  func utf8(_ column: Int32) -> [UInt8] { Array(bytes(column)) }

  /// An id, which the database's constraints hold to its form.
  func id<Entity>(_ column: Int32) -> Identifier<Entity> { Identifier(utf8: bytes(column))! }

  /// A text's bytes, where they lie.
  private func bytes(_ column: Int32) -> UnsafeBufferPointer<UInt8> {
    // The pointer before the length (sqlite3_column_bytes, in SQLite's documentation).
    let start = sqlite3_column_text(statement, column)
    return UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
  }

  func blob(_ column: Int32) -> [UInt8] {
    let start = sqlite3_column_blob(statement, column)
    return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
  }

  func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }

  func optionalInteger(_ column: Int32) -> Int64? { isNull(column) ? nil : integer(column) }

  func time(_ column: Int32) -> Timestamp { Timestamp(millisecondsSince1970: integer(column)) }

  func optionalTime(_ column: Int32) -> Timestamp? { isNull(column) ? nil : time(column) }
}
