import Encoding
import TestSupport
import Testing

@testable import HTTP

@Suite("Whose request it is") struct ClientAddressTests {
  @Test(arguments: ["0.0.0.0", "192.0.2.1", "::", "::1", "2001:db8::8:800:200c:417a", "fe80::1"])
  func `an address is read and written`(text: String) throws {
    #expect(try #require(IPAddress(text)).description == text)
  }

  @Test
  func `an address of version 4 is the same where it comes mapped`() {
    #expect(IPAddress("::ffff:192.0.2.1") == IPAddress("192.0.2.1"))
    #expect(IPAddress("192.0.2.1") != IPAddress("::192.0.2.1"))
  }

  @Test(arguments: [
    "", " ", "1", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4:80", "[::1]", "::1%lo",
    ":::",
    "1.2.3.4\0", "unknown", "localhost", String(repeating: ":", count: 200),
  ])
  func `what is no address is none`(text: String) { #expect(IPAddress(text) == nil) }

  @Test(arguments: [
    ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false), ("0.0.0.0/0", "8.8.8.8", true),
    ("0.0.0.0/0", "::1", false), ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.6", false),
    ("192.0.2.6/31", "192.0.2.7", true), ("2001:db8::/32", "2001:db8:ffff::1", true),
    ("2001:db8::/32", "2001:db9::1", false), ("2001:db8::/65", "2001:db8::7fff:0:0:1", true),
    ("2001:db8::/65", "2001:db8::8000:0:0:1", false), ("::/0", "192.0.2.1", true), ("::1", "::1", true),
  ])
  func `a prefix holds the addresses that begin with it`(prefix: String, address: String, holds: Bool) throws {
    #expect(try #require(IPPrefix(prefix)).contains(IPAddress(address)!) == holds)
  }

  @Test(arguments: [
    "", ",", "10.0.0.0/8,", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/8", "::/129",
    "2001:db8::1/32", "proxy.example", "10.0.0.0/08888",
  ])
  func `what is no list of proxies is refused`(text: String) {
    #expect(throws: TrustedProxies.Malformation.self) { try TrustedProxies(text) }
  }

  @Test
  func `a malformed proxy is named`() {
    #expect(throws: TrustedProxies.Malformation(word: "10.0.0.256")) {
      try TrustedProxies("10.0.0.0/8, 10.0.0.256, ::1")
    }
  }

  /// Lines of X-Forwarded-For, and whom they name where 10.0.0.0/8 and 2001:db8::/32 are trusted and 10.0.0.1 is the peer.
  @Test(arguments: [
    ([], "10.0.0.1"),
    (["192.0.2.1"], "192.0.2.1"),
    (["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
    (["198.51.100.1,192.0.2.1 , 10.0.0.2,\t10.0.0.3"], "192.0.2.1"),
    (["198.51.100.1", "192.0.2.1", "10.0.0.2"], "192.0.2.1"),
    (["198.51.100.1, 10.0.0.3", "10.0.0.2"], "198.51.100.1"),
    (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    (["203.0.113.9, 2001:db8::1"], "203.0.113.9"),
    (["2001:db9::1"], "2001:db9::1"),
    (["192.0.2.1:4711"], "192.0.2.1"),
    (["[2001:db9::1]"], "2001:db9::1"),
    (["[2001:db9::1]:4711, 10.0.0.2:80"], "2001:db9::1"),
    (["::ffff:192.0.2.1"], "192.0.2.1"),
    // What cannot be read ends the search.
    (["192.0.2.1, unknown"], "10.0.0.1"),
    (["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
    (["192.0.2.1, , 10.0.0.2"], "10.0.0.2"),
    (["192.0.2.1", ""], "10.0.0.1"),
    (["192.0.2.1:port"], "10.0.0.1"),
    (["192.0.2.1:123456"], "10.0.0.1"),
    (["[2001:db9::1"], "10.0.0.1"),
    (["[2001:db9::1]x"], "10.0.0.1"),
    (["[]:1"], "10.0.0.1"),
    ([":1"], "10.0.0.1"),
    (["\"192.0.2.1\""], "10.0.0.1"),
    ([","], "10.0.0.1"),
  ])
  func `the first that is not trusted is the client, and what cannot be read ends the search`(
    lines: [String], client: String
  ) throws {
    let proxies = try TrustedProxies("10.0.0.0/8,2001:db8::/32")
    let fields = Self.fields(lines.map { ("X-Forwarded-For", $0) } + [("Forwarded", "for=203.0.113.1")])
    #expect(proxies.client(of: IPAddress("10.0.0.1")!, fields) == IPAddress(client)!)
  }

  @Test
  func `a peer that is not trusted is the client, whatever it says`() throws {
    let fields = Self.fields([("X-Forwarded-For", "192.0.2.1")])
    #expect(TrustedProxies.none.client(of: IPAddress("10.0.0.1")!, fields) == IPAddress("10.0.0.1"))
    let proxies = try TrustedProxies("10.0.0.2")
    #expect(proxies.client(of: IPAddress("10.0.0.1")!, fields) == IPAddress("10.0.0.1"))
  }

  @Test
  func `the search ends after the maximum number of proxies`() throws {
    let proxies = try TrustedProxies("10.0.0.0/8")
    let chain = (0..<100).reversed().map { "10.0.1.\($0)" }.joined(separator: ", ")
    let client = proxies.client(
      of: IPAddress("10.0.0.1")!, Self.fields([("X-Forwarded-For", "192.0.2.1, " + chain)]))
    #expect(client == IPAddress("10.0.1.\(TrustedProxies.maximumHops - 1)"))
  }

  @Test
  func `a request comes from its connection's peer`() async throws {
    try await TestServer.run { server in
      let answer = try await server.client.send("GET", "/client", fields: [("X-Forwarded-For", "192.0.2.1")])
      #expect(answer.text == "127.0.0.1")
    }
  }

  @Test
  func `a trusted proxy names the client of each request`() async throws {
    try await TestServer.run(trustedProxies: TrustedProxies("127.0.0.0/8")) { server in
      let requests = ["198.51.100.1, 192.0.2.1", "2001:db8::1"].map {
        "GET /client HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \($0)\r\n\r\n"
      }
      let answers = try await server.client.sendRaw(Array(requests.joined().utf8), methods: ["GET", "GET"])
      #expect(answers.map(\.text) == ["192.0.2.1", "2001:db8::1"])
    }
  }

  private static func fields(_ lines: [(String, String)]) -> HeaderFields {
    let section = lines.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
    return try! HeaderFields(Array(section.utf8), maximumLines: lines.count)
  }
}
