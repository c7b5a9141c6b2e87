/// A change in the state of the connection or of Redis, for the log. No cause contains a password.
public enum RedisEvent: Sendable, Hashable {
  case connected
  case connectFailed(cause: String)
  case lost(cause: String)
  /// Redis lost its nonces, or is another server. Signatures created before are refused.
  case emptied
  /// Redis may evict nonces when its memory is full, so all requests are refused.
  case evictionPolicy(cause: String)
  /// Redis does not report whether it may evict nonces. Requests are accepted anyway.
  case uninspected(cause: String)
}

/// An error of Redis or hiredis. Safe to log.
struct RedisFailure: Error, Hashable, CustomStringConvertible {
  enum Kind { case failure, evictionPolicy }

  let kind: Kind
  let description: String

  init(_ description: String, kind: Kind = .failure) {
    self.kind = kind
    self.description = description
  }
}
