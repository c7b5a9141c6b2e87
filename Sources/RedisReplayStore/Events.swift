/// What the store reports of its Redis, for the log. No cause holds a password.
public enum RedisEvent: Sendable, Hashable {
  case connected
  case connectFailed(cause: String)
  case lost(cause: String)
  /// Redis forgot what it held, or is another server: nonces from before are refused.
  case emptied
  /// Redis may forget nonces when its memory is full, so none is accepted.
  case evictionPolicy(cause: String)
  /// Redis does not say whether it may forget nonces. They are accepted anyway.
  case uninspected(cause: String)
}

/// What Redis or hiredis said went wrong. Safe to log.
struct RedisFailure: Error, Hashable, CustomStringConvertible {
  enum Kind { case failure, evictionPolicy }

  let kind: Kind
  let description: String

  init(_ description: String, kind: Kind = .failure) {
    self.kind = kind
    self.description = description
  }
}
