@testable import JSON
import Testing

private func parse(_ text: String, raw: [String] = []) throws(JSONFault) -> ParsedJSON {
  try ParsedJSON(Array(text.utf8), keepingRaw: raw)
}

private func fault(of text: String, raw: [String] = []) -> JSONFault? {
  do throws(JSONFault) { _ = try parse(text, raw: raw) } catch { return error }
  return nil
}

@Suite struct JSONValues {
  @Test(
    arguments: [
      ("{}", .object(ParsedObject())), (" [ ] ", .array([])), ("true", .boolean(true)),
      ("false", .boolean(false)),
      ("\tnull\r\n", .null), ("0", .integer(0)), ("-0", .integer(0)), ("-17", .integer(-17)),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .real(0x1p63)), ("10.5e-3", .real(0.0105)), ("1E+2", .real(100)),
      ("1e-400", .real(0)),
      (#""""#, .string("")), (#""é😀""#, .string("é😀")),
      (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{c}\n\r\t")),
      (#""\u00e9\uD83D\ude00x\uffff""#, .string("é😀x\u{ffff}")),
      (
        #"{"b":[1,{"a":""}],"a":2}"#,
        .object(
          ParsedObject(members: [
            .init(
              name: "b",
              value: .array([
                .integer(1), .object(ParsedObject(members: [.init(name: "a", value: .string(""))])),
              ])),
            .init(name: "a", value: .integer(2)),
          ]))
      ),
    ] as [(String, ParsedJSON)])
  func `Each kind of value is read`(_ text: String, _ value: ParsedJSON) throws {
    #expect(try parse(text) == value)
  }

  @Test(
    arguments: [
      ("60", 60), ("60.0", 60), ("6e1", 60), ("-0.0", 0), ("9007199254740993", 9_007_199_254_740_993),
      ("60.5", nil), ("9007199254740993.0", nil), ("-9223372036854775809", nil), (#""60""#, nil),
      ("true", nil),
    ] as [(String, Int64?)])
  func `A whole number may be written with a fraction or an exponent, and is never rounded`(
    _ text: String, _ number: Int64?
  ) throws {
    #expect(try parse(text).wholeNumber == number)
  }

  @Test func `Names are compared byte by byte`() throws {
    // U+212A, the Kelvin sign, equals K for Swift.
    guard case .object(let object) = try parse(#"{"\u212a":1,"K":2}"#) else {
      Issue.record("no object")
      return
    }
    #expect(object["K"] == .integer(2))
    #expect(object["\u{212a}"] == .integer(1))
    #expect(object["k"] == nil)
  }
}

@Suite struct JSONFaults {
  @Test(arguments: [
    ("{a:1}", 2), ("[1,]", 4), ("01", 2), (#"{"list":1,}"#, 11), (#""\x""#, 3), ("{}{}", 3), ("\"\t\"", 2),
    ("tru ", 4), (#"{"x":1 "y":2}"#, 8), (#""\u12g4""#, 6), (#"{"a":1,"a":1,}"#, 14),
  ])
  func `A syntax error is reported with its byte`(_ text: String, _ byte: Int) {
    #expect(fault(of: text) == .unexpected(byte: byte))
  }

  @Test(arguments: ["", " ", "{", "[1", #""a"#, "-", #"{"list""#, "1e", "1.", #""\"#, #"{"a":1,"a":1"#])
  func `A text that is cut off ends too early`(_ text: String) { #expect(fault(of: text) == .tooEarlyEnd) }

  @Test(
    arguments: [
      [0xFF], [0x22, 0xC3, 0x28, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xC0, 0x80, 0x22],
      [0x31, 0x00, 0x31], [0x22, 0x00, 0x22],
    ] as [[UInt8]])
  func `Bytes must be UTF-8 without a NUL`(_ bytes: [UInt8]) {
    #expect(throws: JSONFault.notUTF8) { try ParsedJSON(bytes) }
  }

  @Test(
    arguments: [
      (Array("\u{FEFF}{}".utf8), .byteOrderMark), ([0xFF, 0xFE, 0x7B, 0x00, 0x7D, 0x00], .byteOrderMark),
      ([0xFE, 0xFF, 0x00, 0x7B, 0x00, 0x7D], .byteOrderMark), (Array("{}\0".utf8), .terminatingNUL),
      (Array("{}\0\0".utf8), .terminatingNUL),
    ] as [([UInt8], JSONFault)])
  func `A byte order mark and a terminating NUL are reported`(_ bytes: [UInt8], _ fault: JSONFault) {
    #expect(throws: fault) { try ParsedJSON(bytes) }
  }

  @Test(
    arguments: [
      (#""a\ud800""#, []), (#""\udc00""#, []), (#"{"a":["\ud800\u0041"]}"#, ["a", "0"]),
      (#"{"a":{"\ud83d":1}}"#, ["a", "\u{FFFD}"]),
    ] as [(String, [String])])
  func `Half of a surrogate pair is reported with its path`(_ text: String, _ path: [String]) {
    #expect(fault(of: text) == .member(path: path, .unpairedSurrogate))
  }

  @Test(arguments: [
    (#"{"a":1,"b":2,"a":3}"#, ["a"]), (#"{"a":1,"\u0061":3}"#, ["a"]),
    (#"{"a":[0,{"b":1,"b":1}]}"#, ["a", "1", "b"]),
    (#"{"é":1,"é":1}"#, ["é"]), (#"[{"a":{"b":1}},{"a":{"b":1,"b":2},"a":1}]"#, ["1", "a", "b"]),
    ("{" + (0..<100).map { #""n\#($0)":0,"# }.joined() + #""n7":0}"#, ["n7"]),
  ])
  func `A member that is repeated is reported with its path`(_ text: String, _ path: [String]) {
    #expect(fault(of: text) == .member(path: path, .repeated))
  }

  @Test(
    arguments: [
      (#""\u0000""#, []), (#"{"a":["b","c\u0000"]}"#, ["a", "1"]), (#"{"a":{"b\u0000":1}}"#, ["a", "b\0"]),
    ] as [(String, [String])])
  func `U+0000 is reported with its path`(_ text: String, _ path: [String]) {
    #expect(fault(of: text) == .member(path: path, .containsNUL))
  }

  @Test(arguments: [("1e400", []), (#"{"a":[0,-1e400]}"#, ["a", "1"])] as [(String, [String])])
  func `A number that is too large is reported with its path`(_ text: String, _ path: [String]) {
    #expect(fault(of: text) == .member(path: path, .tooLarge))
  }

  @Test(arguments: [("[", "]"), (#"{"a":"#, "}")])
  func `The depth has a limit`(_ opening: String, _ closing: String) {
    func nested(_ depth: Int) -> String {
      String(repeating: opening, count: depth) + "1" + String(repeating: closing, count: depth)
    }
    #expect(fault(of: nested(ParsedJSON.maximumDepth)) == nil)
    #expect(fault(of: nested(ParsedJSON.maximumDepth + 1)) == .tooDeep)
    #expect(fault(of: String(repeating: opening, count: 100_000)) == .tooDeep)
  }

  @Test func `Thousands of members are read in a moment`() throws {
    let text = "{" + (0..<10_000).map { #""\#($0)":0"# }.joined(separator: ",") + "}"
    guard case .object(let object) = try parse(text) else {
      Issue.record("no object")
      return
    }
    #expect(object.members.count == 10_000)
  }
}

/// A value that is kept as it is.
@Suite struct RawJSON {
  private func isAccepted(_ text: String) -> Bool { fault(of: #"{"x":\#(text)}"#, raw: ["x"]) == nil }

  @Test(arguments: [
    "{}", "[]", " \t\r\n[ 1 , 2 ] ", "0", "-0", "10.5e-3", "1E+2", #""""#, #""\u00e9\"\\\/\b\f\n\r\t""#, "true",
    "false", "null", #"{"a":{"b":[{},[]]}}"#, #""\u0000""#, "18446744073709551615", "-1.5e308",
  ])
  func `What the RFC allows is accepted`(_ text: String) throws {
    #expect(isAccepted(text))
    guard case .object(let object) = try parse(#"{"a":1,"\u0078": \#(text) ,"b":{"x":2}}"#, raw: ["x"]) else {
      Issue.record("no object")
      return
    }
    let bytes = text.utf8.drop { $0 <= 0x20 }
    guard case .raw(let raw) = object["x"] else {
      Issue.record("not kept")
      return
    }
    #expect(raw.elementsEqual(bytes.prefix(raw.count)) && bytes.dropFirst(raw.count).allSatisfy { $0 <= 0x20 })
    #expect(object["b"] == .object(ParsedObject(members: [.init(name: "x", value: .integer(2))])))
  }

  @Test(arguments: [
    "", " ", "{", "}", "[1,]", "[,1]", "[1 2]", #"{"a":1,}"#, #"{"a"}"#, #"{"a":}"#, "{a:1}", "{1:1}", "01",
    "+1", "1.",
    ".5", "1e", "-", "NaN", "Infinity", "0x1", "tru", "True", "nul", "'a'", #""a"#, #""\"#, #""\x""#,
    #""\u12g4""#, "\"\t\"",
    "[1]]", "{}{}", "// c\n1", "/**/1", "\u{FEFF}1",
  ])
  func `What it does not allow is refused`(_ text: String) {
    #expect(!isAccepted(text))
    #expect(fault(of: text) != nil)
  }

  @Test(
    arguments: [
      (#"{"x":{},"\u0078":{}}"#, ["x"], .repeated), (#"{"\u0078":{"y":1},"x":5}"#, ["x"], .repeated),
      (#"{"x":{"a":[{"b":1,"\u0062":2}]}}"#, ["x", "a", "0", "b"], .repeated),
      (#"{"x":{"a":"\ud800"}}"#, ["x", "a"], .unpairedSurrogate),
      (#"{"x":[0,1e400]}"#, ["x", "1"], .tooLarge),
    ] as [(String, [String], JSONFault.MemberFault)])
  func `What strict parsers refuse is reported with its path`(
    _ text: String, _ path: [String], _ memberFault: JSONFault.MemberFault
  ) {
    #expect(fault(of: text, raw: ["x"]) == .member(path: path, memberFault))
  }

  @Test func `The depth has a limit`() {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(isAccepted(nested(ParsedJSON.maximumDepth)))
    #expect(!isAccepted(nested(ParsedJSON.maximumDepth + 1)))
  }
}
