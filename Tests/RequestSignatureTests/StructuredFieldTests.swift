import TestSupport
import Testing

@testable import RequestSignature

private func read(_ text: String) throws(StructuredFieldError) -> StructuredDictionary {
  try StructuredDictionary(Array(text.utf8))
}

/// What a dictionary says, in a form to compare: `key=kind(value);parameter=...`.
private func dump(_ dictionary: StructuredDictionary) -> String {
  func show(_ item: StructuredDictionary.BareItem) -> String {
    switch item {
    case .integer(let number): "int(\(number))"
    case .decimal(let range): "decimal(\(dictionary.text(range)))"
    case .string(let range): "string(\(dictionary.unescaped(range)))"
    case .token(let range): "token(\(dictionary.text(range)))"
    case .byteSequence(let range): "bytes(\(dictionary.decoded(range).map(String.init).joined(separator: ",")))"
    case .boolean(let value): "\(value)"
    case .date(let seconds): "date(\(seconds))"
    case .displayString(let range): "display(\(dictionary.text(range)))"
    }
  }
  func show(_ parameters: [StructuredDictionary.Parameter]) -> String {
    parameters.map { ";\(dictionary.text($0.key))=\(show($0.value))" }.joined()
  }
  return dictionary.members.map { member in
    let value =
      switch member.value {
      case .item(let item): show(item)
      case .innerList(let items):
        "(" + items.map { show($0.value) + show($0.parameters) }.joined(separator: " ") + ")"
      }
    return "\(dictionary.text(member.key))=\(value)\(show(member.parameters))"
  }.joined(separator: " ")
}

@Suite("Structured fields (RFC 9651)")
struct StructuredFieldTests {
  @Test(arguments: [
    ("", ""), ("   ", ""), ("a=1", "a=int(1)"), ("a=1,b=2", "a=int(1) b=int(2)"),
    ("a=1 ,\t b=2", "a=int(1) b=int(2)"), ("  a=1  ", "a=int(1)"), ("a", "a=true"), ("a;x", "a=true;x=true"),
    ("a,b;x=?0", "a=true b=true;x=false"), ("a=1,b=2,a=3", "a=int(3) b=int(2)"),
    ("a=1;x=1;y;x=2", "a=int(1);x=int(2);y=true"), ("a=1;  x=1", "a=int(1);x=int(1)"), ("a=()", "a=()"),
    ("a=(  )", "a=()"), ("a=( 1   b );x", "a=(int(1) token(b));x=true"),
    ("a=(1;x=2 b;y);z", "a=(int(1);x=int(2) token(b);y=true);z=true"),
    ("*a_-.*9=1", "*a_-.*9=int(1)"),
    (
      #"en="Applepie", da=:w4ZibGV0w6Zy:"#, "en=string(Applepie) da=bytes(195,134,98,108,101,116,195,166,114)"
    ),
    ("rating=1.5, feelings=(joy sadness)", "rating=decimal(1.5) feelings=(token(joy) token(sadness))"),
  ])
  func `Dictionaries, inner lists and parameters are read`(text: String, expected: String) throws {
    #expect(dump(try read(text)) == expected)
  }

