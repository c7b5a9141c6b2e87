import Encoding
import Testing

@testable import RequestSignature

private func signer() throws -> RequestSigner { try RequestSigner(keyID: TestDevice.id, keys: TestDevice.keys) }

private func sign(
  _ request: RequestView, nonce: String = TestDevice.nonce, created: Int64 = TestDevice.created,
  expires: Int64? = nil, tag: String? = nil, covering: [Component] = []
) throws -> SignatureFields {
  try signer().sign(
    request, nonce: nonce, created: created, expires: expires, tag: tag, covering: covering)
}

@Suite("Signing a request")
struct RequestSignerTests {
  @Test(arguments: ["", #"{"acks":[]}"#], ["/p", "/p?", "/p?a=b"])
  func `What it signs verifies`(body: String, target: String) throws {
    let others: Fields = ["x-a": ["1", "2"], "content-digest": ["stale"]]
    let signed = try sign(
      view("POST", target, fields: others, body: body), expires: TestDevice.created, tag: #"a"\b"#,
      covering: [.targetURI, .field("x-a"), .path])
    var fields: Fields = ["x-a": ["1", "2"]]
    for line in signed.lines { fields[line.name.lowercased()] = [line.value] }
    #expect((signed.contentDigest == nil) == body.isEmpty)
    let request = view("POST", target, fields: fields, body: body)
    #expect(isAccepted(request, storedKey: TestDevice.storedKey))
    let proof = try #require(try RequestProof(request))
    #expect(proof.tag == #"a"\b"#)
    #expect(proof.covered.contains(.query) == target.contains("?"))
  }

  @Test
  func `The fields come with their names`() throws {
    let signed = try sign(view("POST", "/p", fields: [:], body: "x"))
    #expect(signed.lines.map(\.name) == ["Content-Digest", "Signature-Input", "Signature"])
    #expect(try sign(view(fields: [:])).lines.map(\.name) == ["Signature-Input", "Signature"])
  }

  @Test
  func `What a server would refuse is not signed`() throws {
    let poll = view(fields: ["x": ["a\nb"], "X": ["a"]])
    #expect(throws: Malformation.parameterMisshapen("nonce")) { try sign(poll, nonce: "short") }
    #expect(throws: Malformation.parameterMisshapen("created")) { try sign(poll, created: -1) }
    #expect(throws: Malformation.parameterMisshapen("created")) {
      try sign(poll, created: 1_000_000_000_000_000)
    }
    #expect(throws: Malformation.parameterMisshapen("expires")) { try sign(poll, expires: .max) }
    #expect(throws: Malformation.parameterMisshapen("tag")) { try sign(poll, tag: "a\nb") }
    #expect(throws: Malformation.componentAbsent("y")) { try sign(poll, covering: [.field("y")]) }
    #expect(throws: Malformation.lineBreak("x")) { try sign(poll, covering: [.field("x")]) }
    #expect(throws: Malformation.componentUnknown("X")) { try sign(poll, covering: [.field("X")]) }
    #expect(throws: Malformation.componentUnknown("@path")) { try sign(poll, covering: [.field("@path")]) }
    #expect(throws: Malformation.componentUnknown("@status")) { try sign(poll, covering: [.status]) }
    #expect(throws: Malformation.componentRepeated("@scheme")) { try sign(poll, covering: [.scheme, .scheme]) }
    #expect(throws: Malformation.parameterMisshapen("keyid")) {
      try RequestSigner(keyID: "key", keys: TestDevice.keys)
    }
  }

  @Test
  func `Keys and signatures are not printed`() throws {
    let signed = try sign(view(fields: [:]))
    let fields: Fields = ["signature-input": [signed.signatureInput], "signature": [signed.signature]]
    let proof = try #require(try RequestProof(view(fields: fields)))
    let secret = String(signed.signature.dropFirst("sig1=:".count).dropLast())
    let bytes = try #require(Base64.decode(secret))
    for value in [signed, proof, TestDevice.keys] as [Any] {
      var text = ""
      dump(value, to: &text)
      text += "\(value)" + String(reflecting: value)
      #expect(!text.contains(secret) && !text.contains("\(bytes[0]), \(bytes[1])"))
    }
    #expect("\(TestDevice.keys)" == "<redacted>")
  }
}

@Suite("Verifying a response")
struct ResponseVerifierTests {
  private static let body = #"{"signals":[]}"#

  private static func fields(status: Int = 200, keyID: String = TestDevice.id, nonce: String = TestDevice.nonce)
    -> Fields
  {
    let signed = ResponseSigner.sign(
      status: status, body: Array(body.utf8), created: TestDevice.created, keyID: keyID, nonce: nonce,
      serverKey: TestDevice.serverKey)
    return Dictionary(uniqueKeysWithValues: signed.lines.map { ($0.name.lowercased(), [$0.value]) })
  }

