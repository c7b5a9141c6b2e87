/// The text of a UUID of any version (RFC 9562, section 4): `01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a`. It is written in
/// lower case and read in either.
///
/// The functions are inlinable because every signed request runs them.
public enum UUIDText {
  /// Characters of the text.
  @inlinable public static var length: Int { 36 }

  /// Reads the text, big endian; nil for any other spelling.
  @inlinable public static func read(_ text: some Sequence<UInt8>) -> (high: UInt64, low: UInt64)? {
    var words: (high: UInt64, low: UInt64) = (0, 0)
    var index = 0
    for byte in text {
      guard index < length else { return nil }
      if index == 8 || index == 13 || index == 18 || index == 23 {
        guard byte == UInt8(ascii: "-") else { return nil }
      } else {
        guard let nibble = Hex.value(byte) else { return nil }
        // 16 digits and two hyphens make the first word.
        if index < 18 {
          words.high = words.high << 4 | UInt64(nibble)
        } else {
          words.low = words.low << 4 | UInt64(nibble)
        }
      }
      index += 1
    }
    return index == length ? words : nil
  }

  /// Writes `length` bytes.
  @inlinable public static func write(
    high: UInt64, low: UInt64, to text: UnsafeMutableBufferPointer<UInt8>
  ) {
    var index = 0
    for nibble in 0..<32 {
      if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 {
        text[index] = UInt8(ascii: "-")
        index += 1
      }
      let word = nibble < 16 ? high : low
      text[index] = Hex.digit(UInt8(truncatingIfNeeded: word >> UInt64(60 - nibble % 16 * 4)) & 0xF)
      index += 1
    }
  }
}