  @Test(arguments: [
    ("42", "int(42)"), ("-42", "int(-42)"), ("0", "int(0)"), ("-0", "int(0)"), ("007", "int(7)"),
    ("999999999999999", "int(999999999999999)"), ("-999999999999999", "int(-999999999999999)"),
    ("4.5", "decimal(4.5)"), ("-0.125", "decimal(-0.125)"), ("123456789012.123", "decimal(123456789012.123)"),
    (#""""#, "string()"), (#""a b~!""#, "string(a b~!)"), (#""\"\\""#, #"string("\)"#),
    (#""a\\\"b""#, #"string(a\"b)"#),
    ("a", "token(a)"), ("*", "token(*)"), ("foo123/456:x", "token(foo123/456:x)"),
    ("A!#$%&'*+-.^_`|~", "token(A!#$%&'*+-.^_`|~)"),
    ("::", "bytes()"), (":AA==:", "bytes(0)"), (":/+8=:", "bytes(255,239)"), (":AAEC:", "bytes(0,1,2)"),
    ("?1", "true"), ("?0", "false"), ("@1659578233", "date(1659578233)"), ("@-1", "date(-1)"),
    (#"%"f%c3%bc""#, "display(f%c3%bc)"), (#"%"""#, "display()"),
  ])
  func `Bare items are read`(text: String, expected: String) throws {
    #expect(dump(try read("a=" + text)) == "a=" + expected)
    #expect(dump(try read("a=(" + text + ")")) == "a=(" + expected + ")")
    #expect(dump(try read("a;p=" + text)) == "a=true;p=" + expected)
  }

  @Test(arguments: [
    // Dictionaries.
    ",", "a=1,", "a=1, ", "a=1,,b=2", ",a=1", "a=", "=1", "a =1", "a= 1", "a=1 b=2", "A=1", "1=1", "-a=1",
    "aB=1",
    "a=1\n", "\ta=1", "a=1\t", "a=1;", "a=1;=2", "a=1;X", "a=1 ;x", "a=1;\tx", "a=1;x=", "ä=1", "a=ä",
    "a=1\0",
    // Inner lists.
    "a=(", "a=)", "a=(1", "a=(1,2)", "a=(1\t2)", "a=(1(2))", "a=((1))", "a=())", #"a=("a""b")"#, "a=(1 2",
    "a=(a;",
    // Numbers.
    "a=-", "a=--1", "a=+1", "a=1.", "a=.1", "a=1.2345", "a=1234567890123456", "a=-1234567890123456",
    "a=1234567890123.1", "a=1.2.3", "a=1e3", "a=- 1", "a=0x1",
    // Strings.
    #"a=""#, #"a="b"#, #"a="\""#, #"a="\"#, #"a="\n""#, "a=\"\t\"", "a=\"\u{7f}\"", #"a="é""#, "a='b'",
    "a=\"a\nb\"",
    // Byte sequences: one spelling each.
    "a=:", "a=:AA==", "a=:AA:", "a=:AA=:", "a=:AAE:", "a=:AB==:", "a=:AAF=:", "a=:A===:", "a=:====:",
    "a=:=AA=:", "a=:AA==AA==:",
    "a=:A-_=:", "a=: AA==:", "a=:AA== :", "a=:AA=\n:", "a=:A:",
    // Booleans, dates, display strings.
    "a=?", "a=?2", "a=?true", "a=?10", "a=@", "a=@1.5", "a=@x", "a=@-", "a=@@1", "a=%", #"a=%""#, #"a=%"%""#,
    #"a=%"%C3%BC""#,
    #"a=%"%c3""#, #"a=%"%fg""#, #"a=%"%f""#, #"a=%"ü""#, "a=%\"\n\"",
  ])
  func `Anything else is refused`(text: String) {
    #expect(throws: StructuredFieldError.self) { try read(text) }
  }

  @Test
  func `The offset of a wrong byte is reported`() {
    #expect(throws: StructuredFieldError.unexpected(offset: 4)) { try read("a=1 b") }
    #expect(throws: StructuredFieldError.unexpected(offset: 3)) { try read("a=(") }
    #expect(StructuredFieldError.unexpected(offset: 4).description.contains("byte 4"))
  }

  @Test
  func `Every size has a bound: the last that fits is read, the next refused`() throws {
    func list(_ count: Int, _ text: (Int) -> String) -> String {
      (0..<count).map(text).joined(separator: ",")
    }
    #expect(try read(list(8) { "m\($0)" }).members.count == 8)
    #expect(throws: StructuredFieldError.tooManyMembers) { try read(list(9) { "m\($0)" }) }
    #expect(throws: StructuredFieldError.tooManyMembers) { try read(list(9) { _ in "m" }) }

    func items(_ count: Int) -> String { "a=(" + String(repeating: "1 ", count: count) + ")" }
    #expect(throws: Never.self) { try read(items(32)) }
    #expect(throws: StructuredFieldError.tooManyItems) { try read(items(33)) }

    func parameters(_ count: Int) -> String { "a" + (0..<count).map { ";p\($0)" }.joined() }
    #expect(try read(parameters(16)).members[0].parameters.count == 16)
    #expect(throws: StructuredFieldError.tooManyParameters) { try read(parameters(17)) }
    #expect(throws: StructuredFieldError.tooManyParameters) {
      try read("a" + String(repeating: ";p", count: 17))
    }

    func text(_ length: Int) -> String { "a=\"" + String(repeating: "x", count: length - 4) + "\"" }
    #expect(throws: Never.self) { try read(text(StructuredDictionary.maximumLength)) }
    #expect(throws: StructuredFieldError.tooLong) { try read(text(StructuredDictionary.maximumLength + 1)) }
  }
}
