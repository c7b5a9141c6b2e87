internal import CSodium

/// Base64 with the alphabet that needs no escape in a URL, without padding (RFC 4648, section 5; RFC 7515, section 2).
/// libsodium encodes and decodes in constant time, so that this is also for secrets.
public enum Base64URL {
  private static let variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING

  /// The number of characters that encode `count` bytes.
  public static func encodedLength(_ count: Int) -> Int { (count * 8 + 5) / 6 }

  /// Encodes the bytes.
  public static func encode(_ bytes: [UInt8]) -> String {
    let length = encodedLength(bytes.count)
    return String(unsafeUninitializedCapacity: length) { text in
      bytes.withUnsafeBufferPointer { encode($0, into: text.extracting(..<length)) }
      return length
    }
  }

  /// Encodes the bytes into the whole buffer, which has `encodedLength` bytes.
  public static func encode(_ bytes: UnsafeBufferPointer<UInt8>, into text: UnsafeMutableBufferPointer<UInt8>) {
    precondition(text.count == encodedLength(bytes.count))
    // libsodium writes a zero after the text.
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { terminated in
      sodium_bin2base64(terminated.baseAddress!, terminated.count, bytes.baseAddress, bytes.count, variant)
      for index in text.indices { text[index] = UInt8(bitPattern: terminated[index]) }
      sodium_memzero(terminated.baseAddress!, terminated.count)
    }
  }

  /// Decodes a text. Nil for what `encode` does not write: another alphabet, padding, white space, stray bits in the last
  /// character (RFC 4648, section 3.5).
  public static func decode(_ text: Substring) -> [UInt8]? {
    var text = text
    return text.withUTF8 { decode($0) }
  }

  /// Decodes a text, as above.
  public static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    // libsodium reads a byte that is not ASCII as a `_`.
    guard text.reduce(0, |) < 0x80 else { return nil }
    var isDecoded = false
    let bytes = [UInt8](unsafeUninitializedCapacity: text.count * 6 / 8 + 1) { bytes, count in
      isDecoded =
        text.withMemoryRebound(to: CChar.self) {
          sodium_base642bin(
            bytes.baseAddress!, bytes.count, $0.baseAddress, $0.count, nil, &count, nil, variant)
        } == 0
    }
    return isDecoded ? bytes : nil
  }
}
