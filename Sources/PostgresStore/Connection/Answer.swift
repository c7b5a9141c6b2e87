internal import CPostgres
internal import Registry

/// Owns a `PGresult`: the rows of one statement, in binary format. Used on one loop.
final class PostgresAnswer {
  private let result: OpaquePointer

  /// Takes ownership of the result.
  init(_ result: OpaquePointer) { self.result = result }

  deinit { PQclear(result) }

  /// The number of rows that INSERT, UPDATE or DELETE changed.
  var changedRowCount: Int { Int(String(cString: PQcmdTuples(result))) ?? 0 }

  /// The first column of the first row, in text format.
  var firstText: String? { PQntuples(result) > 0 ? String(cString: PQgetvalue(result, 0, 0)) : nil }

  func rows<Value>(_ read: (inout PostgresRow) -> Value) -> [Value] {
    (0..<PQntuples(result)).map { index in
      var row = PostgresRow(result: result, index: index)
      return read(&row)
    }
  }

  func firstRow<Value>(_ read: (inout PostgresRow) -> Value) -> Value? {
    guard PQntuples(result) > 0 else { return nil }
    var row = PostgresRow(result: result, index: 0)
    return read(&row)
  }
}

/// Reads the columns of one row from left to right. Valid while its answer exists.
///
/// Each statement fixes the types of its columns and which may be null. A mismatch is a programming error, and
/// stops the program in the first test that runs the statement.
struct PostgresRow {
  fileprivate let result: OpaquePointer
  fileprivate let index: Int32
  private var column: Int32 = 0

  fileprivate init(result: OpaquePointer, index: Int32) {
    self.result = result
    self.index = index
  }

  mutating func text() -> String { optionalText()! }

  mutating func optionalText() -> String? { next().map { String(decoding: $0, as: UTF8.self) } }

  /// The text of a jsonb, whose binary form begins with its version.
  mutating func jsonb() -> String { String(decoding: next()!.dropFirst(), as: UTF8.self) }

  mutating func bytes() -> [UInt8] { optionalBytes()! }

  mutating func optionalBytes() -> [UInt8]? { next().map { Array($0) } }

  mutating func bool() -> Bool { fixedWidth(UInt8.self)! == 1 }

  /// An `int8`.
  mutating func integer() -> Int64 { optionalInteger()! }

  mutating func optionalInteger() -> Int64? { fixedWidth(Int64.self) }

  mutating func time() -> Timestamp { optionalTime()! }

  mutating func optionalTime() -> Timestamp? {
    optionalInteger().map { PostgresTime.timestamp(microseconds: $0) }
  }

  /// A `uuid`.
  mutating func id<Entity>() -> Identifier<Entity> { optionalID()! }

  mutating func optionalID<Entity>() -> Identifier<Entity>? {
    next().map { bytes in
      precondition(bytes.count == 16)
      return Identifier(
        high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }

  mutating func clientID() -> ClientID { ClientID(stored: text()) }

  private mutating func fixedWidth<Integer: FixedWidthInteger>(_ type: Integer.Type) -> Integer? {
    next().map { bytes in
      precondition(bytes.count == MemoryLayout<Integer>.size)
      return Integer(bigEndian: bytes.loadUnaligned(as: Integer.self))
    }
  }

  /// The next column's bytes; nil if it is null.
  private mutating func next() -> UnsafeRawBufferPointer? {
    precondition(column < PQnfields(result))
    defer { column += 1 }
    guard PQgetisnull(result, index, column) == 0 else { return nil }
    return UnsafeRawBufferPointer(
      start: PQgetvalue(result, index, column), count: Int(PQgetlength(result, index, column)))
  }
}
