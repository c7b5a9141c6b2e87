internal import JSON

/// The content of a token with a valid signature, time, issuer and audience. Only a verifier creates one.
public struct VerifiedToken: Hashable, Sendable {
  /// `sub`: whom the token identifies. Not empty.
  public let subject: String
  /// `client_id` (RFC 8693, section 4.3): on whose behalf the subject acts; nil if the token has none.
  public let clientID: String?
  /// The members of `scope` (RFC 8693, section 4.2).
  public let scopes: Set<String>
  /// `exp` in milliseconds since 1970, without the verifier's leeway.
  public let expiresAtMilliseconds: Int64
}

/// The rules for valid claims.
struct ClaimRules: Sendable {
  let issuer: String?
  let audience: String?
  /// How far ahead `exp` may be.
  let maximumLifetimeDays: Int

  /// The tolerated difference between clocks, in seconds.
  static let leewaySeconds = 30.0

  /// Checks the claims. Throws `missing`, `wrongForm`, or the claim's own error.
  func verify(_ claims: ParsedObject, nowMilliseconds: Int64) throws(TokenError) -> VerifiedToken {
    let now = Double(nowMilliseconds) / 1000
    guard let expiry = try claims.seconds(.exp) else { throw .missing(.exp) }
    guard now < expiry + Self.leewaySeconds else { throw .expired }
    try testLifetime(expiry: expiry, now: now)
    if let start = try claims.seconds(.nbf), now + Self.leewaySeconds < start { throw .notYetValid }
    if let issue = try claims.seconds(.iat), now + Self.leewaySeconds < issue { throw .issuedInTheFuture }
    try testIssuer(of: claims)
    try testAudience(of: claims)
    guard let subject = try claims.text(.sub) else { throw .missing(.sub) }
    guard !subject.isEmpty else { throw .wrongForm(.sub) }
    return VerifiedToken(
      subject: subject, clientID: try claims.text(.clientID), scopes: try claims.scopes(),
      expiresAtMilliseconds: Int64((expiry * 1000).rounded(.down)))
  }

  private func testLifetime(expiry: Double, now: Double) throws(TokenError) {
    let longest = Double(maximumLifetimeDays) * 86_400 + Self.leewaySeconds
    guard expiry > now + longest else { return }
    throw .livesTooLong(
      maximumDays: maximumLifetimeDays, isInMilliseconds: (expiry / 1000 - now).magnitude <= longest)
  }

  private func testIssuer(of claims: ParsedObject) throws(TokenError) {
    guard let issuer else { return }
    guard let claim = try claims.text(.iss) else { throw .missing(.iss) }
    guard claim.utf8.elementsEqual(issuer.utf8) else { throw .wrongIssuer }
  }

  private func testAudience(of claims: ParsedObject) throws(TokenError) {
    let audiences: [String]
    switch claims["aud"] {
    case nil:
      guard audience == nil else { throw .missing(.aud) }
      return
    case .string(let name): audiences = [name]
    case .some(let value):
      guard let names = value.strings else { throw .wrongForm(.aud) }
      audiences = names
    }
    guard let audience else { throw .unexpectedAudience }
    guard audiences.contains(where: { $0.utf8.elementsEqual(audience.utf8) }) else { throw .wrongAudience }
  }
}

extension ParsedObject {
  /// A `NumericDate` (RFC 7519, section 2): seconds since 1970, fractions allowed.
  fileprivate func seconds(_ claim: TokenError.Claim) throws(TokenError) -> Double? {
    switch self[claim.rawValue] {
    case nil: return nil
    case .integer(let seconds): return Double(seconds)
    case .real(let seconds): return seconds
    default: throw .wrongForm(claim)
    }
  }

  fileprivate func text(_ claim: TokenError.Claim) throws(TokenError) -> String? {
    switch self[claim.rawValue] {
    case nil: return nil
    case .string(let text): return text
    default: throw .wrongForm(claim)
    }
  }
}

extension ParsedObject {
  /// The members of `scope`: text with spaces (RFC 8693, section 4.2), or an array, which some providers send.
  fileprivate func scopes() throws(TokenError) -> Set<String> {
    switch self["scope"] {
    case nil, .null: return []
    case .string(let text): return Set(text.split(separator: " ").map(String.init))
    case .some(let value):
      guard let names = value.strings else { throw .wrongForm(.scope) }
      return Set(names)
    }
  }
}

extension ParsedJSON {
  /// The elements of an array of strings; nil for any other value.
  var strings: [String]? {
    guard case .array(let elements) = self else { return nil }
    let strings = elements.compactMap { if case .string(let text) = $0 { text } else { nil } }
    return strings.count == elements.count ? strings : nil
  }
}
