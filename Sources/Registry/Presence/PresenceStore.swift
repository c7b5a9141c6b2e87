/// The database's part on presence.
public protocol PresenceStore: Sendable {
  /// Moves the presence of devices forward, never back. Devices that are gone are left out.
  func recordPresence(_ presence: [DeviceID: Presence]) async throws(RegistryError)
}

/// When a device was last there; nil where nothing new is known.
public struct Presence: Hashable, Sendable {
  public var lastSeen: Timestamp
  public var lastPoll: Timestamp?
  public var lastAck: Timestamp?

  public init(lastSeen: Timestamp, lastPoll: Timestamp? = nil, lastAck: Timestamp? = nil) {
    self.lastSeen = lastSeen
    self.lastPoll = lastPoll
    self.lastAck = lastAck
  }
}
