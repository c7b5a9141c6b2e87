/// Percent-encoding (RFC 3986, section 2.1).
public enum PercentEncoding {
  /// Decodes once. Nil where a `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
  public static func decode(_ text: Substring) -> String? {
    var text = text
    return text.withUTF8 { decode($0) }
  }

  /// Decodes once. Nil where a `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
  public static func decode(_ text: UnsafeBufferPointer<UInt8>) -> String? {
    guard text.contains(UInt8(ascii: "%")) else { return String(validating: text, as: UTF8.self) }
    return decodedBytes(text).flatMap { String(validating: $0, as: UTF8.self) }
  }

  /// Decodes a name or a value of a form, in which `+` is a space. Nil where a `%` is not followed by two hexadecimal
  /// digits. The result is the only copy, so the caller can wipe it.
  public static func decode(form text: ArraySlice<UInt8>) -> [UInt8]? {
    decodedBytes(text) { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
  }

  private static func decodedBytes(
    _ text: some Collection<UInt8>, _ plain: (UInt8) -> UInt8 = { $0 }
  ) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var rest = text.makeIterator()
    while let byte = rest.next() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(plain(byte))
        continue
      }
      guard let high = rest.next().flatMap(Hex.value), let low = rest.next().flatMap(Hex.value) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  /// Encodes all but the unreserved characters (RFC 3986, section 2.3), with digits in upper case.
  public static func encode(_ text: String) -> String {
    var encoded: [UInt8] = []
    for byte in text.utf8 {
      if byte.isLetter || byte.isDigit || "-._~".utf8.contains(byte) {
        encoded.append(byte)
      } else {
        encoded.append(UInt8(ascii: "%"))
        for nibble in [byte >> 4, byte & 0xF] { encoded.append(Hex.digit(nibble).upperCased) }
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }
}

extension UInt8 {
  fileprivate var upperCased: UInt8 { isLowerCaseLetter ? self & ~0x20 : self }
}
