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
  @Test
  func `Is made as in RFC 9530, appendix B.1`() {
    #expect(ContentDigest.value(of: Array((body + "\n").utf8)) == standardDigest)
  }

  @Test(arguments: [
    [standardDigest], ["sha-512=:AAAA:, " + standardDigest], ["md5=1, " + standardDigest + ", x"],
    ["sha-512=:AAAA:", standardDigest], ["sha-256=:AAAA:, " + standardDigest],
    [standardDigest + ";x=1"],
  ])
  func `sha-256 counts, beside others or alone`(lines: [String]) throws {
    let request = request(digest: lines, body: body + "\n")
    #expect(try #require(try RequestProof(request)).hasDigest(of: request.body))
  }

  @Test(arguments: [
    standardDigest, "sha-256=::", "sha-256=:AAAA:", ContentDigest.value(of: []),
    standardDigest + ", sha-256=:AAAA:",
  ])
  func `A digest that does not match is reported`(value: String) throws {
    let request = request(digest: [value])
    #expect(try !#require(try RequestProof(request)).hasDigest(of: request.body))
  }

  @Test(arguments: [
    "", "sha-512=:AAAA:", "sha-256", "sha-256=1", #"sha-256="AAAA""#, "sha-256=(:AAAA:)", "md5=:AAAA:",
    "sha-2566=::",
  ])
  func `Without sha-256 it is refused`(value: String) {
    #expect(malformation(request(digest: [value])) == .digestMissing)
  }

  @Test(arguments: ["sha-256", "SHA-256=:AAAA:", "sha-256=:AAA:", "sha-256=:AAAA"])
  func `What cannot be read is refused`(value: String) {
    guard case .field("Content-Digest", _) = malformation(request(digest: [value + ","])) else {
      Issue.record("it was read")
      return
    }
  }

  @Test
  func `It is tested where it is sent, covered or not, with a body or without`() throws {
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
