/// Who makes a change, when, in which request, and why. Every recorded write takes one.
public struct Change: Hashable, Sendable {
  /// Who makes a change.
  public enum Actor: Hashable, Sendable {
    /// The owner of the changed entity, by the `sub` of its token.
    case owner(String)
    /// A user of Telegram, by its id, in a chat that the owner linked. An owner too, whose `sub` begins with `telegram:`.
    case telegram(Int64)
    /// An administrator, by the `sub` of its token.
    case administrator(String)
    case device(DeviceID)
    /// A person at the command line on the server.
    case `operator`
    /// The registry itself, for example when it deletes expired rows.
    case system

    /// The `actor.kind` of events.
    public var kind: String {
      switch self {
      case .owner, .telegram: "owner"
      case .administrator: "admin"
      case .device: "device"
      case .operator: "operator"
      case .system: "system"
      }
    }

    /// The `actor.id` of events.
    public var id: String? {
      switch self {
      case .owner(let subject), .administrator(let subject): subject
      case .telegram(let user): "telegram:\(user)"
      case .device(let id): id.description
      case .operator, .system: nil
      }
    }
  }

  public let actor: Actor
  /// When the change was requested. Created and updated rows have this time.
  public let time: Timestamp
  /// The `X-Request-Id` of the request; nil if no request caused the change.
  public let requestID: String?
  /// The reason that the actor gave; nil if none.
  public private(set) var reason: String?
  /// The key of the request, which is stored with the change; nil if it has none.
  public private(set) var idempotencyClaim: IdempotencyClaim?

  public init(by actor: Actor, at time: Timestamp, requestID: String? = nil, reason: String? = nil) {
    self.actor = actor
    self.time = time
    self.requestID = requestID
    self.reason = reason
  }

  /// Unicode scalars of a reason.
  public static let maximumReasonLength = 200

  /// The same change, for a reason.
  public func because(_ reason: String?) -> Change {
    var change = self
    change.reason = reason
    return change
  }

  /// The same change, which uses a key.
  func claiming(_ claim: IdempotencyClaim) -> Change {
    var change = self
    change.idempotencyClaim = claim
    return change
  }
}
