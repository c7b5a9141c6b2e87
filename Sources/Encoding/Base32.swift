/// Base32 (RFC 4648, section 6), without padding. It is written in upper case. The alphabet has no 0, 1, 8 and 9, so that
/// people can type it from a screen.
public enum Base32 {
  /// The number of characters that encode `count` bytes.
  public static func encodedLength(_ count: Int) -> Int { (count * 8 + 4) / 5 }

  /// The character of a number below 32. It is computed, because the cache lines of a table can reveal a secret.
  static func character(_ value: UInt8) -> UInt8 { UInt8(ascii: "A") &+ value &- ((25 &- value) >> 7) &* 41 }

  /// The number of a character in either case; nil for other characters.
  static func value(_ character: UInt8) -> UInt8? {
    let letter = (character | 0x20) &- UInt8(ascii: "a")
    if letter < 26 { return letter }
    let digit = character &- UInt8(ascii: "2")
    return digit < 6 ? digit + 26 : nil
  }

  /// Encodes the bytes into the whole buffer, which has `encodedLength` bytes.
  public static func encode(_ bytes: UnsafeBufferPointer<UInt8>, into text: UnsafeMutableBufferPointer<UInt8>) {
    precondition(text.count == encodedLength(bytes.count))
    var (bits, width, place): (UInt16, UInt16, Int) = (0, 0, 0)
    for byte in bytes {
      bits = bits << 8 | UInt16(byte)
      width += 8
      while width >= 5 {
        width -= 5
        text[place] = character(UInt8(truncatingIfNeeded: bits >> width) & 0x1F)
        place += 1
      }
    }
    if width > 0 { text[place] = character(UInt8(truncatingIfNeeded: bits << (5 - width)) & 0x1F) }
  }

  /// Decodes characters into the whole buffer. False for what `encode` does not write in either case: other characters,
  /// another length, stray bits in the last character (RFC 4648, section 3.5).
  public static func decode(_ text: some Sequence<UInt8>, into bytes: UnsafeMutableBufferPointer<UInt8>) -> Bool
  {
    var (bits, width, place, count): (UInt16, UInt16, Int, Int) = (0, 0, 0, 0)
    for character in text {
      guard let value = value(character) else { return false }
      bits = bits << 5 | UInt16(value)
      width += 5
      count += 1
      guard width >= 8 else { continue }
      guard place < bytes.count else { return false }
      width -= 8
      bytes[place] = UInt8(truncatingIfNeeded: bits >> width)
      place += 1
    }
    let stray = bits & (1 << width - 1)
    return place == bytes.count && count == encodedLength(bytes.count) && stray == 0
  }
}
