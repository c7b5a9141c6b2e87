/// What an owner sends to some of its devices: an order to place, a setting to change. The registry does not read
/// its payload.
public struct Signal: Hashable, Sendable {
  public let id: SignalID
  public let clientID: ClientID
  /// The text of a JSON object, as it was received.
  public let payload: [UInt8]
  public let createdAt: Timestamp
  /// From then on no device receives it.
  public let expiresAt: Timestamp

  /// Bytes of the largest payload.
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
  /// How many devices it was sent to.
  public let devices: Int

  public init(id: SignalID, createdAt: Timestamp, expiresAt: Timestamp, devices: Int) {
    self.id = id
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.devices = devices
  }
}

/// To which devices a signal goes.
public enum Addressees: Hashable, Sendable {
  /// 1 to `maximumListed` devices, each once.
  case devices([DeviceID])
  /// The client's devices that are active now.
  case all

  /// Devices that one signal may name.
  public static let maximumListed = 1000
}

/// A signal on its way to one device, and what became of it.
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

/// What a device says it did with a signal.
public struct Acknowledgement: Hashable, Sendable {
  public enum Status: String, CaseIterable, Sendable {
    case placed, failed, skipped
  }

  public let signalID: SignalID
  public let status: Status
  /// The broker's number of the order, where there is one.
  public let brokerTicket: String?
  /// Why the signal was not followed, for people.
  public let error: String?

  /// Acknowledgements that one request may hold.
  public static let maximumPerRequest = 100
  /// Unicode scalars of a broker's ticket.
  public static let maximumTicketLength = 64
  /// Unicode scalars of an error.
  public static let maximumErrorLength = 500

  public init(signalID: SignalID, status: Status, brokerTicket: String?, error: String?) {
    self.signalID = signalID
    self.status = status
    self.brokerTicket = brokerTicket
    self.error = error
  }
}

/// Where the list of signals goes on, newest first: behind this one. Signals' ids sort by age.
public struct SignalCursor: Hashable, Sendable {
  public let id: SignalID

  public init(id: SignalID) { self.id = id }
}
