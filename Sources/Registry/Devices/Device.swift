/// A trading terminal that the registry knows: one MetaTrader 5 Expert Advisor of a client.
public struct Device: Hashable, Sendable {
  public let id: DeviceID
  public let clientID: ClientID
  public let deviceName: DeviceName
  /// Whether the device may be used. False once it is revoked.
  public let isActive: Bool
  /// Whether the device was revoked. This is final: no operation and no SQL statement reverts it.
  public let revoked: Bool
  /// When the device last polled; nil before its first poll.
  public let lastPoll: Timestamp?
  /// When the device last acknowledged a signal; nil before that.
  public let lastAck: Timestamp?
  /// When the device last sent an authenticated request; nil before that.
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

  /// A newly registered device.
  public init(registered id: DeviceID, clientID: ClientID, deviceName: DeviceName, at time: Timestamp) {
    self.init(
      id: id, clientID: clientID, deviceName: deviceName, isActive: true, revoked: false,
      lastPoll: nil, lastAck: nil, lastSeen: nil, createdAt: time, updatedAt: time)
  }
}

/// The result of `createDevice`: the device and its secret, which cannot be read again.
public struct RegisteredDevice: Sendable {
  public let device: Device
  public let secret: DeviceSecret
  /// The argon2id PHC string that is stored.
  public let hmacKeyHash: String
}

/// The result of `rotateSecret`: the device with its new secret, and when the old secret expires.
public struct RotatedDevice: Sendable {
  public let registered: RegisteredDevice
  /// When the old secret expires at the latest. The first use of the new secret ends it earlier.
  public let graceExpiresAt: Timestamp
}