  private func refusal(status: Int = 200, fields: Fields = fields(), body: String = body) throws
    -> ResponseRefusal?
  {
    let response = ResponseView(status: status, body: Array(body.utf8)) { fields[$0] ?? [] }
    do {
      try signer().responseVerifier(nonce: TestDevice.nonce).verify(response)
      return nil
    } catch let refusal as ResponseRefusal { return refusal }
  }

  @Test(arguments: [200, 204, 400, 404, 503])
  func `The registry's answer is accepted, whatever its status`(status: Int) throws {
    #expect(try refusal(status: status, fields: Self.fields(status: status)) == nil)
  }

  @Test
  func `An unsigned one is refused`() throws {
    #expect(try refusal(fields: [:]) == .unsigned)
    #expect(try refusal(fields: ["content-digest": Self.fields()["content-digest"]!]) == .unsigned)
  }

  @Test
  func `Half a signature is refused`() throws {
    var fields = Self.fields()
    fields["signature"] = nil
    #expect(try refusal(fields: fields) == .malformed(.fieldMissing("Signature")))
    fields = Self.fields()
    fields["content-digest"] = nil
    #expect(try refusal(fields: fields) == .malformed(.componentAbsent("content-digest")))
  }

  @Test
  func `Another status, body, device or nonce is refused`() throws {
    #expect(try refusal(status: 201) == .signatureMismatch)
    #expect(try refusal(body: "{}") == .digestMismatch)
    let other = "ffffffff-ffff-ffff-ffff-ffffffffffff"
    #expect(try refusal(fields: Self.fields(keyID: other)) == .malformed(.keyIDUnknown))
    #expect(try refusal(fields: Self.fields(nonce: "anotherNonce")) == .otherNonce)
  }

  @Test(arguments: [([Component.status], "content-digest"), ([.contentDigest], "@status"), ([], "@status")])
  func `One that covers less is refused, though it is signed`(covered: [Component], missing: String) throws {
    let digest = ContentDigest.value(of: Array(Self.body.utf8))
    let parameters = SignatureParameters(
      covered: covered, created: TestDevice.created, keyID: TestDevice.id, nonce: TestDevice.nonce)
    let fields = SignatureFields(
      contentDigest: digest, label: "sig", parameters: parameters, signature: [UInt8](repeating: 0, count: 32))
    let lines = Dictionary(uniqueKeysWithValues: fields.lines.map { ($0.name.lowercased(), [$0.value]) })
    #expect(try refusal(fields: lines) == .malformed(.componentNotCovered(missing)))
  }

  @Test(arguments: ["signature-input", "signature", "content-digest"])
  func `No byte of its fields can be another`(field: String) throws {
    let fields = Self.fields()
    let bytes = Array(fields[field]![0].utf8)
    for index in bytes.indices {
      for bit in 0..<8 {
        var changed = bytes
        changed[index] ^= 1 << bit
        var tampered = fields
        tampered[field] = [String(decoding: changed, as: UTF8.self)]
        #expect(try refusal(fields: tampered) != nil)
      }
    }
  }

  @Test
  func `A request's proof is no answer, and an answer no request`() throws {
    let signed = try sign(view("POST", "/p", fields: [:], body: Self.body))
    let fields = Dictionary(uniqueKeysWithValues: signed.lines.map { ($0.name.lowercased(), [$0.value]) })
    #expect(try refusal(fields: fields) == .malformed(.componentNotCovered("@status")))
    #expect(!isAccepted(view(fields: Self.fields()), storedKey: TestDevice.storedKey))
  }
}

@Suite("Texts for people")
struct DescriptionTests {
  @Test
  func `Every malformation says what is wrong`() {
    let all: [Malformation] = [
      .field("Signature", .tooLong), .field("Signature", .tooManyItems), .field("Signature", .tooManyMembers),
      .field("Signature", .tooManyParameters), .fieldMissing("Signature"), .keyIDUnknown, .notAList(label: "a"),
      .signatureMissing(label: "a"), .signatureMisshapen(label: "a"), .componentNotString,
      .componentParameters("a"),
      .componentUnknown("a"), .componentRepeated("a"), .componentAbsent("a"), .componentNotCovered("a"),
      .lineBreak("a"), .parameterMissing("a"), .parameterMisshapen("a"), .parameterRefused("a"), .digestMissing,
    ]
    #expect(Set(all.map(\.description)).count == all.count)
    let refusals: [ResponseRefusal] = [
      .unsigned, .malformed(.keyIDUnknown), .otherNonce, .digestMismatch, .signatureMismatch,
    ]
    #expect(Set(refusals.map(\.description)).count == refusals.count)
  }
}
