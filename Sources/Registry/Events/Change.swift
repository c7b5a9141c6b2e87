/// Who makes a change, when, in which request, and why. Every recorded write takes one.
public struct Change: Hashable, Sendable {
  /// Who makes a change.
  public enum Actor: Hashable, Sendable {
    /// The client that owns the changed entity.
    case owner(ClientID)
    /// An administrator, by the `sub` of its token.
    case administrator(ClientID)
    case device(DeviceID)
    /// A person at the command line on the server.
    case `operator`
    /// The registry itself, for example when it deletes expired rows.
    case system
  }

  public let actor: Actor
  /// When the change was requested. Created and updated rows have this time.
  public let time: Timestamp
  /// The `X-Request-Id` of the request; nil if no request caused the change.
  public let requestID: String?
  /// The reason that the actor gave; nil if none.
  public let reason: String?

  public init(by actor: Actor, at time: Timestamp, requestID: String? = nil, reason: String? = nil) {
    self.actor = actor
    self.time = time
    self.requestID = requestID
    self.reason = reason
  }
}
