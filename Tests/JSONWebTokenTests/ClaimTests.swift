import JSONWebToken
import Testing

@Suite("Claims, under a shared secret")
struct ClaimTests {
  private let verifier = TokenVerifier(secret: TokenSecret(secretText.utf8)!)

  private func verify(_ claims: String, by verifier: TokenVerifier? = nil) async throws(TokenError)
    -> VerifiedToken
  {
    try await (verifier ?? self.verifier).verify(hmacToken(claims: claims), nowMilliseconds: now * 1000)
  }

  @Test
  func `A valid token has a subject, scopes and an expiry`() async throws {
    let token = try await verify(
      #"{"sub":"c","exp":1893456060.5,"scope":"registry:admin  other","iat":1893456000}"#)
    #expect(token.subject == "c")
    #expect(token.scopes == ["registry:admin", "other"])
    #expect(token.expiresAtMilliseconds == 1_893_456_060_500)
  }

  @Test
  func `A client id is text, and may be absent`() async throws {
    #expect(try await verify(#"{"sub":"p","exp":1893456060,"client_id":"c"}"#).clientID == "c")
    #expect(try await verify(#"{"sub":"p","exp":1893456060}"#).clientID == nil)
    await expect(.wrongForm(.clientID)) { () async throws(TokenError) in
      try await verify(#"{"sub":"p","exp":1893456060,"client_id":["c"]}"#)
    }
  }

  @Test(
    arguments: [
      ("null", []), (#""""#, []), ("[]", []), (#"["registry:admin","other"]"#, ["registry:admin", "other"]),
      (#"["a b"]"#, ["a b"]),
    ] as [(String, Set<String>)])
  func `Scopes may be null or an array`(scope: String, scopes: Set<String>) async throws {
    #expect(try await verify(#"{"sub":"c","exp":1893456060,"scope":\#(scope)}"#).scopes == scopes)
  }

  @Test(
    arguments: [
      ("2208816030", nil), ("2208816031", false), ("1893456060000", true), ("9223372036854775807", false),
      ("1e19", false), ("1e300", false),
    ] as [(String, Bool?)])
  func `A token that lives for more than ten years is refused, and milliseconds are suspected`(
    expiry: String, isInMilliseconds: Bool?
  ) async {
    let error = isInMilliseconds.map { TokenError.livesTooLong(maximumDays: 3650, isInMilliseconds: $0) }
    await expect(error) { () async throws(TokenError) in try await verify(#"{"sub":"c","exp":\#(expiry)}"#) }
    #expect(error?.description.contains("milliseconds") == isInMilliseconds)
  }

  @Test
  func `The longest lifetime is configured`() async {
    let verifier = TokenVerifier(secret: TokenSecret(secretText.utf8)!, maximumLifetimeDays: 1)
    await expect(.livesTooLong(maximumDays: 1, isInMilliseconds: false)) { () async throws(TokenError) in
      try await verify(#"{"sub":"c","exp":1893542431}"#, by: verifier)
    }
  }

  @Test
  func `The example of RFC 7515, appendix A.1, verifies, and has no sub`() async throws {
    let key: [UInt8] = [
      3, 35, 53, 75, 43, 15, 165, 188, 131, 126, 6, 101, 119, 123, 166, 143, 90, 179, 40, 230, 240, 84, 201, 40,
      169, 15, 132, 178, 210, 80, 46, 191, 211, 251, 90, 146, 210, 6, 71, 239, 150, 138, 180, 195, 119, 98, 61,
      34, 61, 46, 33, 114, 5, 46, 79, 8, 192, 205, 154, 245, 103, 208, 128, 163,
    ]
    let token =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
      + ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
      + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    let verifier = TokenVerifier(secret: TokenSecret(key)!)
    await #expect(throws: TokenError.missing(.sub)) {
      try await verifier.verify(token, nowMilliseconds: 1_300_819_370_000)
    }
    await #expect(throws: TokenError.expired) { try await verifier.verify(token, nowMilliseconds: now * 1000) }
  }

  @Test(
    arguments: [
      (#"{"sub":"c","exp":1893455970.5}"#, nil),
      (#"{"sub":"c","exp":1893455970}"#, .expired),
      (#"{"sub":"c","exp":-1}"#, .expired),
      (#"{"sub":"c","exp":1893456060,"nbf":1893456030}"#, nil),
      (#"{"sub":"c","exp":1893456060,"nbf":1893456031}"#, .notYetValid),
      (#"{"sub":"c","exp":1893456060,"iat":1893456030}"#, nil),
      (#"{"sub":"c","exp":1893456060,"iat":1893456030.5}"#, .issuedInTheFuture),
    ] as [(String, TokenError?)])
  func `Times have a leeway of 30 s`(claims: String, error: TokenError?) async {
    await expect(error) { () async throws(TokenError) in try await verify(claims) }
  }

  @Test(
    arguments: [
      (#"{"sub":"c"}"#, .missing(.exp)), (#"{"sub":"c","exp":"1893456060"}"#, .wrongForm(.exp)),
      (#"{"sub":"c","exp":null}"#, .wrongForm(.exp)), (#"{"sub":"c","exp":true}"#, .wrongForm(.exp)),
      (#"{"exp":1893456060}"#, .missing(.sub)), (#"{"sub":7,"exp":1893456060}"#, .wrongForm(.sub)),
      (#"{"sub":"","exp":1893456060}"#, .wrongForm(.sub)),
      (#"{"sub":"c","exp":1893456060,"nbf":"0"}"#, .wrongForm(.nbf)),
      (#"{"sub":"c","exp":1893456060,"iat":[]}"#, .wrongForm(.iat)),
      (#"{"sub":"c","exp":1893456060,"scope":["a",1]}"#, .wrongForm(.scope)),
      (#"{"sub":"c","exp":1893456060,"scope":7}"#, .wrongForm(.scope)),
      (#"{"sub":"c","exp":1893456060,"aud":{}}"#, .wrongForm(.aud)),
      (#"{"sub":"c","exp":1893456060,"aud":["a",1]}"#, .wrongForm(.aud)),
      (#"{"sub":"c","sub":"d","exp":1893456060}"#, .malformed(.claims)),
      (#"{"sub":"c","exp":1893456060} x"#, .malformed(.claims)),
      (#"{"sub":"c\u0000d","exp":1893456060}"#, .malformed(.claims)),
      (#"{"sub":"c","exp":1e999}"#, .malformed(.claims)), (#"["sub"]"#, .malformed(.claims)),
      ("", .malformed(.claims)),
    ] as [(String, TokenError)])
  func `Missing and malformed claims are refused`(claims: String, error: TokenError) async {
    await expect(error) { () async throws(TokenError) in try await verify(claims) }
  }

  @Test
  func `The issuer is required if one is configured`() async {
    let verifier = TokenVerifier(secret: TokenSecret(secretText.utf8)!, issuer: "https://id.example")
    let cases: [(String, TokenError?)] = [
      (#","iss":"https://id.example""#, nil), ("", .missing(.iss)), (#","iss":1"#, .wrongForm(.iss)),
      (#","iss":"https://id.example/""#, .wrongIssuer),
    ]
    for (issuer, error) in cases {
      await expect(error) { () async throws(TokenError) in
        try await verify(#"{"sub":"c","exp":1893456060\#(issuer)}"#, by: verifier)
      }
    }
  }

  @Test
  func `The audience is required if one is configured, and refused if none is`() async {
    let verifier = TokenVerifier(secret: TokenSecret(secretText.utf8)!, audience: "registry")
    let cases: [(String, TokenError?, TokenError?)] = [
      (#","aud":"registry""#, nil, .unexpectedAudience),
      (#","aud":["x","registry"]"#, nil, .unexpectedAudience),
      (#","aud":["x"]"#, .wrongAudience, .unexpectedAudience),
      (#","aud":[]"#, .wrongAudience, .unexpectedAudience),
      ("", .missing(.aud), nil),
    ]
    for (audience, withOne, withNone) in cases {
      let claims = #"{"sub":"c","exp":1893456060\#(audience)}"#
      await expect(withOne) { () async throws(TokenError) in try await verify(claims, by: verifier) }
      await expect(withNone) { () async throws(TokenError) in try await verify(claims) }
    }
  }
}

/// Expects the error, or success if it is nil.
func expect(
  _ error: TokenError?, at location: SourceLocation = #_sourceLocation,
  _ verify: () async throws(TokenError) -> VerifiedToken
) async {
  do throws(TokenError) {
    _ = try await verify()
    #expect(error == nil, sourceLocation: location)
  } catch let thrown {
    #expect(thrown == error, sourceLocation: location)
  }
}
