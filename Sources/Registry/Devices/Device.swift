/// A trading terminal that the registry knows: one MetaTrader 5 Expert Advisor of a client.
public struct Device: Hashable, Sendable {
  public let id: DeviceID
  public let clientID: ClientID
  public let deviceName: DeviceName
  /// Whether the device may be used. False once it is revoked.
  public let isActive: Bool
  /// Whether the device was cut off. For good: no operation and no SQL makes it false again.
  public let revoked: Bool
  /// When the device last polled; nil until it has.
  public let lastPoll: Timestamp?
  /// When the device last acknowledged; nil until it has.
  public let lastAck: Timestamp?
  /// When the device last proved itself; nil until it has.
  public let lastSeen: Timestamp?
  public let createdAt: Timestamp
  /// When the name, the secret or the state last changed. Presence does not move it.
  public let updatedAt: Timestamp

  public init(
    id: DeviceID, clientID: ClientID, deviceName: DeviceName, isActive: Bool, revoked: Bool,
    lastPoll: Timestamp?, lastAck: Timestamp?, lastSeen: Timestamp?, createdAt: Timestamp, updatedAt: Timestamp
  ) {
    self.id = id
    self.clientID = clientID
    self.deviceName = deviceName
    self.isActive = isActive
    self.revoked = revoked
    self.lastPoll = lastPoll
    self.lastAck = lastAck
    self.lastSeen = lastSeen
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  /// A device that was just registered.
  public init(registered id: DeviceID, clientID: ClientID, deviceName: DeviceName, at time: Timestamp) {
    self.init(
      id: id, clientID: clientID, deviceName: deviceName, isActive: true, revoked: false,
      lastPoll: nil, lastAck: nil, lastSeen: nil, createdAt: time, updatedAt: time)
  }
}

/// What `createDevice` answers: the device, and the only sight of its secret.
public struct RegisteredDevice: Sendable {
  public let device: Device
  public let secret: DeviceSecret
  /// The argon2id PHC string that is stored.
  public let hmacKeyHash: String
}

/// What `rotateSecret` answers: the device with its new secret, and when the old one ends.
public struct RotatedDevice: Sendable {
  public let registered: RegisteredDevice
  /// The latest end of the old secret; its first use of the new one ends it sooner.
  public let graceExpiresAt: Timestamp
}
