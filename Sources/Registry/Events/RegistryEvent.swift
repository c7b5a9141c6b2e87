/// A change in the registry: each makes one event.
public struct RegistryEvent: Hashable, Sendable {
  /// What changed. The raw values are the names in the API.
  public enum Kind: String, CaseIterable, Hashable, Sendable {
    case clientCreated = "client.created"
    case clientUpdated = "client.updated"
    case clientSuspended = "client.suspended"
    case clientResumed = "client.resumed"
    case clientDeleted = "client.deleted"
    case deviceRegistered = "device.registered"
    case deviceUpdated = "device.updated"
    case deviceSuspended = "device.suspended"
    case deviceResumed = "device.resumed"
    case deviceExpired = "device.expired"
    case deviceRevoked = "device.revoked"
    /// A second instance polled with the device's secret.
    case deviceContended = "device.contended"
    /// The device said that it runs elsewhere, or in another version.
    case deviceContextChanged = "device.context_changed"
    /// A terminal used a code: there is a new device, or the device has a new secret.
    case deviceEnrolled = "device.enrolled"
    /// The owner deleted a revoked device, or the device went with its client.
    case deviceDeleted = "device.deleted"
    /// The device sent a request after it was offline, or its first one.
    case deviceOnline = "device.online"
    /// The device sent no request for `OFFLINE_AFTER_SECONDS`.
    case deviceOffline = "device.offline"
    case modeChanged = "device.mode_changed"
    /// The device obeys the current version of its trading mode.
    case modeConfirmed = "device.mode_confirmed"
    /// The device has a new secret and has not used it yet.
    case secretRotated = "device.secret_rotated"
    /// The device used its new secret, so the old one is no longer valid.
    case secretPromoted = "device.secret_promoted"
    case signalCreated = "signal.created"
    /// The owner cancelled the signal, or for one device the signals that wait for it.
    case signalCancelled = "signal.cancelled"
    /// The device acknowledged the signal for the first time.
    case signalAcknowledged = "signal.acknowledged"
    case enrolmentCreated = "enrolment.created"
    case enrolmentDeleted = "enrolment.deleted"
    case groupCreated = "group.created"
    case groupUpdated = "group.updated"
    /// Its devices stay, and have left it.
    case groupDeleted = "group.deleted"
    case webhookCreated = "webhook.created"
    case webhookUpdated = "webhook.updated"
    case webhookDeleted = "webhook.deleted"
    /// The registry stopped the deliveries, because they failed too often or the receiver wants no more.
    case webhookDisabled = "webhook.disabled"
    /// A Telegram chat used a code: it sees and halts the client's devices.
    case telegramLinked = "telegram.linked"
    case telegramUnlinked = "telegram.unlinked"
  }

  public let kind: Kind
  public let change: Change
  /// The client that owns the changed entity.
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

/// Is notified of what the services do. Calls run on the service's loop, which waits for them.
public protocol RegistryObserver: Sendable {
  /// The database has committed a change.
  func changed(_ event: RegistryEvent)
  /// A device acknowledged signals that were not sent to it: nothing changed.
  func unknownSignalsAcknowledged(_ count: Int)
}

/// Ignores all events, for commands without metrics.
public struct Unobserved: RegistryObserver {
  public init() {}
  public func changed(_ event: RegistryEvent) {}
  public func unknownSignalsAcknowledged(_ count: Int) {}
}
