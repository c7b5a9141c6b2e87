/// Remembers the nonces of signed requests (RFC 9421, section 7.2.2), so that none counts twice.
public protocol ReplayStore: Sendable {
  /// Tests and stores the nonce in one step. False if the device used it before, on any process.
  ///
  /// It is remembered at least until `expiry`. Throws `replayUnavailable` where it cannot be known whether the
  /// nonce was used: the store is out of reach, or began to remember only after `created`; and `overloaded` where
  /// there is no room for it.
  func remember(
    nonce: String, of deviceID: DeviceID, created: Timestamp, until expiry: Timestamp
  ) async throws(RegistryError) -> Bool
}
