import Encoding
import JSON

@testable import JSONWebToken

// Owners' tokens, and the key sets that identity providers publish.

/// The first byte decides: the rest is a compact token, a token's header, its claims, or a change of a valid token.
func feedToken(_ input: [UInt8]) {
  guard let kind = input.first else { return }
  let rest = Array(input.dropFirst())
  switch kind {
  case UInt8(ascii: "h"): testToken(Base64URL.encode(rest) + ".e30." + signaturePart)
  case UInt8(ascii: "c"): testClaims(rest)
  case UInt8(ascii: "g"): testChangedToken(rest)
  default: if let text = rest.text { testToken(text) }
  }
}

/// A token that was not signed with a key does not verify.
private func testToken(_ text: String) {
  guard let token = try? CompactToken(text) else { return }
  for key in keys where key.algorithms.contains(token.algorithm) {
    guard (try? token.claims(verifiedBy: key)) != nil else { continue }
    demand(
      text.utf8.elementsEqual(goodToken.utf8), "a token was made without the key, or has a second spelling")
  }
}

/// Position (two bytes), how many characters to remove, and their replacement.
private func testChangedToken(_ change: [UInt8]) {
  guard change.count >= 3 else { return }
  var characters = Array(goodToken.utf8)
  let start = (Int(change[0]) << 8 | Int(change[1])) % characters.count
  let end = min(start + Int(change[2]), characters.count)
  characters.replaceSubrange(start..<end, with: change[3...])
  if let text = characters.text { testToken(text) }
}

/// Claims are valid only in their time, and for their audience.
private func testClaims(_ json: [UInt8]) {
  guard case .object(let claims)? = try? ParsedJSON(json) else { return }
  for (issuer, audience) in [(nil, nil), ("i", "a")] as [(String?, String?)] {
    let rules = ClaimRules(
      issuer: issuer, audience: audience, maximumLifetimeDays: TokenVerifier.defaultLifetimeDays)
    guard let token = try? rules.verify(claims, nowMilliseconds: nowMilliseconds) else { continue }
    demand(!token.subject.isEmpty, "a token for nobody")
    demand(token.expiresAtMilliseconds > nowMilliseconds - 31_000, "a token that is over")
    demand(!token.scopes.contains { $0.isEmpty || $0.contains(" ") }, "an invalid scope")
    if rules.issuer != nil {
      guard case .string("i") = claims["iss"] else { fatalError("another issuer") }
      demand(claims["aud"] != nil, "another audience")
    } else {
      demand(claims["aud"] == nil, "an audience that was not asked for")
    }
  }
}

/// A JWK set: its keys are of supported kinds, and every other key has a reason.
func feedKeySet(_ input: [UInt8]) {
  guard let set = try? JWKSet(json: input) else { return }
  demand(set.count + set.refusals.count <= JWKSet.maximumKeys, "more keys than may be")
  demand((try? JWKSet(json: input))?.count ?? 0 == set.count, "a set is read in two ways")
  for key in set.keys {
    demand(!key.algorithms.isEmpty && !key.algorithms.contains(.hs256), "a key that strangers can sign with")
  }
}

private let nowMilliseconds: Int64 = 1_893_456_000_000

private let secret = TokenSecret(Array(repeating: UInt8(ascii: "k"), count: TokenSecret.minimumLength))!

/// A shared secret, and the example keys of RFC 7515, appendices A.2 and A.3.
private let keys: [VerificationKey] = [secret.key] + exampleKeys.keys

private let exampleKeys = try! JWKSet(
  json: Array(
    #"""
    {"keys": [
      {"kty": "RSA", "kid": "rsa", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
      {"kty": "EC", "kid": "ec", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
    ]}
    """#.utf8))

private let goodToken = TokenSigner(secret: secret).sign(
  subject: "alice", scope: "registry:admin", issuedAtSeconds: nowMilliseconds / 1000, lifetimeSeconds: 60)!

/// Derived from 32 zero bytes.
private let signaturePart = String(repeating: "A", count: 43)
