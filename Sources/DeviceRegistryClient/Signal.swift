public import Foundation

/// A signal as its owner sees it.
public struct Signal: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  public let createdAt: Date
  /// When it expires.
  public let expiresAt: Date
  /// The number of devices that it was sent to.
  public let deviceCount: Int

  enum CodingKeys: String, CodingKey {
    case id
    case createdAt = "created_at"
    case expiresAt = "expires_at"
    case deviceCount = "devices"
  }
}

/// A signal with its payload and deliveries.
public struct SignalDetails: Hashable, Sendable {
  public let signal: Signal
  public let payload: SignalPayload
  /// One for each device.
  public let deliveries: [SignalDelivery]
}

/// The delivery of a signal to one device.
public struct SignalDelivery: Decodable, Hashable, Sendable {
  public let deviceID: String
  public let state: State
  /// The device's acknowledgement; nil until there is one.
  public let status: Acknowledgement.Status?
  public let brokerTicket: String?
  public let error: String?
  public let acknowledgedAt: Date?
  /// When the device first got it; nil before.
  public let handedOutAt: Date?

  public enum State: String, Decodable, Hashable, Sendable {
    case pending
    /// The device got it and has not acknowledged it.
    case handedOut = "handed_out"
    case acked, expired, cancelled
  }

  enum CodingKeys: String, CodingKey {
    case state, status, error
    case deviceID = "device_id"
    case brokerTicket = "broker_ticket"
    case acknowledgedAt = "acked_at"
    case handedOutAt = "handed_out_at"
  }
}

/// What became of the deliveries of a signal that was cancelled.
public struct SignalCancellation: Decodable, Hashable, Sendable {
  /// Devices that do not get it any more, or learn that it is cancelled.
  public let cancelledCount: Int
  /// Devices that had acknowledged it.
  public let tooLateCount: Int

  enum CodingKeys: String, CodingKey {
    case cancelledCount = "cancelled"
    case tooLateCount = "too_late"
  }
}

/// A signal as a device gets it.
public struct DeviceSignal: Hashable, Sendable, Identifiable {
  /// A UUID in lower case, for the acknowledgement.
  public let id: String
  public let createdAt: Date
  /// When it expires.
  public let expiresAt: Date
  public let payload: SignalPayload
}

/// A signal that this library cannot read. It does not affect other signals.
public struct UnreadableSignal: Hashable, Sendable {
  /// For the acknowledgement; nil if the id cannot be read either.
  public let id: String?
  /// What is wrong, for a log.
  public let reason: String
}

/// The content of a signal: a JSON object, byte for byte as the registry sent it.
public struct SignalPayload: Hashable, Sendable {
  public let json: Data

  /// Decodes the object. Throws a `DecodingError` if it does not have the type's form.
  public func decode<Value: Decodable>(
    as type: Value.Type = Value.self, with decoder: JSONDecoder = JSONDecoder()
  ) throws -> Value {
    try decoder.decode(type, from: json)
  }
}

/// The result of a poll.
public struct PollResult: Hashable, Sendable {
  /// The signals that are neither acknowledged nor expired, oldest first.
  public let signals: [DeviceSignal]
  /// Signals of the same poll that cannot be read. They count towards `max` until they are acknowledged, for example
  /// as failed, or expire.
  public let unreadable: [UnreadableSignal]
  /// The registry's time.
  public let serverTime: Date
  /// The seconds to wait before the next poll, if the registry asks for a pause.
  public let retryAfterSeconds: Int64?
}
