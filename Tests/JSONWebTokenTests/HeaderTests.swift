import JSONWebToken
import Testing

@Suite("Headers and the compact form: attacks")
struct HeaderTests {
  private let verifier = TokenVerifier(secret: TokenSecret(secretText.utf8)!)

  private func expectError(_ error: TokenError?, _ token: String) async {
    await expect(error) { () async throws(TokenError) in
      try await verifier.verify(token, nowMilliseconds: now * 1000)
    }
  }

  @Test(
    arguments: [
      (#"{"alg":"HS256","typ":"JWT"}"#, nil), (#"{"alg":"HS256","typ":"at+JWT"}"#, nil),
      (#"{"alg":"HS256","typ":"application/at+jwt","kid":"ignored"}"#, nil),
      (#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"},"jku":"https://evil.example"}"#, nil),
      (#"{"alg":"HS256","typ":"dpop+jwt"}"#, .wrongType), (#"{"alg":"HS256","typ":1}"#, .malformed(.header)),
      (#"{"alg":"none"}"#, .algorithmNotAllowed), (#"{"alg":"NONE"}"#, .algorithmNotAllowed),
      (#"{"alg":"hs256"}"#, .algorithmNotAllowed), (#"{"alg":"HS384"}"#, .algorithmNotAllowed),
      (#"{"alg":"HS512"}"#, .algorithmNotAllowed), (#"{"alg":"EdDSA"}"#, .algorithmNotAllowed),
      (#"{"alg":"RS256"}"#, .algorithmNotAllowed), (#"{"alg":1}"#, .malformed(.header)),
      (#"{}"#, .malformed(.header)), (#"{"alg":"HS256","kid":7}"#, .malformed(.header)),
      (#"{"alg":"HS256","crit":["b64"],"b64":false}"#, .criticalHeader),
      (#"{"alg":"HS256","crit":[]}"#, .criticalHeader), (#"{"alg":"none","alg":"HS256"}"#, .malformed(.header)),
      (#"{"alg":"HS256"}x"#, .malformed(.header)), (#"[]"#, .malformed(.header)),
    ] as [(String, TokenError?)])
  func `The header is checked before the signature`(header: String, error: TokenError?) async {
    await expectError(error, hmacToken(header: header, claims: goodClaims))
  }

  @Test
  func `A missing, changed or foreign signature is refused`() async {
    let good = hmacToken(claims: goodClaims)
    await expectError(nil, good)
    let parts = good.split(separator: ".")
    await expectError(.wrongSignature, "\(parts[0]).\(parts[1]).")
    await expectError(.wrongSignature, "\(parts[0]).\(parts[1]).\(base64URL([UInt8](repeating: 0, count: 32)))")
    let otherClaims = base64URL(#"{"sub":"client-2","exp":1893456060}"#.utf8)
    await expectError(.wrongSignature, "\(parts[0]).\(otherClaims).\(parts[2])")
    await expectError(.wrongSignature, hmacToken(claims: goodClaims, secret: [UInt8](repeating: 1, count: 32)))
    await expectError(
      .algorithmNotAllowed, base64URL(#"{"alg":"none"}"#.utf8) + "." + base64URL(goodClaims.utf8) + ".")
  }

  @Test
  func `Only three parts in canonical base64url are accepted`() async {
    let good = hmacToken(claims: goodClaims)
    for token in [
      "", ".", "..", "a.b", good + ".", good + "=", good + "\n", " " + good, good + ".a", "+/.e30.e30",
    ] {
      let error: TokenError = token == ".." ? .malformed(.header) : .malformed(.structure)
      await expectError(error, token)
    }
    await expectError(.encrypted, "a.b.c.d.e")
    await expectError(.malformed(.structure), "a.b.c.d.e.f")
    // In 32 bytes two bits of the last character are unused: setting them encodes the same bytes differently.
    let last = good.unicodeScalars.last!
    #expect("AEIMQUYcgkosw048".unicodeScalars.contains(last))
    await expectError(.malformed(.structure), good.dropLast() + String(Unicode.Scalar(last.value + 1)!))
  }

  @Test
  func `A token has 8 KiB at most`() async {
    await expectError(.tooLong, String(repeating: "a", count: TokenVerifier.maximumTokenLength + 1))
    await expectError(.malformed(.structure), String(repeating: "a", count: TokenVerifier.maximumTokenLength))
  }

  @Test
  func `Descriptions of errors contain only characters that error_description allows`() {
    let errors: [TokenError] = [
      .tooLong, .malformed(.structure), .malformed(.header), .encrypted, .wrongType, .criticalHeader,
      .algorithmNotAllowed, .unknownKey, .ambiguousKey, .algorithmDoesNotFitKey, .keysUnavailable,
      .wrongSignature, .missing(.sub), .wrongForm(.exp), .expired,
      .livesTooLong(maximumDays: 1, isInMilliseconds: false),
      .livesTooLong(maximumDays: 1, isInMilliseconds: true), .notYetValid, .issuedInTheFuture,
      .wrongIssuer, .wrongAudience, .unexpectedAudience,
    ]
    #expect(Set(errors.map(\.description)).count == errors.count)
    for text in errors.map(\.description) {
      #expect(text.unicodeScalars.allSatisfy { $0.isASCII && $0 >= " " && $0 != "\"" && $0 != "\\" })
    }
  }
}

@Suite("Signing with the shared secret")
struct TokenSignerTests {
  private let secret = TokenSecret(secretText.utf8)!

  @Test
  func `A signed token verifies, with the required issuer and audience`() async throws {
    let signer = TokenSigner(secret: secret, issuer: "me", audience: "registry")
    let text = try #require(
      signer.sign(subject: "ü\"c", scope: "registry:admin", issuedAtSeconds: now, lifetimeSeconds: 60))
    let verifier = TokenVerifier(secret: secret, issuer: "me", audience: "registry")
    let token = try await verifier.verify(text, nowMilliseconds: now * 1000)
    #expect(token.subject == "ü\"c")
    #expect(token.scopes == ["registry:admin"])
    #expect(token.expiresAtMilliseconds == (now + 60) * 1000)
    await #expect(throws: TokenError.expired) {
      try await verifier.verify(text, nowMilliseconds: (now + 90) * 1000)
    }
  }

  @Test
  func `A token of the secret before verifies while that one is known, and no other`() async throws {
    let old = TokenSecret("the secret before, of more than 32 bytes".utf8)!
    func verify(_ signing: TokenSecret, previous: TokenSecret?) async throws(TokenError) -> String {
      let text = TokenSigner(secret: signing).sign(subject: "a", issuedAtSeconds: now, lifetimeSeconds: 60)!
      let verifier = TokenVerifier(secret: secret, previousSecret: previous)
      return try await verifier.verify(text, nowMilliseconds: now * 1000).subject
    }
    #expect(try await verify(secret, previous: old) == "a")
    #expect(try await verify(old, previous: old) == "a")
    await #expect(throws: TokenError.wrongSignature) { try await verify(old, previous: nil) }
    let other = TokenSecret("a secret of somebody else, of 32 bytes".utf8)!
    await #expect(throws: TokenError.wrongSignature) { try await verify(other, previous: old) }
  }

  @Test
  func `Texts with a NUL and an overflowing expiry are not signed`() {
    let signer = TokenSigner(secret: secret)
    #expect(signer.sign(subject: "a\u{0}b", issuedAtSeconds: now, lifetimeSeconds: 60) == nil)
    #expect(signer.sign(subject: "a", issuedAtSeconds: .max, lifetimeSeconds: 60) == nil)
  }

  @Test
  func `A secret has 32 bytes or more, and prints as <redacted>`() {
    #expect(TokenSecret([]) == nil)
    #expect(TokenSecret([UInt8](repeating: 1, count: 31)) == nil)
    #expect(TokenSecret([UInt8](repeating: 1, count: 32)) != nil)
    #expect("\(secret)" == "<redacted>" && String(reflecting: secret) == "<redacted>")
    #expect(Mirror(reflecting: secret).children.isEmpty)
  }
}
