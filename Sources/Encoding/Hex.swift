/// Hexadecimal digits. They are written in lower case.
public enum Hex {
  /// The digit of a number below 16. It is computed, because the cache lines of a table can reveal a secret.
  /// libsodium's own function writes a zero after the text, for which a secret's memory has no room.
  @inlinable public static func digit(_ nibble: UInt8) -> UInt8 {
    UInt8(ascii: "0") &+ nibble &+ ((9 &- nibble) >> 7) &* 39
  }

  /// The number of a digit in either case; nil for other characters.
  @inlinable public static func value(_ digit: UInt8) -> UInt8? {
    if digit.isDigit { return digit &- UInt8(ascii: "0") }
    let letter = (digit | 0x20) &- UInt8(ascii: "a")
    return letter < 6 ? letter + 10 : nil
  }

  /// Encodes the bytes into the whole buffer, which has two bytes for each. Takes constant time.
  public static func encode(_ bytes: UnsafeBufferPointer<UInt8>, into text: UnsafeMutableBufferPointer<UInt8>) {
    precondition(text.count == 2 * bytes.count)
    for (index, byte) in bytes.enumerated() {
      text[2 * index] = digit(byte >> 4)
      text[2 * index + 1] = digit(byte & 0xF)
    }
  }

  /// The digits of the bytes.
  public static func text(_ bytes: [UInt8]) -> String {
    String(unsafeUninitializedCapacity: 2 * bytes.count) { text in
      bytes.withUnsafeBufferPointer { encode($0, into: text.extracting(..<(2 * bytes.count))) }
      return 2 * bytes.count
    }
  }

  /// The bytes of digits in either case; nil for other characters, and for an odd number of digits.
  public static func decode(_ text: String) -> [UInt8]? {
    let digits = text.utf8.compactMap { value($0) }
    guard digits.count == text.utf8.count, digits.count.isMultiple(of: 2) else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  /// The 16 digits of a word.
  public static func text(_ word: UInt64) -> String {
    String(unsafeUninitializedCapacity: 16) { text in
      withUnsafeBytes(of: word.bigEndian) { bytes in
        bytes.withMemoryRebound(to: UInt8.self) { encode($0, into: text.extracting(..<16)) }
      }
      return 16
    }
  }
}
