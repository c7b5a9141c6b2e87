import Registry
import Testing

@Suite("A device name")
struct DeviceNameTests {
  @Test(arguments: [
    ("EA-Main", "EA-Main"), ("  EA \t\n", "EA"), ("\u{A0}\u{3000}EA\u{2003}", "EA"),
    ("Cafe\u{301}", "Caf\u{E9}"), ("\u{1100}\u{1161}", "\u{AC00}"), ("\u{212B}", "\u{C5}"),
    ("日本 🚫", "日本 🚫"), ("a b", "a b"),
  ])
  func `is trimmed of white space and normalised to NFC`(given: String, kept: String) throws {
    #expect(Array(try DeviceName(given).text.utf8) == Array(kept.utf8))
  }

  @Test
  func `has 1 to 100 scalars, counted after normalisation`() throws {
    #expect(try DeviceName("x").text == "x")
    #expect(try DeviceName(String(repeating: "🚫", count: 100)).text.unicodeScalars.count == 100)
    #expect(try DeviceName(String(repeating: "e\u{301}", count: 100)).text.unicodeScalars.count == 100)
    #expect(throws: RegistryError.self) { try DeviceName(String(repeating: "x", count: 101)) }
    #expect(throws: RegistryError.self) { try DeviceName(String(repeating: "x", count: 100_000)) }
  }

  @Test(arguments: ["", " ", "\t\n", "\u{3000}", "a\u{0}b", "a\nb", "\u{7F}", "a\u{9F}b"])
  func `is not empty or blank, and has no control character`(text: String) {
    let error = #expect(throws: RegistryError.self) { try DeviceName(text) }
    guard case .invalid("device_name", _) = error else {
      Issue.record("the field is not named: \(error as Any)")
      return
    }
  }

  @Test(arguments: [
    ("EA\u{200B}", "U+200B"), ("\u{200B}", "U+200B"), ("\u{202E}EA", "U+202E"), ("E\u{AD}A", "U+00AD"),
    ("\u{3164}", "U+3164"), ("EA\u{2066}x\u{2069}", "U+2066"), ("EA\u{E0041}", "U+E0041"),
    ("a\u{200D}b", "U+200D"), ("👩\u{200D}", "U+200D"), ("\u{200D}👩", "U+200D"), ("1\u{200D}2", "U+200D"),
    ("EA\u{FE0F}", "U+FE0F"), ("\u{FE0F}", "U+FE0F"), ("1\u{FE0F}", "U+FE0F"), ("❤\u{FE0F}\u{FE0F}", "U+FE0F"),
    ("می\u{200C}شود", "U+200C"), ("\u{FEFF}EA", "U+FEFF"),
  ])
  func `has no invisible character, and the error names it`(text: String, codePoint: String) {
    #expect(
      throws: RegistryError.invalid(
        field: "device_name", message: "must not contain \(codePoint), which is invisible")
    ) { try DeviceName(text) }
  }

  @Test(arguments: [
    "👩\u{200D}💻", "👨🏽\u{200D}🚀", "❤\u{FE0F}\u{200D}🔥", "🏃\u{200D}♀\u{FE0F}", "1\u{FE0F}\u{20E3}", "✈\u{FE0E} EA",
    "🇨🇭", "עברית", "हिन्दी",
  ])
  func `may have emoji of several characters, and any script`(text: String) throws {
    #expect(try DeviceName(text).text == text)
  }

  @Test
  func `is compared by its bytes, as the database does`() throws {
    #expect(DeviceName(stored: "e\u{301}") != DeviceName(stored: "\u{E9}"))
    #expect(try DeviceName("e\u{301}") == DeviceName("\u{E9}"))
    #expect(try Set([DeviceName("e\u{301}"), DeviceName("\u{E9}")]).count == 1)
  }
}
