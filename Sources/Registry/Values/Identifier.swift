/// A device's id.
public typealias DeviceID = Identifier<Device>

/// A signal's id.
public typealias SignalID = Identifier<Signal>

/// The id of an entity: a UUID (RFC 9562), written in lower case. Of which kind of entity, the compiler knows.
///
/// The registry makes version 7, so that ids sort by age and new rows land beside each other in the
/// database's index; it reads any version.
///
/// What other rooms do with each request is inlinable: they would look the generic type up at run time otherwise.
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

  /// Reads the lower-case form of 36 characters, and no other.
  @inlinable public init?(_ text: String) { self.init(utf8: text.utf8) }

  /// Reads the same form from its bytes.
  @inlinable public init?(utf8 bytes: some Sequence<UInt8>) {
    var words: (high: UInt64, low: UInt64) = (0, 0)
    var index = 0
    for byte in bytes {
      guard index < Self.textLength else { return nil }
      if index == 8 || index == 13 || index == 18 || index == 23 {
        guard byte == UInt8(ascii: "-") else { return nil }
      } else {
        let nibble: UInt8
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = byte - UInt8(ascii: "a") + 10
        default: return nil
        }
        // 16 nibbles and two hyphens make the first word.
        if index < 18 {
          words.high = words.high << 4 | UInt64(nibble)
        } else {
          words.low = words.low << 4 | UInt64(nibble)
        }
      }
      index += 1
    }
    guard index == Self.textLength else { return nil }
    high = words.high
    low = words.low
  }
}

extension Identifier: CustomStringConvertible {
  /// Bytes that `write(to:)` writes.
  @inlinable public static var textLength: Int { 36 }

  /// The lower-case form: `01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a`.
  @inlinable public var description: String {
    String(unsafeUninitializedCapacity: Self.textLength) { buffer in
      write(to: buffer)
      return Self.textLength
    }
  }

  /// Writes the lower-case form as `textLength` ASCII bytes, without an allocation.
  @inlinable public func write(to buffer: UnsafeMutableBufferPointer<UInt8>) {
    var index = 0
    for nibble in 0..<32 {
      if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 {
        buffer[index] = UInt8(ascii: "-")
        index += 1
      }
      let word = nibble < 16 ? high : low
      let value = UInt8(truncatingIfNeeded: word >> UInt64(60 - nibble % 16 * 4)) & 0xF
      buffer[index] = value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
      index += 1
    }
  }
}
