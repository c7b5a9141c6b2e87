/// Why a token does not verify. It contains nothing from the token, so it may be logged, and shown to the
/// caller.
public enum TokenError: Error, Hashable, Sendable {
  /// It has more than `TokenVerifier.maximumTokenLength` bytes.
  case tooLong
  /// It does not consist of three base64url parts (RFC 7515, section 3.1), or a part is invalid.
  case malformed(Part)
  /// It is an encrypted token (RFC 7516), which has five parts.
  case encrypted
  /// Its `typ` is neither `JWT` nor `at+jwt`.
  case wrongType
  /// It has a `crit` header: extensions that the verifier must support, and it supports none.
  case criticalHeader
  /// No configured key is for its algorithm, for example `none`.
  case algorithmNotAllowed
  /// Its `kid` names no key, or no key could verify it.
  case unknownKey
  /// Several keys could verify it.
  case ambiguousKey
  case algorithmDoesNotFitKey
  /// Whether the token is valid is unknown: the keys were never fetched, or the last fetch, which might have
  /// contained the key, failed, or too many requests wait.
  case keysUnavailable
  case wrongSignature
  case missing(Claim)
  /// The claim has the wrong type, or is empty.
  case wrongForm(Claim)
  case expired
  /// Its `exp` is too far ahead. `isInMilliseconds`: it would not be if it were milliseconds, not seconds.
  case livesTooLong(maximumDays: Int, isInMilliseconds: Bool)
  case notYetValid
  case issuedInTheFuture
  case wrongIssuer
  case wrongAudience
  /// It has an audience, but the service is configured without one (RFC 7519, section 4.1.3).
  case unexpectedAudience

  /// A part of a token.
  public enum Part: String, Hashable, Sendable {
    case structure, header, claims
  }

  /// A claim that the verifier checks.
  public enum Claim: String, Hashable, Sendable {
    case sub, exp, nbf, iat, iss, aud, scope
    case clientID = "client_id"
  }
}

extension TokenError: CustomStringConvertible {
  /// The reason, in characters that `error_description` allows (RFC 6750, section 3).
  public var description: String {
    switch self {
    case .tooLong: "the token has more than \(TokenVerifier.maximumTokenLength) bytes"
    case .malformed(.structure): "the token is not three parts in base64url"
    case .malformed(let part): "the token's \(part.rawValue) is malformed"
    case .encrypted: "encrypted tokens are not supported"
    case .wrongType: "the token's type is neither JWT nor at+jwt"
    case .criticalHeader: "the token has critical header extensions, which are not supported"
    case .algorithmNotAllowed: "the token's algorithm is not accepted"
    case .unknownKey: "the token's key is unknown"
    case .ambiguousKey: "the token does not say which of several keys it was signed with"
    case .algorithmDoesNotFitKey: "the token's algorithm does not match its key"
    case .keysUnavailable: "the keys that verify tokens are not available now"
    case .wrongSignature: "the token's signature does not verify"
    case .missing(let claim): "the token has no claim \(claim.rawValue)"
    case .wrongForm(let claim): "the token's claim \(claim.rawValue) is malformed"
    case .expired: "the token has expired"
    case .livesTooLong(let days, let isInMilliseconds):
      "the token's exp is more than \(days) days ahead"
        + (isInMilliseconds ? "; it seems to be in milliseconds, and must be in seconds (RFC 7519)" : "")
    case .notYetValid: "the token is not valid yet"
    case .issuedInTheFuture: "the token was issued in the future"
    case .wrongIssuer: "the token is from another issuer"
    case .wrongAudience: "the token is for another audience"
    case .unexpectedAudience: "the token is for an audience, and this service is configured without one"
    }
  }
}
