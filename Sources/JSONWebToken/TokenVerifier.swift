/// Verifies the JSON Web Tokens (RFC 7519) of owners, as RFC 8725 advises: the key decides the algorithm and the
/// token chooses neither. One for all threads.
public final class TokenVerifier: Sendable {
  private let secret: TokenSecret?
  private let fileKeys: JWKSet?
  private let remoteKeys: RemoteJWKSet?
  private let rules: ClaimRules

  /// Bytes that a token may have.
  public static let maximumTokenLength = 8 * 1024

  /// - Parameters:
  ///   - secret: verifies HS256, whatever `kid` a token has.
  ///   - keys: verify the other algorithms, together with `remoteKeys`.
  ///   - issuer: what `iss` must be; nil: anything.
  ///   - audience: what `aud` must be or hold; nil: a token that has an `aud` is refused.
  public init(
    secret: TokenSecret?, keys: JWKSet? = nil, remoteKeys: RemoteJWKSet? = nil,
    issuer: String? = nil, audience: String? = nil
  ) {
    precondition(secret != nil || keys != nil || remoteKeys != nil, "a verifier needs a key")
    self.secret = secret
    fileKeys = keys
    self.remoteKeys = remoteKeys
    rules = ClaimRules(issuer: issuer, audience: audience)
  }

  /// Changes when keys do: what was verified under another generation must be verified anew.
  public var keyGeneration: Int { remoteKeys?.generation ?? 0 }

  /// Verifies a token in compact form at a time. It waits only where the token names an unknown key and the keys
  /// come from a URL, for one fetch at most. Throws what is wrong with the token, and `keysUnavailable`.
  public func verify(_ token: String, nowMilliseconds: Int64) async throws(TokenError) -> VerifiedToken {
    let token = try CompactToken(token)
    let key = try await key(for: token)
    return try rules.verify(try token.claims(verifiedBy: key), nowMilliseconds: nowMilliseconds)
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
      // Without a kid, only the very first keys are waited for: such a token does not tell of a rotation.
      guard token.keyID != nil || remoteKeys.current == nil else { throw .unknownKey }
      let fetched = try await remoteKeys.refetched()
      return try Self.key(for: token, among: (fileKeys?.keys ?? []) + fetched.keys)
    }
  }

  /// The one key that the token means. Throws `unknownKey`, `ambiguousKey`, `algorithmDoesNotFitKey`.
  private static func key(
    for token: CompactToken, among keys: [VerificationKey]
  ) throws(TokenError) -> VerificationKey {
    // Bytes are compared: Swift's strings are equal where only their scalars differ.
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
