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

  public init(id: SignalID, createdAt: Timestamp, expiresAt: Timestamp, devices: Int) {
    self.id = id
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.devices = devices
  }
}

/// The delivery of a signal to one device, and its acknowledgement.
public struct Delivery: Hashable, Sendable {
  public let deviceID: DeviceID
  /// The first acknowledgement; nil until there is one.
  public let acknowledgement: Acknowledgement?
  public let ackedAt: Timestamp?

  public init(deviceID: DeviceID, acknowledgement: Acknowledgement?, ackedAt: Timestamp?) {
    self.deviceID = deviceID
    self.acknowledgement = acknowledgement
    self.ackedAt = ackedAt
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
