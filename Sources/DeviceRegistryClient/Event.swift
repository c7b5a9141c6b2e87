public import Foundation

/// Something that happened to the owner's devices, signals or webhooks.
public struct RegistryEvent: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  /// For example `device.revoked`; docs/events.md lists all types.
  public let type: String
  public let at: Date
  public let clientID: String
  public let deviceID: String?
  public let signalID: String?
  /// Who made the change.
  public let actor: EventActor
  /// The `X-Request-Id` of the request that made the change.
  public let requestID: String?
  /// What the actor gave as the reason.
  public let reason: String?
  /// By name.
  public let changes: [String: EventChange]?
  /// The event as the registry sent it, byte for byte.
  public internal(set) var json = Data()

  enum CodingKeys: String, CodingKey {
    case id, type, at, actor, reason, changes
    case clientID = "client_id"
    case deviceID = "device_id"
    case signalID = "signal_id"
    case requestID = "request_id"
  }
}

/// Who made a change.
public struct EventActor: Decodable, Hashable, Sendable {
  /// `owner`, `admin`, `device`, `operator` or `system`.
  public let kind: String
  /// The `sub` of the actor's token, or the device's id.
  public let id: String?
}

/// A value before and after a change; nil without one.
public struct EventChange: Decodable, Hashable, Sendable {
  public let old: EventValue?
  public let new: EventValue?

  public init(from decoder: any Decoder) throws {
    var values = try decoder.unkeyedContainer()
    old = try values.decodeIfPresent(EventValue.self)
    new = try values.decodeIfPresent(EventValue.self)
  }
}

/// A value that changed.
public enum EventValue: Decodable, Hashable, Sendable {
  case text(String)
  case number(Double)
  case flag(Bool)
  case list([EventValue])
  /// A value of another form, which the event's `json` contains.
  case other

  public init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let flag = try? value.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let text = try? value.decode(String.self) {
      self = .text(text)
    } else {
      self = (try? value.decode([EventValue].self)).map { .list($0) } ?? .other
    }
  }
}

extension EventValue: CustomStringConvertible {
  public var description: String {
    switch self {
    case .text(let text): text
    case .number(let number): Int64(exactly: number).map(String.init) ?? String(number)
    case .flag(let flag): String(flag)
    case .list(let values): values.map(\.description).joined(separator: ",")
    case .other: "..."
    }
  }
}

/// A part of the feed of events.
public struct EventPage: Hashable, Sendable {
  /// In the order of commit. A page of a filtered feed may be empty although there is more.
  public let events: [RegistryEvent]
  /// Where to continue: the `after` of the next request. It changes also while nothing happens.
  public let next: String
  /// The seconds to wait before the next request, if the registry asks for a pause.
  public let retryAfterSeconds: Int64?
}
