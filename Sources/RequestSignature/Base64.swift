/// Base64 (RFC 4648, section 4), always padded.
enum Base64 {
  private static let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  private static let padding = UInt8(ascii: "=")

  /// Characters that stand for so many bytes.
  static func encodedLength(_ count: Int) -> Int { (count + 2) / 3 * 4 }

  /// Writes the text of the bytes behind what `output` holds.
  static func append(_ bytes: [UInt8], to output: inout [UInt8]) {
    alphabet.withUTF8Buffer { alphabet in
      for start in stride(from: 0, to: bytes.count, by: 3) {
        let second = start + 1 < bytes.count ? bytes[start + 1] : nil
        let third = start + 2 < bytes.count ? bytes[start + 2] : nil
        let group = Int(bytes[start]) << 16 | Int(second ?? 0) << 8 | Int(third ?? 0)
        output.append(alphabet[group >> 18])
        output.append(alphabet[group >> 12 & 63])
        output.append(second == nil ? padding : alphabet[group >> 6 & 63])
        output.append(third == nil ? padding : alphabet[group & 63])
      }
    }
  }

  /// Whether the text is what `append` would write for some bytes: padded, no stray bits.
  static func isCanonical(_ text: ArraySlice<UInt8>) -> Bool {
    guard text.count.isMultiple(of: 4) else { return false }
    let digits = unpadded(text)
    guard digits.allSatisfy({ value($0) != nil }) else { return false }
    guard let last = digits.last.flatMap(value) else { return text.isEmpty }
    switch text.count - digits.count {
    case 0: return true
    case 1: return last & 0b11 == 0
    case 2: return last & 0b1111 == 0
    default: return false
    }
  }

  /// The bytes that a text stands for; nil where it is not canonical.
  static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    isCanonical(text) ? decode(canonical: text) : nil
  }

  /// The bytes that a canonical text stands for.
  static func decode(canonical text: ArraySlice<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3)
    var pending: UInt32 = 0
    var pendingBits = 0
    for digit in unpadded(text) {
      pending = pending << 6 | UInt32(value(digit) ?? 0)
      pendingBits += 6
      if pendingBits >= 8 {
        pendingBits -= 8
        bytes.append(UInt8(truncatingIfNeeded: pending >> UInt32(pendingBits)))
      }
    }
    return bytes
  }

  /// Without the padding, of which two characters at most count as such.
  private static func unpadded(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    guard text.last == padding else { return text }
    let shorter = text.dropLast()
    return shorter.last == padding ? shorter.dropLast() : shorter
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case _ where digit.isUpperCaseLetter: digit - UInt8(ascii: "A")
    case _ where digit.isLowerCaseLetter: digit - UInt8(ascii: "a") + 26
    case _ where digit.isDigit: digit - UInt8(ascii: "0") + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
