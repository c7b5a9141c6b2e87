import Encoding
import Testing

@Suite struct PercentEncodingTests {
  @Test(arguments: ["", "abc-._~", "a b/c?d=e&f%", "日本 🚫", "\u{0}\n"])
  func `A text survives percent-encoding`(_ text: String) {
    #expect(PercentEncoding.decode(PercentEncoding.encode(text)[...]) == text)
  }

  @Test func `All but unreserved characters are encoded, in upper case`() {
    #expect(PercentEncoding.encode("aZ0-._~") == "aZ0-._~")
    #expect(PercentEncoding.encode("/ +é\u{0}") == "%2F%20%2B%C3%A9%00")
    #expect(PercentEncoding.decode("%2f%2F"[...]) == "//")
  }

  @Test(arguments: ["%", "a%4", "%4g", "%%41", "%FF", "%C3"])
  func `A broken escape and bytes that are not UTF-8 are refused`(_ text: String) {
    #expect(PercentEncoding.decode(text[...]) == nil)
  }
}

@Suite struct JSONStringTests {
  @Test func `Control characters, quotes and backslashes are escaped, and nothing else`() {
    #expect(encoded("\u{1}\u{1f}\n\"\\/é\u{7F}") == #"\u0001\u001f\n\"\\/é\#u{7F}"#)
    #expect(encoded("a\u{7F}b", escapesDelete: true) == #"a\u007fb"#)
    #expect(encoded("") == "")
  }

  private func encoded(_ text: String, escapesDelete: Bool = false) -> String {
    var text = text
    var bytes: [UInt8] = []
    text.withUTF8 { JSONString.encode($0, escapesDelete: escapesDelete) { bytes += $0 } }
    return String(decoding: bytes, as: UTF8.self)
  }
}
