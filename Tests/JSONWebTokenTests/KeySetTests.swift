import JSONWebToken
import Testing

func keySet(_ keys: String...) -> [UInt8] { Array(#"{"keys":[\#(keys.joined(separator: ","))]}"#.utf8) }

@Suite("Key sets")
struct KeySetTests {
  private func expectError(_ error: TokenError?, _ token: String, _ keys: String...) async throws {
    let set = try JWKSet(json: Array(#"{"keys":[\#(keys.joined(separator: ","))]}"#.utf8))
    let verifier = TokenVerifier(secret: TokenSecret(secretText.utf8)!, keys: set)
    await expect(error) { () async throws(TokenError) in
      try await verifier.verify(token, nowMilliseconds: now * 1000)
    }
  }

  @Test(arguments: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"])
  func `Every algorithm verifies with its key, and not with another key`(algorithm: String) async throws {
    let key = ["ES256": TestKey.p256, "ES384": .p384, "ES512": .p521][algorithm] ?? .rsa
    let id = #""kid":"a""#
    try await expectError(nil, token(key, algorithm, kid: "a"), key.jwk(id))
    try await expectError(nil, token(key, algorithm), key.jwk(id))
    try await expectError(
      nil, token(key, algorithm, kid: "a"), key.jwk(id + #","use":"sig","alg":"\#(algorithm)""#))
    let good = token(key, algorithm, kid: "a")
    let message = good.split(separator: ".").dropLast().joined(separator: ".")
    try await expectError(.wrongSignature, message + ".", key.jwk(id))
    try await expectError(.wrongSignature, message + "." + base64URL(key.sign("x", algorithm)), key.jwk(id))
    let padded = [0] + key.sign(message, algorithm) + [0]
    try await expectError(.wrongSignature, message + "." + base64URL(padded), key.jwk(id))
  }

  @Test
  func `The kid selects the key, and the key determines the algorithm`() async throws {
    let (rsa, other) = (TestKey.rsa.jwk(#""kid":"a""#), TestKey.otherRSA.jwk(#""kid":"b""#))
    let curve = TestKey.p256.jwk(#""kid":"c""#)
    try await expectError(nil, token(.otherRSA, "RS256", kid: "b"), rsa, other)
    try await expectError(.wrongSignature, token(.otherRSA, "RS256", kid: "a"), rsa, other)
    try await expectError(.unknownKey, token(.rsa, "RS256", kid: "z"), rsa, other)
    try await expectError(.ambiguousKey, token(.rsa, "RS256"), rsa, other)
    try await expectError(nil, token(.p256, "ES256"), rsa, other, curve)
    try await expectError(.unknownKey, token(.p384, "ES384"), rsa, other, curve)
    try await expectError(.algorithmDoesNotFitKey, token(.p256, "ES256", kid: "a"), rsa, curve)
    try await expectError(.algorithmDoesNotFitKey, token(.p384, "ES384", kid: "c"), curve)
    let bound = TestKey.rsa.jwk(#""kid":"a","alg":"PS256""#)
    try await expectError(.algorithmDoesNotFitKey, token(.rsa, "RS256", kid: "a"), bound)
    try await expectError(.wrongSignature, token(.rsa, "PS256", kid: "a", signedAs: "RS256"), bound)
    try await expectError(.ambiguousKey, token(.rsa, "RS256", kid: "a"), rsa, rsa)
  }

  @Test
  func `A public key is not accepted as an HMAC key`() async throws {
    let jwk = TestKey.rsa.jwk(#""kid":"a""#)
    let forged = hmacToken(header: #"{"alg":"HS256","kid":"a"}"#, claims: goodClaims, secret: Array(jwk.utf8))
    try await expectError(.wrongSignature, forged, jwk)
    let verifier = TokenVerifier(secret: nil, keys: try JWKSet(json: keySet(jwk)))
    await #expect(throws: TokenError.algorithmNotAllowed) {
      try await verifier.verify(forged, nowMilliseconds: now * 1000)
    }
  }

  @Test(arguments: [
    (#"{"kty":"oct","k":"AAAA","kid":"a"}"#, "symmetric"), (#"{"kty":"OKP","crv":"Ed25519"}"#, "kty"),
    ("{}", "kty"),
    ("7", "object"), (TestKey.shortRSA.jwk(), "1024 bits"), (TestKey.rsa.jwk(#""use":"enc""#), "use"),
    (TestKey.rsa.jwk(#""key_ops":["sign"]"#), "key_ops"), (TestKey.rsa.jwk(#""alg":"RSA-OAEP""#), "alg"),
    (TestKey.rsa.jwk(#""alg":"ES256""#), "alg"), (TestKey.rsa.jwk(#""alg":"HS256""#), "alg"),
    (TestKey.rsa.jwk(#""kid":1"#), "kid"), (TestKey.p256.jwk(#""alg":"ES384""#), "alg"),
    (TestKey.p256.jwk(curve: "P-384"), "48 bytes"), (TestKey.p256.jwk(curve: "secp256k1"), "curve"),
    (
      #"{"kty":"EC","crv":"P-256","x":"\#(TestKey.p256.coordinate("qx"))","y":"\#(TestKey.p256.coordinate("qx"))"}"#,
      "on its curve"
    ), (#"{"kty":"EC","crv":"P-256","x":"A","y":"A"}"#, "base64url"), (#"{"kty":"RSA","e":"AQAB"}"#, "no n"),
    (TestKey.rsa.jwk().replacing("AQAB", with: "AQ"), "exponent"),
    (TestKey.rsa.jwk().replacing("AQAB", with: "AQAA"), "exponent"),
  ])
  func `Unusable keys are listed with the reason`(key: String, reason: String) throws {
    let set = try JWKSet(json: keySet(key, TestKey.p384.jwk()))
    #expect(set.count == 1)
    #expect(set.refusals.count == 1 && set.refusals[0].contains(reason), "\(set.refusals)")
    let error = #expect(throws: JWKSetError.self) { try JWKSet(json: keySet(key)) }
    #expect(try #require(error).description.contains(reason))
  }

  @Test
  func `Invalid key sets have distinct errors`() {
    for text in ["", "[]", "{}", #"{"keys":{}}"#, #"{"keys":[],"keys":[]}"#, #"{"keys":[]} x"#] {
      #expect(throws: JWKSetError.notAKeySet) { try JWKSet(json: Array(text.utf8)) }
    }
    #expect(throws: JWKSetError.noUsableKey(refusals: [])) { try JWKSet(json: keySet()) }
    #expect(throws: JWKSetError.tooLarge) { try JWKSet(json: [UInt8](repeating: 32, count: 256 * 1024 + 1)) }
    let many = Array(#"{"keys":[\#(String(repeating: "1,", count: 100))1]}"#.utf8)
    #expect(throws: JWKSetError.tooManyKeys(101)) { try JWKSet(json: many) }
    let errors: [JWKSetError] = [
      .notAKeySet, .tooLarge, .tooManyKeys(101), .notHTTPS, .notFetched(reason: "x"),
    ]
    #expect(Set(errors.map(\.description)).count == errors.count)
  }
}
