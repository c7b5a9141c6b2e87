import Crypto
import Encoding
import Testing

@testable import RequestSignature

/// The components and parameters of a dictionary's only member.
func parameters(_ member: String) throws -> SignatureParameters {
  let dictionary = try StructuredDictionary(Array(member.utf8))
  return try SignatureParameters(try #require(dictionary.members.first), of: dictionary)
}

func base(_ member: String, of request: RequestView) throws -> String {
  String(decoding: try SignatureBase.bytes(of: request, parameters: try parameters(member)), as: UTF8.self)
}

func base(_ member: String, of response: ResponseView) throws -> String {
  String(decoding: try SignatureBase.bytes(of: response, parameters: try parameters(member)), as: UTF8.self)
}

@Suite("Signature bases of RFC 9421, appendix B.2")
struct StandardSignatureBaseTests {
  @Test
  func `B.2.1, minimal`() throws {
    let member = #"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#
    #expect(
      try base("sig-b21=" + member, of: StandardMessages.request) == #""@signature-params": "# + member)
  }

  @Test
  func `B.2.2, selective, is refused: @query-param is not supported`() {
    let member =
      #"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473"#
      + #";keyid="test-key-rsa-pss";tag="header-example""#
    #expect(throws: Malformation.componentParameters("@query-param")) { try parameters(member) }
  }

  @Test
  func `B.2.3, full coverage`() throws {
    let member =
      #"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length")"#
      + #";created=1618884473;keyid="test-key-rsa-pss""#
    #expect(
      try base("sig-b23=" + member, of: StandardMessages.request) == """
        "date": Tue, 20 Apr 2021 02:07:55 GMT
        "@method": POST
        "@path": /foo
        "@query": ?param=Value&Pet=dog
        "@authority": example.com
        "content-type": application/json
        "content-digest": \(StandardMessages.requestFields["content-digest"]![0])
        "content-length": 18
        "@signature-params": \(member)
        """)
  }

  @Test
  func `B.2.4, a response`() throws {
    let member =
      #"("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#
    #expect(
      try base("sig-b24=" + member, of: StandardMessages.response) == """
        "@status": 200
        "content-type": application/json
        "content-digest": \(StandardMessages.responseFields["content-digest"]![0])
        "content-length": 23
        "@signature-params": \(member)
        """)
  }

  @Test
  func `B.2.5, HMAC-SHA-256, with the signature of the RFC`() throws {
    let member = #"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#
    let base = try base("sig-b25=" + member, of: StandardMessages.request)
    #expect(
      base == """
        "date": Tue, 20 Apr 2021 02:07:55 GMT
        "@authority": example.com
        "content-type": application/json
        "@signature-params": \(member)
        """)
    let key = try #require(
      Base64.decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="))
    let signature = HMACSHA256.authenticate(key: key, message: Array(base.utf8))
    #expect(Base64.encode(signature) == "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=")
  }

  @Test
  func `B.2.6, ed25519`() throws {
    let member =
      #"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473"#
      + #";keyid="test-key-ed25519""#
    #expect(
      try base("sig-b26=" + member, of: StandardMessages.request) == """
        "date": Tue, 20 Apr 2021 02:07:55 GMT
        "@method": POST
        "@path": /foo
        "@authority": example.com
        "content-type": application/json
        "content-length": 18
        "@signature-params": \(member)
        """)
  }
}

/// A request's value of one component.
private func value(
  of component: String, method: String = "GET", target: String = "/path?param=value", scheme: String = "https",
  authority: String = "www.example.com", fields: Fields = [:]
) throws -> String {
  let request = RequestView(method: method, target: target, scheme: scheme, authority: authority) {
    fields[$0] ?? []
  }
  let text = try base("sig=(\"\(component)\")", of: request)
  let suffix = "\n\"@signature-params\": (\"\(component)\")"
  #expect(text.hasPrefix("\"\(component)\": ") && text.hasSuffix(suffix))
  return String(text.dropFirst(component.utf8.count + 4).dropLast(suffix.utf8.count))
}

@Suite("Values of components (RFC 9421, section 2)")
struct ComponentValueTests {
  @Test
  func `@method is taken as it is: methods are case-sensitive`() throws {
    #expect(try value(of: "@method", method: "POST") == "POST")
    #expect(try value(of: "@method", method: "post") == "post")
  }

  @Test(arguments: [
    ("/path?param=value", "/path"), ("/", "/"), ("/?a", "/"), ("/a%2Fb%3f", "/a%2Fb%3f"),
    ("/a//b/../c", "/a//b/../c"),
    ("/p?x=/?y", "/p"), ("*", "*"), ("http://www.example.com/path?x", "/path"),
    ("http://www.example.com", "/"),
    ("http://www.example.com?x=/y", "/"), ("", "/"), ("?", "/"),
  ])
  func `@path ends at the first ?, is not decoded, and is / where it is empty`(target: String, path: String)
    throws
  {
    #expect(try value(of: "@path", target: target) == path)
  }

