@testable import Endpoints
import Testing

@Suite struct JSONGrammar {
  @Test(arguments: [
    "{}", "[]", " \t\r\n[ 1 , 2 ] ", "0", "-0", "10.5e-3", "1E+2", #""""#, #""\u00e9\"\\\/\b\f\n\r\t""#, "true",
    "false", "null",
    #"{"a":{"b":[{},[]]},"a":1}"#, #""\ud800""#,
  ])
  func `What the RFC allows is accepted`(_ text: String) { #expect(JSONSyntax.accepts(Array(text.utf8))) }

  @Test(arguments: [
    "", " ", "{", "}", "[1,]", "[,1]", "[1 2]", #"{"a":1,}"#, #"{"a"}"#, #"{"a":}"#, "{a:1}", "{1:1}", "01",
    "+1", "1.",
    ".5", "1e", "-", "NaN", "Infinity", "0x1", "tru", "True", "nul", "'a'", #""a"#, #""\"#, #""\x""#,
    #""\u12g4""#, "\"\t\"",
    "[1]]", "{}{}", "// c\n1", "/**/1", "\u{FEFF}1",
  ])
  func `What it does not allow is refused`(_ text: String) { #expect(!JSONSyntax.accepts(Array(text.utf8))) }

  @Test func `The depth has a limit`() {
    func nested(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    #expect(JSONSyntax.accepts(nested(JSONSyntax.maximumDepth)))
    #expect(!JSONSyntax.accepts(nested(JSONSyntax.maximumDepth + 2)))
  }
}
