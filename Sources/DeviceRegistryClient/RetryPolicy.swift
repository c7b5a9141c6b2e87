/// How often a request that failed for the moment is made again, and after which pauses.
public struct RetryPolicy: Hashable, Sendable {
  /// Attempts of one request, the first included.
  public var maximumAttempts: Int
  /// The pause after the first failure. Each further one is twice as long.
  public var firstPauseMilliseconds: Int64
  /// What pauses grow to.
  public var maximumPauseMilliseconds: Int64
  /// The longest `Retry-After` that is honoured; a longer one counts as this.
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

  /// The first attempt is the last.
  public static let never = RetryPolicy(maximumAttempts: 1)

  /// Doublings after which a pause is at its longest, whatever it began with.
  private static let maximumDoublings = 20

  /// The pause after so many failures in a row. Half of it is up to chance, so that devices that failed together do
  /// not come back together; for the same reason it comes on top of `Retry-After`.
  func pause(afterFailures failures: Int, retryAfterSeconds: Int64?, random: UInt64) -> Duration {
    let doublings = min(max(failures - 1, 0), Self.maximumDoublings)
    let (grown, overflow) = firstPauseMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
    let longest = overflow ? maximumPauseMilliseconds : min(grown, maximumPauseMilliseconds)
    let chance = Int64(random % UInt64(longest / 2 + 1))
    let demanded = min(max(retryAfterSeconds ?? 0, 0), maximumRetryAfterSeconds)
    return .seconds(demanded) + .milliseconds(longest - longest / 2 + chance)
  }
}

extension RetryPolicy {
  /// Makes attempts until one succeeds, fails in a way that is not worth another one, or was the last. Throws
  /// `cancelled` from a pause.
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

  /// Waits after so many failures in a row. Throws `cancelled`.
  func pause(
    on system: ClientSystem, afterFailures failures: Int, retryAfterSeconds: Int64?
  ) async throws(RegistryClientError) {
    try await system.pause(
      for: pause(afterFailures: failures, retryAfterSeconds: retryAfterSeconds, random: system.random()))
  }
}
