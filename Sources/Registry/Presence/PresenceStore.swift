/// Stores the presence of devices, and what they did.
public protocol PresenceStore: Sendable {
  /// Moves the presence of devices forward, never back, and adds to their statistics. The time since the previous request is
  /// online time if the device was not offline then. Records that devices which may be used are online again, and returns
  /// them. Ignores devices that the client does not have.
  ///
  /// - Parameters:
  ///   - devices: each once.
  ///   - offlineAfterMilliseconds: how long after its last request a device is offline.
  func recordActivity(
    _ devices: [ActiveDevice], offlineAfterMilliseconds: Int64, change: Change
  ) async throws(RegistryError) -> [EndedDevice]

  /// Records that online devices are offline, because their last request was that long before the change's time. Looks at
  /// devices that had that much time since they came online or were last looked at, at most `maximumRows`; returns how many,
  /// and those of which an event was recorded: they may be used.
  func recordOffline(
    maximumRows: Int, offlineAfterMilliseconds: Int64, change: Change
  ) async throws(RegistryError) -> (rows: Int, offline: [EndedDevice])
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

/// What was gathered of a device since the last write.
public struct ActiveDevice: Hashable, Sendable {
  public let id: DeviceID
  /// The client of the device.
  public let clientID: ClientID
  /// Nil if it sent no request.
  public let presence: Presence?
  /// What it did, by hour; each once.
  public var hours: [ActiveHour]

  public init(id: DeviceID, clientID: ClientID, presence: Presence?, hours: [ActiveHour] = []) {
    self.id = id
    self.clientID = clientID
    self.presence = presence
    self.hours = hours
  }
}

/// What a device did in an hour.
public struct ActiveHour: Hashable, Sendable {
  /// The start of the hour.
  public let hour: Timestamp
  public var counts: DeviceStatistics

  public init(_ hour: Timestamp, _ counts: DeviceStatistics) {
    self.hour = hour
    self.counts = counts
  }
}
