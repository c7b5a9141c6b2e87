import Encoding
import Testing

@Suite struct ASCIITests {
  @Test func `The classes have the characters that the RFCs name`() {
    func characters(_ isMember: (UInt8) -> Bool) -> String {
      String(decoding: (0...UInt8.max).filter(isMember), as: UTF8.self)
    }
    let (upper, lower) = ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
    #expect(characters(\.isDigit) == "0123456789")
    #expect(characters(\.isLowerCaseLetter) == lower)
    #expect(characters(\.isUpperCaseLetter) == upper)
    #expect(characters(\.isLetter) == upper + lower)
    #expect(characters(\.isLowerCaseHexDigit) == "0123456789abcdef")
    #expect(characters(\.isTokenCharacter) == "!#$%&'*+-.0123456789\(upper)^_`\(lower)|~")
    #expect(characters(\.isBlank) == "\t ")
    #expect(characters(\.isJSONWhiteSpace) == "\t\n\r ")
    #expect(characters(\.isVisible).utf8.elementsEqual(0x21...0x7E))
    #expect(characters(\.isPrintable).utf8.elementsEqual(0x20...0x7E))
  }
}

@Suite struct RedactedTests {
  private struct Password: Redacted { let text = "hunter2" }

  @Test func `A secret is redacted however it is printed`() {
    let password = Password()
    var dumped = ""
    dump(password, to: &dumped)
    for text in [
      "\(password)", String(reflecting: password), "\(["a": password])",
      "\(String(describing: Optional(password)))", dumped,
    ] {
      #expect(text.contains("<redacted>") && !text.contains("hunter2"))
    }
  }
}
