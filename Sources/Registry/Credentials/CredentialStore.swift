/// Stores the credentials of devices.
public protocol CredentialStore: Sendable {
  /// Whether the database has any device.
  func hasDevices() async throws(RegistryError) -> Bool

  /// Nil if there is no such device, or its client was deleted. Throws `unavailable` if its keys are sealed and do not
  /// open.
  func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials?

  /// Gives the device a next secret, if it belongs to the owner and is not revoked. Returns the device and when
  /// its current secret expires; nil otherwise.
  ///
  /// During a rotation, replaces the next secret, and keeps the current one's expiry unless `graceExpiresAt` is
  /// earlier. If `graceExpiresAt` is not after the change's time, the new secret becomes current at once,
  /// without a next one, and the old secret's tokens are deleted.
  func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    change: Change
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)?

  /// Makes the next secret current, and ends the previous one with its tokens. False, without effect, unless
  /// the device may be used and its next secret has this argon2id hash.
  func promoteNextSecret(
    of id: DeviceID, owner: ClientID, hmacKeyHash: String, change: Change
  ) async throws(RegistryError) -> Bool

  /// Records that signatures of the device may lie further ahead than usual until a time. Never moves it back, and makes
  /// no event: like presence, it is no change of the device.
  func noteSigningAhead(of id: DeviceID, owner: ClientID, until time: Timestamp) async throws(RegistryError)
}
