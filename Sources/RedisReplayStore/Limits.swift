/// The limits and timeouts of one store.
struct RedisLimits: Sendable {
  /// Unanswered requests. More are refused.
  var pending = 1024
  /// The connection is dropped when an answer, or connecting, takes longer.
  var commandDeadlineMilliseconds: Int64 = 1000

  /// Requests that wait for the first connection, or for a reconnection. More are refused.
  var waiting = 1024
  /// How long a request waits for a connection. After a failed attempt no request waits.
  var waitMilliseconds: Int64 = 500

  /// The delay between connection attempts; it doubles after each failure.
  var backoffMilliseconds: ClosedRange<Int64> = 50...1000

  /// The interval at which a ready connection checks the eviction policy and role of Redis.
  var inspectionMilliseconds: Int64 = 10_000

  /// How many addresses of a host name are tried.
  static let addresses = 8
}
