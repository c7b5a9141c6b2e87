/// A store's connection to Redis and what waits for it, as they were at its last look at them.
public struct RedisState: Hashable, Sendable {
  /// Whether the connection can be used.
  public var isReady = false
  /// What was sent and is not answered.
  public var pendingRequests = 0
  /// Nonces that wait for the connection.
  public var waitingRequests = 0
}
