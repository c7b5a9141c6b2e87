/// Something that changed in the registry. No event without a change, and no change without an event.
public struct RegistryEvent: Hashable, Sendable {
  /// What changed. The words are those of the wire.
  public enum Kind: String, CaseIterable, Hashable, Sendable {
    case clientCreated = "client.created"
    case clientDeleted = "client.deleted"
    case deviceRegistered = "device.registered"
    case deviceUpdated = "device.updated"
    case deviceRevoked = "device.revoked"
    /// The device has a new secret, which it has not used yet.
    case secretRotated = "device.secret_rotated"
    /// The device used its new secret: the old one no longer works.
    case secretPromoted = "device.secret_promoted"
    case signalCreated = "signal.created"
    /// The device acknowledged the signal for the first time.
    case signalAcknowledged = "signal.acknowledged"
  }

  public let kind: Kind
  public let change: Change
  /// The client that owns what changed.
  public let clientID: ClientID
  /// The device that changed or that acknowledged a signal; nil for all other events.
  public let deviceID: DeviceID?
  /// The signal that was created or acknowledged; nil for all other events.
  public let signalID: SignalID?
  /// What the device did with the signal; nil unless it acknowledged one.
  public let status: Acknowledgement.Status?

  init(
    _ kind: Kind, by change: Change, of clientID: ClientID, device deviceID: DeviceID? = nil,
    signal signalID: SignalID? = nil, status: Acknowledgement.Status? = nil
  ) {
    self.kind = kind
    self.change = change
    self.clientID = clientID
    self.deviceID = deviceID
    self.signalID = signalID
    self.status = status
  }
}

/// Is notified of what the services did. Calls come on the service's loop, which waits for them to return.
public protocol RegistryObserver: Sendable {
  /// Something changed, and the database has it.
  func changed(_ event: RegistryEvent)
  /// A device acknowledged signals that were not sent to it: nothing changed.
  func unknownSignalsAcknowledged(_ count: Int)
}

/// For commands that nothing counts.
public struct Unobserved: RegistryObserver {
  public init() {}
  public func changed(_ event: RegistryEvent) {}
  public func unknownSignalsAcknowledged(_ count: Int) {}
}
