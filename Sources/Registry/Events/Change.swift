/// Who changes something, when, through which request, and why. Every write that the record holds takes one.
public struct Change: Hashable, Sendable {
  /// Who makes a change.
  public enum Actor: Hashable, Sendable {
    /// The client that owns what is changed.
    case owner(ClientID)
    /// An administrator, by the `sub` of its token.
    case administrator(ClientID)
    case device(DeviceID)
    /// A person at the command line of the registry's machine.
    case `operator`
    /// The registry itself: what ends by time.
    case system
  }

  public let actor: Actor
  /// When it was asked for. Rows that are created or updated carry this time.
  public let time: Timestamp
  /// The `X-Request-Id` of the request that asked for it; nil where there was none.
  public let requestID: String?
  /// Why, in the words of who asked for it; nil where no reason was given.
  public let reason: String?

  public init(by actor: Actor, at time: Timestamp, requestID: String? = nil, reason: String? = nil) {
    self.actor = actor
    self.time = time
    self.requestID = requestID
    self.reason = reason
  }
}
