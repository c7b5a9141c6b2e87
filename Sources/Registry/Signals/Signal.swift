/// A message from an owner to some of its devices: an order to place, a setting to change. The registry does
/// not interpret the payload.
public struct Signal: Hashable, Sendable {
  public let id: SignalID
  public let clientID: ClientID
  /// The text of a JSON object, as received.
  public let payload: [UInt8]
  public let createdAt: Timestamp
  /// No device receives the signal from this time on.
  public let expiresAt: Timestamp

  /// The maximum size of a payload, in bytes.
  public static let maximumPayloadBytes = 16 * 1024
  /// Seconds from `createdAt` to `expiresAt`.
  public static let lifetimeSeconds = 1...604_800
  public static let defaultLifetimeSeconds = 3600

  public init(id: SignalID, clientID: ClientID, payload: [UInt8], createdAt: Timestamp, expiresAt: Timestamp) {
    self.id = id
    self.clientID = clientID
    self.payload = payload
    self.createdAt = createdAt
    self.expiresAt = expiresAt
  }
}

/// A signal without its payload, as lists show it.
public struct SignalSummary: Hashable, Sendable {
  public let id: SignalID
  public let createdAt: Timestamp
  public let expiresAt: Timestamp
  /// The number of devices that the signal was sent to.
  public let devices: Int
  /// When its owner cancelled it; nil unless that happened.
  public let cancelledAt: Timestamp?

  public init(
    id: SignalID, createdAt: Timestamp, expiresAt: Timestamp, devices: Int, cancelledAt: Timestamp? = nil
  ) {
    self.id = id
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.devices = devices
    self.cancelledAt = cancelledAt
  }
}

/// The delivery of a signal to one device, and its acknowledgement.
public struct Delivery: Hashable, Sendable {
  public let deviceID: DeviceID
  /// The first acknowledgement; nil until there is one.
  public let acknowledgement: Acknowledgement?
  public let ackedAt: Timestamp?
  /// When a poll of the device first returned the signal; nil until that is written.
  public let handedOutAt: Timestamp?
  /// Whether the signal was cancelled, as a whole or for this device. A later acknowledgement is stored all the same.
  public let isCancelled: Bool

  public init(
    deviceID: DeviceID, acknowledgement: Acknowledgement?, ackedAt: Timestamp?,
    handedOutAt: Timestamp? = nil, isCancelled: Bool = false
  ) {
    self.deviceID = deviceID
    self.acknowledgement = acknowledgement
    self.ackedAt = ackedAt
    self.handedOutAt = handedOutAt
    self.isCancelled = isCancelled
  }
}

/// A signal that a device must not follow any more, until it would have expired.
public struct CancelledSignal: Hashable, Sendable {
  public let id: SignalID
  public let expiresAt: Timestamp

  public init(id: SignalID, expiresAt: Timestamp) {
    self.id = id
    self.expiresAt = expiresAt
  }

  /// Cancelled signals that a poll lists, the newest ones.
  public static let maximumListed = 100
  /// Cancelled signals of the client, the newest ones, among which a poll finds those of its device.
  public static let maximumSearched = 1000
}

/// The signals that a device polls, which it did not acknowledge and which have not expired.
public struct DeviceSignals: Hashable, Sendable {
  /// Oldest first.
  public var pending: [Signal]
  /// Those of `pending` that are not stored as handed out.
  public var notHandedOut: [SignalID]
  public var cancelled: [CancelledSignal]

  public init(
    pending: [Signal] = [], notHandedOut: [SignalID] = [], cancelled: [CancelledSignal] = []
  ) {
    self.pending = pending
    self.notHandedOut = notHandedOut
    self.cancelled = cancelled
  }
}

/// What a device reports that it did with a signal.
public struct Acknowledgement: Hashable, Sendable {
  public enum Status: String, CaseIterable, Sendable {
    case placed, failed, skipped
  }

  public let signalID: SignalID
  public let status: Status
  /// The broker's order number, if any.
  public let brokerTicket: String?
  /// Why the device did not follow the signal, as text for people.
  public let error: String?

  /// The maximum number of acknowledgements in one request.
  public static let maximumPerRequest = 100
  /// The maximum length of a ticket, in Unicode scalars.
  public static let maximumTicketLength = 64
  /// The maximum length of an error, in Unicode scalars.
  public static let maximumErrorLength = 500

  public init(signalID: SignalID, status: Status, brokerTicket: String?, error: String?) {
    self.signalID = signalID
    self.status = status
    self.brokerTicket = brokerTicket
    self.error = error
  }
}

/// The last signal of a page, newest first; the next page starts after it. Signal ids sort by age.
public struct SignalCursor: Hashable, Sendable {
  public let id: SignalID

  public init(id: SignalID) { self.id = id }
}
