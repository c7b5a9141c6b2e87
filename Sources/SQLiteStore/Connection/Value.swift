internal import CSQLite
internal import Registry

/// A parameter of a statement.
enum SQLiteValue: Sendable {
  case null
  case text(String)
  /// Text given as UTF-8 bytes.
  case utf8([UInt8])
  case blob([UInt8])
  case integer(Int64)

  static func id(_ id: Identifier<some Any>) -> SQLiteValue { .text(id.description) }
  static func time(_ time: Timestamp) -> SQLiteValue { .integer(time.millisecondsSince1970) }
  static func time(_ time: Timestamp?) -> SQLiteValue { time.map { .time($0) } ?? .null }
  static func text(_ text: String?) -> SQLiteValue { text.map { .text($0) } ?? .null }
  static func blob(_ bytes: [UInt8]?) -> SQLiteValue { bytes.map { .blob($0) } ?? .null }
  static func bool(_ value: Bool) -> SQLiteValue { .integer(value ? 1 : 0) }
  static func bool(orNull value: Bool?) -> SQLiteValue { value.map { .bool($0) } ?? .null }
  static func integer(_ value: Int64?) -> SQLiteValue { value.map { .integer($0) } ?? .null }

  /// SQLITE_TRANSIENT, a macro that Swift does not import: SQLite copies the bytes before the call returns.
  private nonisolated(unsafe) static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

  /// Binds the value to a parameter, numbered from 1, and returns a result code.
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

/// Reads the columns of the current row from left to right. Valid until the next step of the statement.
struct SQLiteRow {
  private let statement: OpaquePointer
  private var column: Int32 = 0

  init(of statement: OpaquePointer) { self.statement = statement }

  mutating func integer() -> Int64 { sqlite3_column_int64(statement, next()) }

  mutating func optionalInteger() -> Int64? { isNull ? skip() : integer() }

  mutating func bool() -> Bool { integer() != 0 }

  mutating func text() -> String { String(decoding: bytesOfText(), as: UTF8.self) }

  mutating func optionalText() -> String? { isNull ? skip() : text() }

  mutating func utf8() -> [UInt8] { Array(bytesOfText()) }

  /// Empty for a null.
  mutating func blob() -> [UInt8] {
    let column = next()
    let start = sqlite3_column_blob(statement, column)
    return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
  }

  mutating func time() -> Timestamp { Timestamp(millisecondsSince1970: integer()) }

  mutating func optionalTime() -> Timestamp? { isNull ? skip() : time() }

  /// Database constraints guarantee the form of ids.
  mutating func id<Entity>() -> Identifier<Entity> { Identifier(utf8: bytesOfText())! }

  mutating func optionalID<Entity>() -> Identifier<Entity>? { isNull ? skip() : id() }

  mutating func clientID() -> ClientID { ClientID(stored: text()) }

  private var isNull: Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

  private mutating func skip<Value>() -> Value? {
    _ = next()
    return nil
  }

  private mutating func next() -> Int32 {
    precondition(column < sqlite3_column_count(statement))
    defer { column += 1 }
    return column
  }

  /// The text's bytes in SQLite's memory.
  private mutating func bytesOfText() -> UnsafeBufferPointer<UInt8> {
    let column = next()
    // Fetch the pointer before the length (SQLite's documentation of sqlite3_column_bytes).
    let start = sqlite3_column_text(statement, column)
    return UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
  }
}
