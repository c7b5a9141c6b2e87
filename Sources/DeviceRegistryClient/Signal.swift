public import Foundation

/// A signal as its owner sees it.
public struct Signal: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  public let createdAt: Date
  /// When it is no longer handed out.
  public let expiresAt: Date
  /// How many devices it went to.
  public let deviceCount: Int

  enum CodingKeys: String, CodingKey {
    case id
    case createdAt = "created_at"
    case expiresAt = "expires_at"
    case deviceCount = "devices"
  }
}

/// Whom a signal is for.
public enum SignalRecipients: Hashable, Sendable {
  /// These devices, 1 to 1000; repeated ids count once.
  case devices([String])
  /// All devices of the owner's that are active when the signal is created.
  case all
}

/// A signal with what it says and what became of it.
public struct SignalDetails: Hashable, Sendable {
  public let signal: Signal
  public let payload: SignalPayload
  /// One for each device that it went to.
  public let deliveries: [SignalDelivery]
}

/// What became of a signal at one device.
public struct SignalDelivery: Decodable, Hashable, Sendable {
  public let deviceID: String
  public let state: State
  /// What the device said of it; nil until it did.
  public let status: Acknowledgement.Status?
  public let brokerTicket: String?
  public let error: String?
  public let acknowledgedAt: Date?

  public enum State: String, Decodable, Hashable, Sendable {
    case pending, acked, expired
  }

  enum CodingKeys: String, CodingKey {
    case state, status, error
    case deviceID = "device_id"
    case brokerTicket = "broker_ticket"
    case acknowledgedAt = "acked_at"
  }
}

/// A signal as a device gets it.
public struct DeviceSignal: Hashable, Sendable, Identifiable {
  /// A UUID in lower case, to be acknowledged by.
  public let id: String
  public let createdAt: Date
  /// When it is no longer handed out.
  public let expiresAt: Date
  public let payload: SignalPayload
}

/// What a signal says: a JSON object, byte by byte as the registry sent it.
public struct SignalPayload: Hashable, Sendable {
  public let json: Data

  /// Reads the object as a type of one's own. Throws a `DecodingError` where it is not of that form.
  public func decode<Value: Decodable>(
    as type: Value.Type = Value.self, with decoder: JSONDecoder = JSONDecoder()
  ) throws -> Value {
    try decoder.decode(type, from: json)
  }
}

/// What a poll brings.
public struct PollResult: Hashable, Sendable {
  /// Those that are neither acknowledged nor expired, oldest first.
  public let signals: [DeviceSignal]
  /// The registry's time.
  public let serverTime: Date
  /// How long the registry asks to be left alone, in seconds, though it answered.
  public let retryAfterSeconds: Int64?
}
