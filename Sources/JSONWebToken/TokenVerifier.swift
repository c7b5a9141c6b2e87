internal import JSON

/// Verifies the JSON Web Tokens (RFC 7519) of owners, following RFC 8725: the key determines the algorithm, and
/// the token chooses neither. All threads share one.
public final class TokenVerifier: Sendable {
  private let secret: TokenSecret?
  private let previousSecret: TokenSecret?
  private let fileKeys: JWKSet?
  private let remoteKeys: RemoteJWKSet?
  private let rules: ClaimRules

  /// The maximum length of a token in bytes: the HTTP server accepts no longer header section.
  public static let maximumTokenLength = 16 * 1024
  /// The default of `maximumLifetimeDays`: ten years.
  public static let defaultLifetimeDays = 3650

  /// - Parameters:
  ///   - secret: verifies HS256, whatever `kid` a token has.
  ///   - previousSecret: verifies HS256, too: the secret before, whose tokens are not over yet.
  ///   - keys: verify the other algorithms, as `remoteKeys` do.
  ///   - issuer: the required `iss`; nil: any.
  ///   - audience: must be in `aud`; nil: a token with an `aud` is refused.
  ///   - maximumLifetimeDays: how far ahead `exp` may be.
  public init(
    secret: TokenSecret?, previousSecret: TokenSecret? = nil, keys: JWKSet? = nil,
    remoteKeys: RemoteJWKSet? = nil,
    issuer: String? = nil, audience: String? = nil, maximumLifetimeDays: Int = defaultLifetimeDays
  ) {
    precondition(secret != nil || keys != nil || remoteKeys != nil, "a verifier needs a key")
    self.secret = secret
    self.previousSecret = previousSecret
    fileKeys = keys
    self.remoteKeys = remoteKeys
    rules = ClaimRules(issuer: issuer, audience: audience, maximumLifetimeDays: maximumLifetimeDays)
  }

  /// Changes when the keys change: a result under another generation is no longer valid.
  public var keyGeneration: Int { remoteKeys?.generation ?? 0 }

  /// Verifies a token in compact form. It waits only if the token names an unknown key and the keys come from a
  /// URL, and then for at most one fetch. Throws the token's error, or `keysUnavailable`.
  public func verify(_ token: String, nowMilliseconds: Int64) async throws(TokenError) -> VerifiedToken {
    let token = try CompactToken(token)
    let key = try await key(for: token)
    return try rules.verify(try claims(of: token, verifiedBy: key), nowMilliseconds: nowMilliseconds)
  }

  private func claims(
    of token: CompactToken, verifiedBy key: VerificationKey
  ) throws(TokenError) -> ParsedObject {
    do throws(TokenError) {
      return try token.claims(verifiedBy: key)
    } catch .wrongSignature {
      guard token.algorithm == .hs256, let previousSecret else { throw .wrongSignature }
      return try token.claims(verifiedBy: previousSecret.key)
    }
  }

  private func key(for token: CompactToken) async throws(TokenError) -> VerificationKey {
    if token.algorithm == .hs256 {
      guard let secret else { throw .algorithmNotAllowed }
      return secret.key
    }
    guard fileKeys != nil || remoteKeys != nil else { throw .algorithmNotAllowed }
    let known = (fileKeys?.keys ?? []) + (remoteKeys?.current?.keys ?? [])
    do throws(TokenError) {
      return try Self.key(for: token, among: known)
    } catch .unknownKey {
      guard let remoteKeys else { throw .unknownKey }
      // A token without a kid does not indicate a key rotation, so it waits only for the first fetch.
      guard token.keyID != nil || remoteKeys.current == nil else { throw .unknownKey }
      let fetched = try await remoteKeys.refetched()
      return try Self.key(for: token, among: (fileKeys?.keys ?? []) + fetched.keys)
    }
  }

  /// The key that verifies the token. Throws `unknownKey`, `ambiguousKey` or `algorithmDoesNotFitKey`.
  private static func key(
    for token: CompactToken, among keys: [VerificationKey]
  ) throws(TokenError) -> VerificationKey {
    // Compare bytes: Swift's strings compare equal if they are canonically equivalent.
    let named = keys.filter { key in
      token.keyID.map { id in key.id.map { $0.utf8.elementsEqual(id.utf8) } ?? false } ?? true
    }
    guard !named.isEmpty else { throw .unknownKey }
    let fitting = named.filter { $0.algorithms.contains(token.algorithm) }
    guard let key = fitting.first else { throw token.keyID == nil ? .unknownKey : .algorithmDoesNotFitKey }
    guard fitting.count == 1 else { throw .ambiguousKey }
    return key
  }
}
