import Testing

@testable import RequestSignature

private let body = #"{"hello": "world"}"#
/// RFC 9530, appendix B, of a body that ends in a line feed.
private let standardDigest = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"

private func request(digest: [String], body: String = body) -> RequestView {
  let input = "sig=" + TestDevice.member("@method", "@path", "content-digest")
  return view("POST", fields: fields(input: input, and: ["content-digest": digest]), body: body)
}

@Suite("Content-Digest (RFC 9530)")
struct ContentDigestTests {
  @Test("Is made as in RFC 9530, appendix B.1")
  func made() {
    #expect(ContentDigest.value(of: Array((body + "\n").utf8)) == standardDigest)
  }

  @Test(
    "sha-256 counts, beside others or alone",
    arguments: [
      [standardDigest], ["sha-512=:AAAA:, " + standardDigest], ["md5=1, " + standardDigest + ", x"],
      ["sha-512=:AAAA:", standardDigest], ["sha-256=:AAAA:, " + standardDigest],
      [standardDigest + ";x=1"],
    ])
  func matches(lines: [String]) throws {
    let request = request(digest: lines, body: body + "\n")
    #expect(try #require(try RequestProof(request)).hasDigest(of: request.body))
  }

  @Test(
    "A digest that does not match is reported",
    arguments: [
      standardDigest, "sha-256=::", "sha-256=:AAAA:", ContentDigest.value(of: []),
      standardDigest + ", sha-256=:AAAA:",
    ])
  func mismatch(value: String) throws {
    let request = request(digest: [value])
    #expect(try !#require(try RequestProof(request)).hasDigest(of: request.body))
  }

  @Test(
    "Without sha-256 it is refused",
    arguments: [
      "", "sha-512=:AAAA:", "sha-256", "sha-256=1", #"sha-256="AAAA""#, "sha-256=(:AAAA:)", "md5=:AAAA:",
      "sha-2566=::",
    ])
  func missing(value: String) {
    #expect(malformation(request(digest: [value])) == .digestMissing)
  }

  @Test(
    "What cannot be read is refused",
    arguments: ["sha-256", "SHA-256=:AAAA:", "sha-256=:AAA:", "sha-256=:AAAA"])
  func malformed(value: String) {
    guard case .field("Content-Digest", _) = malformation(request(digest: [value + ","])) else {
      Issue.record("it was read")
      return
    }
  }

  @Test("It is tested where it is sent, covered or not, with a body or without")
  func whereSent() throws {
    let input = "sig=" + TestDevice.member("@method", "@path")
    func proof(_ digest: String) throws(Malformation) -> RequestProof? {
      try RequestProof(view(fields: fields(input: input, and: ["content-digest": [digest]])))
    }
    #expect(try #require(try proof(ContentDigest.value(of: []))).hasDigest(of: []))
    #expect(try !#require(try proof(standardDigest)).hasDigest(of: []))
    #expect(throws: Malformation.digestMissing) { try proof("sha-512=:AAAA:") }
    #expect(try #require(try RequestProof(view(fields: fields(input: input)))).hasDigest(of: []))
  }
}
