/// How often to repeat a request that failed temporarily, and how long to wait between attempts.
public struct RetryPolicy: Hashable, Sendable {
  /// Attempts of one request, the first included.
  public var maximumAttempts: Int
  /// The pause after the first failure. Each further one is twice as long.
  public var firstPauseMilliseconds: Int64
  /// The longest pause.
  public var maximumPauseMilliseconds: Int64
  /// The longest `Retry-After` that is respected; a longer one is cut to this.
  public var maximumRetryAfterSeconds: Int64

  public init(
    maximumAttempts: Int = 4, firstPauseMilliseconds: Int64 = 250, maximumPauseMilliseconds: Int64 = 30_000,
    maximumRetryAfterSeconds: Int64 = 120
  ) {
    self.maximumAttempts = max(1, maximumAttempts)
    self.firstPauseMilliseconds = max(0, firstPauseMilliseconds)
    self.maximumPauseMilliseconds = max(0, maximumPauseMilliseconds)
    self.maximumRetryAfterSeconds = max(0, maximumRetryAfterSeconds)
  }

  /// No retries.
  public static let never = RetryPolicy(maximumAttempts: 1)

  /// Doublings after which the pause has its maximum, for any initial pause.
  private static let maximumDoublings = 20

  /// The pause after a number of failures in a row. Half of it is random, so that devices that failed together do not
  /// return together; for the same reason it is added to `Retry-After`.
  func pause(afterFailures failures: Int, retryAfterSeconds: Int64?, random: UInt64) -> Duration {
    let doublings = min(max(failures - 1, 0), Self.maximumDoublings)
    let (grown, overflow) = firstPauseMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
    let longest = overflow ? maximumPauseMilliseconds : min(grown, maximumPauseMilliseconds)
    let chance = Int64(random % UInt64(longest / 2 + 1))
    let required = min(max(retryAfterSeconds ?? 0, 0), maximumRetryAfterSeconds)
    return .seconds(required) + .milliseconds(longest - longest / 2 + chance)
  }
}

extension RetryPolicy {
  /// Repeats until an attempt succeeds, fails permanently, or is the last. Throws `cancelled` from a pause.
  func repeating<Value>(
    on system: ClientSystem, again: (RegistryClientError) -> Bool,
    _ attempt: () async throws(RegistryClientError) -> Value
  ) async throws(RegistryClientError) -> Value {
    var failures = 0
    while true {
      do {
        return try await attempt()
      } catch {
        failures += 1
        guard again(error), failures < maximumAttempts else { throw error }
        try await pause(on: system, afterFailures: failures, retryAfterSeconds: error.retryAfterSeconds)
      }
    }
  }

  /// Waits after a number of failures in a row. Throws `cancelled`.
  func pause(
    on system: ClientSystem, afterFailures failures: Int, retryAfterSeconds: Int64?
  ) async throws(RegistryClientError) {
    try await system.pause(
      for: pause(afterFailures: failures, retryAfterSeconds: retryAfterSeconds, random: system.random()))
  }
}
