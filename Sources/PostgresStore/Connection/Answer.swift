internal import CPostgres
internal import Registry

/// The one owner of a `PGresult`: the rows of one statement, in binary format. Used on one loop.
final class PostgresAnswer {
  private let result: OpaquePointer

  /// Takes the result over.
  init(_ result: OpaquePointer) { self.result = result }

  deinit { PQclear(result) }

  var rowCount: Int { Int(PQntuples(result)) }

  /// Rows that INSERT, UPDATE or DELETE changed.
  var changedRowCount: Int { Int(String(cString: PQcmdTuples(result))) ?? 0 }

  func row(_ index: Int) -> Row { Row(answer: self, index: Int32(index)) }

  var firstRow: Row? { rowCount > 0 ? row(0) : nil }

  /// All rows, in order.
  func map<Value>(_ body: (Row) -> Value) -> [Value] { (0..<rowCount).map { body(row($0)) } }

  /// One row. Our own statements say which column has which type, so a mismatch is a mistake in this file's
  /// neighbours and stops the program in the first test that meets it.
  struct Row {
    fileprivate let answer: PostgresAnswer
    fileprivate let index: Int32

    private func bytes(_ column: Int) -> UnsafeRawBufferPointer? {
      guard PQgetisnull(answer.result, index, Int32(column)) == 0 else { return nil }
      return UnsafeRawBufferPointer(
        start: PQgetvalue(answer.result, index, Int32(column)),
        count: Int(PQgetlength(answer.result, index, Int32(column))))
    }

    private func integer<Integer: FixedWidthInteger>(_ column: Int, as type: Integer.Type) -> Integer? {
      bytes(column).map { bytes in
        precondition(bytes.count == MemoryLayout<Integer>.size)
        return Integer(bigEndian: bytes.loadUnaligned(as: Integer.self))
      }
    }

    func text(_ column: Int) -> String? { bytes(column).map { String(decoding: $0, as: UTF8.self) } }

    func octets(_ column: Int) -> [UInt8]? { bytes(column).map { Array($0) } }

    func bool(_ column: Int) -> Bool { integer(column, as: UInt8.self) == 1 }

    func int8(_ column: Int) -> Int64? { integer(column, as: Int64.self) }

    func timestamp(_ column: Int) -> Timestamp? {
      int8(column).map { PostgresTime.timestamp(microseconds: $0) }
    }

    func uuid<Entity>(_ column: Int) -> Identifier<Entity> {
      let bytes = bytes(column)!
      precondition(bytes.count == 16)
      return Identifier(
        high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }
}
