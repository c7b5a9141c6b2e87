internal import Registry

/// A parameter in PostgreSQL's binary format.
enum PostgresValue {
  case null
  case text(String)
  case uuid(high: UInt64, low: UInt64)
  case bytes([UInt8])
  case bool(Bool)
  case int8(Int64)
  case timestamp(Timestamp)
  /// `-infinity`, before every other time.
  case earliest
  /// One-dimensional; each element has this type or is null.
  case array(of: ElementType, [PostgresValue])

  /// The type's OID in pg_type.
  enum ElementType: Int32 {
    case bool = 16
    case bytes = 17
    case int8 = 20
    case text = 25
    case timestamp = 1184
    case uuid = 2950
  }

  static func uuid(_ id: Identifier<some Any>) -> PostgresValue { .uuid(high: id.high, low: id.low) }
  static func bool(orNull value: Bool?) -> PostgresValue { value.map { .bool($0) } ?? .null }
  static func text(orNull text: String?) -> PostgresValue { text.map { .text($0) } ?? .null }
  /// A jsonb, whose binary form begins with its version.
  static func jsonb(_ json: String) -> PostgresValue { .bytes([1] + json.utf8) }
  static func bytes(orNull bytes: [UInt8]?) -> PostgresValue { bytes.map { .bytes($0) } ?? .null }
  static func int8(orNull value: Int64?) -> PostgresValue { value.map { .int8($0) } ?? .null }
  static func timestamp(orNull time: Timestamp?) -> PostgresValue { time.map { .timestamp($0) } ?? .null }
  /// An array for each column of rows, for a statement that reads them with unnest.
  static func columns(of types: [ElementType], _ rows: [[PostgresValue]]) -> [PostgresValue] {
    types.enumerated().map { column, type in .array(of: type, rows.map { $0[column] }) }
  }
  static func uuids(_ ids: [Identifier<some Any>]) -> PostgresValue {
    .array(of: .uuid, ids.map { .uuid($0) })
  }

  /// Appends the encoded bytes; returns false for a null, which has none.
  func encode(into buffer: inout [UInt8]) -> Bool {
    switch self {
    case .null: return false
    case .text(let text): buffer.append(contentsOf: text.utf8)
    case .uuid(let high, let low):
      Self.append(high, to: &buffer)
      Self.append(low, to: &buffer)
    case .bytes(let bytes): buffer.append(contentsOf: bytes)
    case .bool(let value): buffer.append(value ? 1 : 0)
    case .int8(let value): Self.append(value, to: &buffer)
    case .timestamp(let time): Self.append(PostgresTime.microseconds(of: time), to: &buffer)
    case .earliest: Self.append(Int64.min, to: &buffer)
    case .array(let type, let elements): Self.append(elements, of: type, to: &buffer)
    }
    return true
  }

  /// The format that `array_recv` in PostgreSQL's arrayfuncs.c reads: the number of dimensions, a flag for
  /// nulls, and the element type; the length and first index of each dimension; the length (-1 for a null) and
  /// bytes of each element.
  private static func append(_ elements: [PostgresValue], of type: ElementType, to buffer: inout [UInt8]) {
    append(Int32(elements.isEmpty ? 0 : 1), to: &buffer)
    append(Int32(elements.contains(where: \.isNull) ? 1 : 0), to: &buffer)
    append(type.rawValue, to: &buffer)
    guard !elements.isEmpty else { return }
    append(Int32(elements.count), to: &buffer)
    append(Int32(1), to: &buffer)
    for element in elements {
      let lengthOffset = buffer.count
      append(Int32(-1), to: &buffer)
      guard element.encode(into: &buffer) else { continue }
      let length = Int32(buffer.count - lengthOffset - MemoryLayout<Int32>.size)
      withUnsafeBytes(of: length.bigEndian) {
        buffer.replaceSubrange(lengthOffset..<lengthOffset + $0.count, with: $0)
      }
    }
  }

  private var isNull: Bool { if case .null = self { true } else { false } }

  private static func append(_ value: some FixedWidthInteger, to buffer: inout [UInt8]) {
    withUnsafeBytes(of: value.bigEndian) { buffer.append(contentsOf: $0) }
  }
}

/// A `timestamptz` on the wire: microseconds since 2000-01-01T00:00:00Z.
enum PostgresTime {
  private static let epochMilliseconds: Int64 = 946_684_800_000

  /// The finite range of `timestamptz`, 4714 BC to AD 294276.
  private static let range: ClosedRange<Int64> = -211_813_488_000_000_000...9_223_371_331_199_999_999

  /// A time outside the range becomes `-infinity` or `infinity`: a cursor may contain any time.
  static func microseconds(of time: Timestamp) -> Int64 {
    let infinity = time.millisecondsSince1970 < 0 ? Int64.min : Int64.max
    let (milliseconds, below) = time.millisecondsSince1970.subtractingReportingOverflow(epochMilliseconds)
    let (microseconds, beyond) = milliseconds.multipliedReportingOverflow(by: 1000)
    return below || beyond || !range.contains(microseconds) ? infinity : microseconds
  }

  static func timestamp(microseconds: Int64) -> Timestamp {
    // Rounded down, before 2000 too.
    let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1000)
    return Timestamp(
      millisecondsSince1970: epochMilliseconds + (remainder < 0 ? quotient - 1 : quotient))
  }
}
