import Testing

@testable import RequestSignature

@Suite("The signature test cases")
struct GoldenCaseTests {
  @Test(arguments: GoldenCase.all)
  func `A request verifies`(golden: GoldenCase) throws {
    let request = golden.requestView()
    let proof = try #require(try RequestProof(request))
    #expect(proof.keyID == golden.request.device_id)
    #expect(proof.nonce == golden.request.nonce)
    #expect(proof.created == golden.request.created)
    #expect(proof.hasDigest(of: request.body))
    #expect(proof.verify(storedKey: golden.storedKey))
    #expect(!proof.verify(storedKey: [UInt8](repeating: 7, count: 32)))
  }

  @Test(arguments: GoldenCase.all)
  func `A request's signature base is the other implementation's`(golden: GoldenCase) throws {
    let request = golden.requestView()
    let message = try #require(
      try MessageSignature(value: request.value, where: { KeyID.isWellFormed($0) }))
    let base = try SignatureBase.bytes(of: request, parameters: message.parameters)
    #expect(String(decoding: base, as: UTF8.self) == golden.request.signature_base)
    #expect(golden.keys.proof(of: base) == message.signature)
  }

  @Test(arguments: GoldenCase.all)
  func `The keys that are derived sign alike`(golden: GoldenCase) {
    let base = Array(golden.request.signature_base.utf8)
    let proof = bytes(hex: golden.client_key).withUnsafeBufferPointer { clientKey in
      golden.storedKey.withUnsafeBufferPointer { storedKey in
        ScramProof.make(base: base, clientKey: clientKey, storedKey: storedKey)
      }
    }
    #expect(proof == golden.keys.proof(of: base))
    #expect(ScramProof.verify(proof, base: base, storedKey: golden.storedKey))
  }

  @Test(arguments: GoldenCase.all)
  func `A response is signed to the byte`(golden: GoldenCase) {
    let response = golden.responseView()
    let fields = ResponseSigner.sign(
      status: response.status, body: response.body, created: 1_893_456_001, keyID: golden.request.device_id,
      nonce: golden.request.nonce, serverKey: bytes(hex: golden.server_key))
    #expect(fields.contentDigest == golden.response.headers["content-digest"])
    #expect(fields.signatureInput == golden.response.headers["signature-input"])
    #expect(fields.signature == golden.response.headers["signature"])
  }

  @Test(arguments: GoldenCase.all)
  func `A response verifies`(golden: GoldenCase) throws {
    #expect(try golden.responseVerifier.verify(golden.responseView()) == 1_893_456_001)
  }

  @Test(arguments: GoldenCase.all)
  func `A response's signature base is the file's`(golden: GoldenCase) throws {
    let response = golden.responseView()
    let message = try #require(
      try MessageSignature(value: response.value, where: { KeyID.isWellFormed($0) }))
    let base = try SignatureBase.bytes(of: response, parameters: message.parameters)
    #expect(String(decoding: base, as: UTF8.self) == golden.response.signature_base)
  }

  @Test(arguments: [
    "a poll", "a poll with a query", "a query with percent-encoding and an empty value", "an ack",
    "a body in UTF-8", "a header field covered, inner spaces kept", "the target URI covered too",
    "the shortest nonce", "the longest nonce",
  ])
  func `A request is signed to the byte, if its parameters are in our order`(name: String) throws {
    let golden = GoldenCase.named(name)
    var fields = golden.fields
    for name in ["content-digest", "signature-input", "signature"] { fields[name] = nil }
    let proof = try #require(try RequestProof(golden.requestView()))
    let signer = try RequestSigner(keyID: golden.request.device_id, keys: golden.keys)
    let signed = try signer.sign(
      golden.requestView(fields: fields), nonce: golden.request.nonce, created: golden.request.created,
      covering: proof.covered)
    #expect(signed.contentDigest == golden.request.headers["content-digest"])
    #expect(signed.signatureInput == golden.request.headers["signature-input"])
    #expect(signed.signature == golden.request.headers["signature"])
  }
}
