internal import Foundation

/// The clocks and random numbers of the machine. Tests inject their own, so that nothing waits.
public struct ClientSystem: Sendable {
  /// The time of day, in milliseconds since 1970.
  public var now: @Sendable () -> Int64
  /// A monotonic clock, in milliseconds.
  public var uptime: @Sendable () -> Int64
  /// 64 unpredictable bits.
  public var random: @Sendable () -> UInt64
  /// Returns after the duration, or throws when the task is cancelled.
  public var sleep: @Sendable (Duration) async throws -> Void

  public init(
    now: @escaping @Sendable () -> Int64 = ClientSystem.wallClock,
    uptime: @escaping @Sendable () -> Int64 = ClientSystem.monotonicClock,
    random: @escaping @Sendable () -> UInt64 = ClientSystem.systemRandom,
    sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
  ) {
    self.now = now
    self.uptime = uptime
    self.random = random
    self.sleep = sleep
  }

  /// The system's clock, in milliseconds since 1970.
  @Sendable public static func wallClock() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

  /// The system's monotonic clock, in milliseconds.
  @Sendable public static func monotonicClock() -> Int64 {
    let elapsed = ContinuousClock.now - start
    return elapsed.components.seconds * 1000 + elapsed.components.attoseconds / 1_000_000_000_000_000
  }

  private static let start = ContinuousClock.now

  /// The system's generator, which is suitable for keys.
  @Sendable public static func systemRandom() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
}
