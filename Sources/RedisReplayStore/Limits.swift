/// How much one store holds and how long it waits.
struct RedisLimits: Sendable {
  /// Requests that were sent and are not yet answered. More are refused.
  var pending = 1024
  /// Within this time a command is answered, or the connection is given up. Connecting counts.
  var commandDeadlineMilliseconds: Int64 = 1000

  /// Requests that wait for the first connection, or for a new one after a loss. More are refused.
  var waiting = 1024
  /// How long a request waits for a connection. After a failed attempt no request waits.
  var waitMilliseconds: Int64 = 500

  /// Waits between attempts to connect: doubled after each failure.
  var backoffMilliseconds: ClosedRange<Int64> = 50...1000

  /// How often a working connection checks that Redis still forgets nothing.
  var inspectionMilliseconds: Int64 = 10_000

  /// Addresses of a host's name that are tried.
  static let addresses = 8
}
