public import Registry

/// Verifies the tokens of owners and administrators. Server plugs the one in that knows the keys.
public protocol OwnerAuthenticator: Sendable {
  /// Takes what followed `Bearer`, whatever it is. `address` pays for a token that is not remembered and not good.
  func verify(_ token: String, from address: CallerAddress) async throws(OwnerTokenError) -> OwnerToken
}

/// What a token that verified says.
public struct OwnerToken: Hashable, Sendable {
  /// The client's id.
  public let subject: ClientID
  /// The words of `scope`.
  public let scopes: Set<String>

  public init(subject: ClientID, scopes: Set<String>) {
    self.subject = subject
    self.scopes = scopes
  }
}

/// Why a token did not verify.
public enum OwnerTokenError: Error, Hashable, Sendable {
  /// The token is not good. The reason is for people: it begins in lower case and has no full stop, as in
  /// `the token has expired`.
  case invalid(reason: String)
  /// The address sent too many tokens that were not good, and this one is not remembered.
  case rateLimited(RateLimit.Standing)
  /// The keys cannot be had now. The cause is for the log.
  case unavailable(cause: String)
}
