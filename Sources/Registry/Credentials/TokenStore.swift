/// The database's part on access tokens.
public protocol TokenStore: Sendable {
  /// Stores a token of the device, whose secret in force has this stored key. Of `maxLive` tokens that are live,
  /// the oldest makes room.
  ///
  /// False, and nothing happens, if the device may not come in at `time` or has another secret now. Throws
  /// `tooManyTokens` if `maxLive` tokens were stored in the `windowSeconds` before `time`.
  func insertToken(
    _ hash: TokenHash, of id: DeviceID, storedKey: [UInt8], expiresAt: Timestamp, at time: Timestamp,
    maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool

  /// Nil if there is no such token, or it has expired by `time`.
  func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials?

  /// Removes tokens that expired before `time`, `limit` of them at the most, and answers how many.
  func removeTokens(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int
}