  @Test(arguments: [
    ("/path?param=value&foo=bar&baz=bat%2Dman", "?param=value&foo=bar&baz=bat%2Dman"), ("/path?", "?"),
    ("/path", "?"), ("/path?queryString", "?queryString"), ("/p?a?b", "?a?b"), ("/p??", "??"),
    ("http://www.example.com?x=/y", "?x=/y"),
  ])
  func `@query starts with the first ?, is not decoded, and is ? where there is none`(
    target: String, query: String
  ) throws {
    #expect(try value(of: "@query", target: target) == query)
  }

  @Test(arguments: [
    ("https", "www.example.com", "www.example.com"), ("https", "WWW.Example.COM:443", "www.example.com"),
    ("http", "www.example.com:80", "www.example.com"), ("http", "www.example.com:443", "www.example.com:443"),
    ("HTTPS", "www.example.com:443", "www.example.com"), ("http", "localhost:8000", "localhost:8000"),
    ("http", "[::1]:80", "[::1]"), ("http", "[::80]", "[::80]"), ("http", "example.com:", "example.com"),
    ("http", "example.com:8080", "example.com:8080"),
  ])
  func `@authority is in lower case, without the scheme's own port`(
    scheme: String, authority: String, value expected: String
  ) throws {
    #expect(try value(of: "@authority", scheme: scheme, authority: authority) == expected)
  }

  @Test
  func `@scheme is in lower case`() throws {
    #expect(try value(of: "@scheme", scheme: "HTTPS") == "https")
    #expect(try value(of: "@scheme", scheme: "http") == "http")
  }

  @Test(arguments: ["/path?param=value", "/path", "/path?", "*", "http://www.example.com/path?x"])
  func `@request-target is the target as it was received`(target: String) throws {
    #expect(try value(of: "@request-target", target: target) == target)
  }

  @Test(arguments: [
    ("/path?param=value", "https://www.example.com/path?param=value"),
    ("/path", "https://www.example.com/path"),
    ("/path?", "https://www.example.com/path?"),
    ("https://www.example.com/a?b", "https://www.example.com/a?b"),
    ("/a%20b", "https://www.example.com/a%20b"),
  ])
  func `@target-uri is made of scheme, authority and target`(target: String, uri: String) throws {
    #expect(try value(of: "@target-uri", target: target, authority: "WWW.example.com:443") == uri)
  }

  @Test(arguments: [
    (["max-age=60", "   must-revalidate"], "max-age=60, must-revalidate"),
    (["Test  with   spaces"], "Test  with   spaces"), (["  around\t "], "around"), ([""], ""), ([" \t "], ""),
    (["a", "", "b"], "a, , b"), (["mère"], "mère"),
  ])
  func `A field's lines are trimmed and joined with a comma and a space (RFC 9421, section 2.1)`(
    lines: [String], value expected: String
  ) throws {
    #expect(try value(of: "x-field", fields: ["x-field": lines]) == expected)
  }

  @Test
  func `A field that is not there is refused`() {
    #expect(throws: Malformation.componentAbsent("x-field")) { try value(of: "x-field") }
  }

  @Test(arguments: ["a\nb", "a\rb", "a\r\n b"])
  func `A line break in a value is refused`(text: String) {
    #expect(throws: Malformation.lineBreak("x-field")) {
      try value(of: "x-field", fields: ["x-field": [text]])
    }
    #expect(throws: Malformation.lineBreak("@path")) { try value(of: "@path", target: "/" + text) }
    #expect(throws: Malformation.lineBreak("@method")) { try value(of: "@method", method: text) }
    #expect(throws: Malformation.lineBreak("@authority")) { try value(of: "@authority", authority: text) }
    #expect(throws: Malformation.lineBreak("@scheme")) { try value(of: "@scheme", scheme: text) }
  }

  @Test
  func `@status is of responses, and every other derived component of requests`() {
    #expect(throws: Malformation.componentUnknown("@status")) { try value(of: "@status") }
    for name in ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"] {
      #expect(throws: Malformation.componentUnknown(name)) {
        try base("sig=(\"\(name)\")", of: StandardMessages.response)
      }
    }
  }

  @Test
  func `Parameters are signed in the order and with the values that were sent`() throws {
    let member = #"("@path");tag="a\"b\\c";nonce="n";expires=2;keyid="k";created=1"#
    #expect(
      try base("sig=" + member, of: StandardMessages.request)
        == "\"@path\": /foo\n\"@signature-params\": " + member)
  }

  @Test(arguments: [
    (#"sig=(  "@path"   )  ;  created=1"#, false, ""),
    (#"sig=(  "@path"   );  created=1"#, true, #"("@path");created=1"#),
    (#"sig=("@path");created=0001"#, true, #"("@path");created=1"#),
    (#"sig=("@path");created=-0"#, true, #"("@path");created=0"#),
    (#"sig=("@path");created=1;nonce="n";created=2"#, true, #"("@path");created=2;nonce="n""#),
    ("  sig=(\"@path\");created=1  ", true, #"("@path");created=1"#),
  ])
  func `They are signed in canonical form, whatever was sent (RFC 9421, section 2.3)`(
    member: String, isRead: Bool, canonical: String
  ) throws {
    guard isRead else {
      #expect(throws: StructuredFieldError.self) { try parameters(member) }
      return
    }
    #expect(
      try base(member, of: StandardMessages.request) == "\"@path\": /foo\n\"@signature-params\": " + canonical)
  }
}
