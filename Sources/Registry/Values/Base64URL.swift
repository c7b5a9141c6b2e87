/// Base64 with the alphabet that needs no escape in a URL, without padding (RFC 4648, section 5).
public enum Base64URL {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  public static func encode(_ bytes: [UInt8]) -> String {
    let length = (bytes.count * 8 + 5) / 6
    return String(unsafeUninitializedCapacity: length) { text in
      bytes.withUnsafeBufferPointer { encode($0, into: text) }
      return length
    }
  }

  /// Writes as many characters as there are.
  static func encode(_ bytes: UnsafeBufferPointer<UInt8>, into text: UnsafeMutableBufferPointer<UInt8>) {
    var bits: UInt32 = 0
    var count = 0
    var length = 0
    for byte in bytes {
      bits = bits << 8 | UInt32(byte)
      count += 8
      while count >= 6 {
        count -= 6
        text[length] = alphabet[Int(bits >> UInt32(count) & 0x3F)]
        length += 1
      }
    }
    if count > 0 { text[length] = alphabet[Int(bits << UInt32(6 - count) & 0x3F)] }
  }

  /// Nil for what `encode` does not write.
  public static func decode(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    for character in text.utf8 {
      guard let value = alphabet.firstIndex(of: character) else { return nil }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    return encode(bytes) == text ? bytes : nil
  }
}
