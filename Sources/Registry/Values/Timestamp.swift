internal import Encoding

/// A time in milliseconds since 1970-01-01T00:00:00Z, the precision that the registry stores and returns.
public struct Timestamp: Hashable, Comparable, Sendable {
  /// Milliseconds since the Unix epoch; leap seconds are not counted.
  public let millisecondsSince1970: Int64

  public init(millisecondsSince1970: Int64) {
    self.millisecondsSince1970 = millisecondsSince1970
  }

  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.millisecondsSince1970 < right.millisecondsSince1970
  }

  /// The time that many milliseconds later.
  public static func + (time: Timestamp, milliseconds: Int64) -> Timestamp {
    Timestamp(millisecondsSince1970: time.millisecondsSince1970 + milliseconds)
  }

  /// The milliseconds from the right time to the left one.
  public static func - (left: Timestamp, right: Timestamp) -> Int64 {
    left.millisecondsSince1970 - right.millisecondsSince1970
  }
}

extension Timestamp {
  /// Times that the registry stores: 1970-01-01T00:00:00.000Z to 9999-12-31T23:59:59.999Z.
  static let storable: ClosedRange<Int64> = 0...253_402_300_799_999

  /// Reads a time with any offset (RFC 3339); nil for another text, and for a time that cannot be stored.
  public init?(_ text: String) {
    guard let milliseconds = RFC3339.read(text), Self.storable.contains(milliseconds) else { return nil }
    self.init(millisecondsSince1970: milliseconds)
  }
}

extension Timestamp: CustomStringConvertible {
  /// RFC 3339 in UTC with milliseconds and `Z`: `2026-11-23T20:28:29.123Z`.
  public var description: String {
    String(unsafeUninitializedCapacity: Self.textLength) { buffer in
      write(to: buffer)
      return Self.textLength
    }
  }

  /// The number of bytes that `write(to:)` writes.
  public static var textLength: Int { RFC3339.length }

  /// Writes the same text without an allocation. A time outside the years 0000 to 9999 is clamped.
  public func write(to buffer: UnsafeMutableBufferPointer<UInt8>) {
    RFC3339.write(millisecondsSince1970: millisecondsSince1970, to: buffer)
  }
}
