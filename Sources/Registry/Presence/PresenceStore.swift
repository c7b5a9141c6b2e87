/// Stores the presence of devices.
public protocol PresenceStore: Sendable {
  /// Moves the presence of devices forward, never back. Ignores devices that do not exist.
  func recordPresence(_ presence: [DeviceID: Presence]) async throws(RegistryError)
}

/// When a device last sent requests; nil where there is nothing new.
public struct Presence: Hashable, Sendable {
  public var lastSeen: Timestamp
  public var lastPoll: Timestamp?
  public var lastAck: Timestamp?
  /// The instance that sent the last poll, whose lease it renews; nil if it named none.
  public var instance: InstanceID?

  public init(
    lastSeen: Timestamp, lastPoll: Timestamp? = nil, lastAck: Timestamp? = nil, instance: InstanceID? = nil
  ) {
    self.instance = instance
    self.lastSeen = lastSeen
    self.lastPoll = lastPoll
    self.lastAck = lastAck
  }
}
