/// A trading terminal that the registry knows: one MetaTrader 5 Expert Advisor of a client.
public struct Device: Hashable, Sendable {
  public let id: DeviceID
  public let clientID: ClientID
  public let deviceName: DeviceName
  public let createdAt: Timestamp
  /// When the owner last changed the device. Presence and confirmations do not move it.
  public let updatedAt: Timestamp
  /// When the device last polled; nil before its first poll.
  public let lastPoll: Timestamp?
  /// When it last acknowledged a signal; nil before that.
  public let lastAck: Timestamp?
  /// When it last sent an authenticated request; nil before that.
  public let lastSeen: Timestamp?
  public let labels: Labels
  /// The groups that the device is in, sorted.
  public private(set) var groups: [GroupName]
  public let state: DeviceState
  public let tradingMode: TradingMode
  public let terminal: Terminal

  public init(
    id: DeviceID, clientID: ClientID, deviceName: DeviceName, createdAt: Timestamp, updatedAt: Timestamp,
    lastPoll: Timestamp?, lastAck: Timestamp?, lastSeen: Timestamp?, labels: Labels, groups: [GroupName],
    state: DeviceState, tradingMode: TradingMode, terminal: Terminal
  ) {
    self.id = id
    self.clientID = clientID
    self.deviceName = deviceName
    self.createdAt = createdAt
    self.updatedAt = updatedAt
    self.lastPoll = lastPoll
    self.lastAck = lastAck
    self.lastSeen = lastSeen
    self.labels = labels
    self.groups = groups
    self.state = state
    self.tradingMode = tradingMode
    self.terminal = terminal
  }

  /// A newly registered device.
  public init(
    registered id: DeviceID, clientID: ClientID, deviceName: DeviceName, labels: Labels = [:],
    groups: [GroupName] = [], expiresAt: Timestamp? = nil, at time: Timestamp
  ) {
    self.init(
      id: id, clientID: clientID, deviceName: deviceName, createdAt: time, updatedAt: time, lastPoll: nil,
      lastAck: nil, lastSeen: nil, labels: labels, groups: groups.sorted(),
      state: DeviceState(expiresAt: expiresAt), tradingMode: TradingMode(since: time), terminal: .none)
  }

  /// The same device without groups that are being deleted.
  public func without(_ deleted: [GroupName]) -> Device {
    guard !deleted.isEmpty else { return self }
    var device = self
    device.groups.removeAll { deleted.contains($0) }
    return device
  }

  /// Whether the device was revoked, which is final.
  public var isRevoked: Bool { state.isRevoked }

  /// How long after its last request a device is offline, unless the operator sets another time.
  public static let defaultOfflineAfterSeconds = 90

  /// Whether the device sent a request within the last `offlineAfterSeconds`.
  public func isOnline(at time: Timestamp, offlineAfterSeconds: Int) -> Bool {
    lastSeen.map { time - $0 < Int64(offlineAfterSeconds) * 1000 } ?? false
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
