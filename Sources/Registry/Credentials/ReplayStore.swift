/// Stores the nonces of signed requests (RFC 9421, section 7.2.2), so that each is accepted once.
public protocol ReplayStore: Sendable {
  /// Checks and stores the nonce atomically. False if the device has used it before, with any process.
  ///
  /// The nonce is kept at least until `expiry`. Throws `replayUnavailable` if the check is impossible, because
  /// the store is unreachable or has no nonces from as early as `created`; and `overloaded` if the store is
  /// full.
  func remember(
    nonce: String, of deviceID: DeviceID, created: Timestamp, until expiry: Timestamp
  ) async throws(RegistryError) -> Bool
}
