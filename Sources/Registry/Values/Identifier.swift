public import Encoding

/// A device's id.
public typealias DeviceID = Identifier<Device>

/// A signal's id.
public typealias SignalID = Identifier<Signal>

/// The id of an entity: a UUID (RFC 9562). `Entity` makes each kind of id a type.
///
/// The registry makes version 7, so that ids sort by age and are adjacent in an index; it reads all versions.
///
/// Functions for each request are inlinable: without inlining they look up the generic type at run time.
public struct Identifier<Entity>: Hashable, Sendable {
  /// The UUID's first eight octets, big endian.
  public let high: UInt64
  /// The UUID's last eight octets, big endian.
  public let low: UInt64

  @inlinable public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// A new UUID version 7 (RFC 9562, section 5.7): 48 bits of time, 74 of randomness.
  public init(at time: Timestamp, random: some RandomSource) {
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) { random.fill($0) }
    high = UInt64(truncatingIfNeeded: time.millisecondsSince1970) << 16 | 0x7000 | words.0 & 0x0FFF
    low = words.1 & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
  }

  /// When an id of version 7 was made, to the millisecond.
  var time: Timestamp { Timestamp(millisecondsSince1970: Int64(high >> 16)) }

  /// Reads the form of 36 characters, in either case; nil for any other.
  @inlinable public init?(_ text: String) { self.init(utf8: text.utf8) }

  /// Reads the same form from its bytes.
  @inlinable public init?(utf8 bytes: some Sequence<UInt8>) {
    guard let words = UUIDText.read(bytes) else { return nil }
    self.init(high: words.high, low: words.low)
  }
}

/// By bytes, as the stores sort ids.
extension Identifier: Comparable {
  @inlinable public static func < (left: Identifier, right: Identifier) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

extension Identifier: CustomStringConvertible {
  /// The number of bytes that `write(to:)` writes.
  @inlinable public static var textLength: Int { UUIDText.length }

  /// The lower-case form: `01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a`.
  @inlinable public var description: String {
    String(unsafeUninitializedCapacity: Self.textLength) { buffer in
      write(to: buffer)
      return Self.textLength
    }
  }

  /// Writes the lower-case form as `textLength` ASCII bytes, without an allocation.
  @inlinable public func write(to buffer: UnsafeMutableBufferPointer<UInt8>) {
    UUIDText.write(high: high, low: low, to: buffer)
  }
}
