/// Stores devices.
public protocol DeviceStore: Sendable {
  /// Throws what `insertDevice` would throw now: `clientNotFound`, `tooManyDevices`, `deviceNameTaken`, in this
  /// order. It reserves nothing; it saves hashing a secret that could not be stored.
  func checkRegistration(
    of deviceName: DeviceName, for clientID: ClientID, maxDevices: Int
  ) async throws(RegistryError)

  /// Throws `clientNotFound`, `tooManyDevices` when the client has `maxDevices`, `deviceNameTaken`, `groupNotFound`.
  func insertDevice(
    _ device: Device, verifier: SecretVerifier, maxDevices: Int, change: Change
  ) async throws(RegistryError)

  func device(_ id: DeviceID) async throws(RegistryError) -> Device?

  /// At most `limit` devices of the client after `cursor`, active and revoked, oldest first, then by id.
  func devices(
    of clientID: ClientID, after cursor: DeviceCursor?, limit: Int
  ) async throws(RegistryError) -> [Device]

  /// Of the first `scan` devices of the filter's index after `cursor`, at most `limit` that meet its conditions, in the same
  /// order. So one page reads a bounded number of devices, however few meet the conditions.
  func devices(
    of clientID: ClientID, matching filter: DeviceFilter, at times: FilterTimes, after cursor: DeviceCursor?,
    limit: Int, scan: Int
  ) async throws(RegistryError) -> FoundDevices

  /// Counts the first `scan` devices after `cursor`. Returns the last of them; nil if there is no more to count.
  func countDevices(
    of clientID: ClientID, at times: FilterTimes, after cursor: DeviceCursor?, scan: Int
  ) async throws(RegistryError) -> (counts: DeviceCounts, readTo: DeviceCursor?)

  /// Renames the device if it belongs to the owner and is not revoked, and returns it; nil otherwise. If that changes
  /// anything, `updatedAt` is the time of the change. Throws `deviceNameTaken`.
  func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> Device?

  /// Changes the device in the same way. Throws `deviceNameTaken`, and `invalid` if it would have too many labels.
  func updateDevice(
    _ id: DeviceID, of owner: ClientID, _ update: DeviceUpdate, change: Change
  ) async throws(RegistryError) -> Device?

  /// Revokes the device if it belongs to the owner and is not revoked, and returns it; nil otherwise.
  func revokeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device?
}

/// The last row of a page; the next page starts after it.
public struct DeviceCursor: Hashable, Sendable {
  public let createdAt: Timestamp
  public let id: DeviceID

  public init(createdAt: Timestamp, id: DeviceID) {
    self.createdAt = createdAt
    self.id = id
  }
}
