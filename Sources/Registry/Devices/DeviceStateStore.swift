/// Stores whether devices may be used, and deletes devices.
public protocol DeviceStateStore: Sendable {
  /// Suspends the device, as `Device.suspended` has it, and returns it. Nil, without effect, if the owner has no such device
  /// that is not revoked, if that would change nothing, or if a suspension has ended and its end is not recorded yet.
  func suspendDevice(
    _ id: DeviceID, of owner: ClientID, until: Timestamp?, change: Change
  ) async throws(RegistryError) -> Device?

  /// Ends the device's suspension that is in force, and returns the device. Nil, without effect, if the owner has no such
  /// device that is not revoked, or if it is not suspended.
  func resumeDevice(_ id: DeviceID, of owner: ClientID, change: Change) async throws(RegistryError) -> Device?

  /// Deletes deliveries of a revoked device of the owner, at most `maximumRows`, and the device after the last one.
  func deleteDevice(
    _ id: DeviceID, of owner: ClientID, maximumRows: Int, change: Change
  ) async throws(RegistryError) -> DeviceDeletion

  /// Records, with an event for each, that devices expired before the change's time; at most `maximumRows`, each expiry
  /// once. A device whose suspension ended before waits until that is recorded.
  func recordExpiries(maximumRows: Int, change: Change) async throws(RegistryError) -> [EndedDevice]

  /// Clears suspensions that ended before the change's time, with an event for each; at most `maximumRows`. A device that
  /// expired before its suspension ended waits until that is recorded.
  func recordResumptions(maximumRows: Int, change: Change) async throws(RegistryError) -> [EndedDevice]
}

/// What a step of a device's deletion did.
public enum DeviceDeletion: Hashable, Sendable {
  /// The owner has no such revoked device.
  case notFound
  /// Only deliveries were deleted, and there are more.
  case begun
  case deleted
}

/// A device whose status changed by time, or that went online or offline.
public struct EndedDevice: Hashable, Sendable {
  public let id: DeviceID
  public let clientID: ClientID

  public init(id: DeviceID, clientID: ClientID) { (self.id, self.clientID) = (id, clientID) }
}
