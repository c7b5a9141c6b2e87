/// The database's part on what devices prove themselves with.
public protocol CredentialStore: Sendable {
  /// Whether there is any device at all.
  func hasDevices() async throws(RegistryError) -> Bool

  /// Nil if there is no such device.
  func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials?

  /// Gives the device a next secret, if it is the owner's and not revoked, and answers the device and when the
  /// secret in force ends; nil if it is not.
  ///
  /// While a rotation is under way already, its next secret is replaced, and its end stays where it is unless
  /// `graceExpiresAt` lies before it. Where `graceExpiresAt` is not after the change's time, the new secret is in force at
  /// once, nothing is next, and the tokens of the old one are gone.
  func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    change: Change
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)?

  /// Puts the next secret in force, ends the one that was, and its tokens with it. False, and nothing happens,
  /// unless the device may come in and its next secret has this stored key.
  func promoteNextSecret(
    of id: DeviceID, storedKey: [UInt8], change: Change
  ) async throws(RegistryError) -> Bool
}
