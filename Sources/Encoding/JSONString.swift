/// The characters of a JSON string (RFC 8259, section 7).
public enum JSONString {
  /// Whether a byte is written as an escape: a quote, a backslash, a control character.
  @inlinable static func needsEscape(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  /// Passes the characters of a text to `append` in pieces: runs that need no escape, and escapes.
  /// - Parameter escapesDelete: whether DEL is escaped too, which JSON allows and terminals need.
  @inlinable public static func encode(
    _ text: UnsafeBufferPointer<UInt8>, escapesDelete: Bool = false,
    _ append: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    var start = 0
    for (index, byte) in text.enumerated() where needsEscape(byte) || escapesDelete && byte == 0x7F {
      append(text.extracting(start..<index))
      withEscape(of: byte, append)
      start = index + 1
    }
    append(text.extracting(start...))
  }

  /// The text as a JSON string, with its quotes.
  public static func quoted(_ text: String) -> String {
    var (text, quoted) = (text, [UInt8(ascii: "\"")])
    text.withUTF8 { encode($0) { quoted += $0 } }
    return String(decoding: quoted + [UInt8(ascii: "\"")], as: UTF8.self)
  }

  @usableFromInline static func withEscape(of byte: UInt8, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    let letter: UInt8? =
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): byte
      case UInt8(ascii: "\n"): UInt8(ascii: "n")
      default: nil
      }
    var escape: [UInt8] = [UInt8(ascii: "\\")]
    if let letter {
      escape.append(letter)
    } else {
      escape += "u00".utf8
      escape += [Hex.digit(byte >> 4), Hex.digit(byte & 0xF)]
    }
    escape.withUnsafeBufferPointer(body)
  }
}
