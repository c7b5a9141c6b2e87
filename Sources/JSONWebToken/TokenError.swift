/// Why a token does not verify. Nothing in it stems from the token, so it may be logged, and be shown to who
/// presented the token.
public enum TokenError: Error, Hashable, Sendable {
  /// It has more than `TokenVerifier.maximumTokenLength` bytes.
  case tooLong
  /// It is not three parts in base64url (RFC 7515, section 3.1), or a part is not what it must be.
  case malformed(Part)
  /// It is an encrypted token (RFC 7516), which has five parts.
  case encrypted
  /// Its `typ` is neither `JWT` nor `at+jwt`.
  case wrongType
  /// It has a `crit` header: extensions that must be understood, and none is.
  case criticalHeader
  /// No key of ours is for its algorithm: `none` among others.
  case algorithmNotAllowed
  /// Its `kid` names no key, or there is no key that it could be verified with.
  case unknownKey
  /// Several keys could be meant.
  case ambiguousKey
  /// The key that its `kid` names is for another algorithm.
  case algorithmDoesNotFitKey
  /// The keys were never fetched, the key may be one that a failed fetch would have brought, or too many wait: whether the token is good cannot be said now.
  case keysUnavailable
  case wrongSignature
  case missing(Claim)
  /// The claim is there, but not of its type.
  case wrongForm(Claim)
  case expired
  case notYetValid
  case issuedInTheFuture
  case wrongIssuer
  case wrongAudience
  /// It has an audience, and the service has no name by which it could be meant (RFC 7519, section 4.1.3).
  case unexpectedAudience

  /// A part of a token.
  public enum Part: String, Hashable, Sendable {
    case structure, header, claims
  }

  /// A claim that is tested.
  public enum Claim: String, Hashable, Sendable {
    case sub, exp, nbf, iat, iss, aud, scope
  }
}

extension TokenError: CustomStringConvertible {
  /// What is wrong, in characters that may stand in `error_description` (RFC 6750, section 3).
  public var description: String {
    switch self {
    case .tooLong: "the token has more than \(TokenVerifier.maximumTokenLength) bytes"
    case .malformed(.structure): "the token is not three parts in base64url"
    case .malformed(let part): "the token's \(part.rawValue) is malformed"
    case .encrypted: "encrypted tokens are not supported"
    case .wrongType: "the token is of another type than JWT and at+jwt"
    case .criticalHeader: "the token has critical header extensions, of which none is supported"
    case .algorithmNotAllowed: "the token's algorithm is not accepted here"
    case .unknownKey: "the token's key is not known"
    case .ambiguousKey: "the token does not say which of several keys it was signed with"
    case .algorithmDoesNotFitKey: "the token's algorithm is not that of its key"
    case .keysUnavailable: "the keys for tokens cannot be looked up now"
    case .wrongSignature: "the token's signature does not verify"
    case .missing(let claim): "the token has no claim \(claim.rawValue)"
    case .wrongForm(let claim): "the token's claim \(claim.rawValue) is not of its form"
    case .expired: "the token has expired"
    case .notYetValid: "the token is not valid yet"
    case .issuedInTheFuture: "the token was issued in the future"
    case .wrongIssuer: "the token is from another issuer"
    case .wrongAudience: "the token is for another audience"
    case .unexpectedAudience: "the token is for an audience, and this service is configured without one"
    }
  }
}
