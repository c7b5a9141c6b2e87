/// Stores access tokens.
public protocol TokenStore: Sendable {
  /// Stores a token for the device, if its current secret has this argon2id hash. If the device has `maxLive` live
  /// tokens, the new one replaces the oldest.
  ///
  /// False, without effect, if the device may not be used at `time` or its current secret is a different one.
  /// Throws `tooManyTokens` if `maxLive` tokens were stored in the `windowSeconds` before `time`.
  func insertToken(
    _ hash: TokenHash, of id: DeviceID, owner: ClientID, hmacKeyHash: String, expiresAt: Timestamp,
    at time: Timestamp,
    maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool

  /// Nil if there is no such token, it has expired at `time`, or the client was deleted. Throws `unavailable` if the
  /// device's keys are sealed and do not open.
  func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials?

  /// Deletes at most `limit` tokens that expired before `time`, and returns their number.
  func removeTokens(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int
}
