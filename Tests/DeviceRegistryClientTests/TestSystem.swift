import DeviceRegistryClient
import Foundation
import Synchronization

/// Time that stands still, chance that repeats itself, and pauses that are written down instead of waited for.
final class TestSystem: Sendable {
  /// 2030-01-01T00:00:00Z, in milliseconds.
  static let now: Int64 = 1_893_456_000_000

  private let slept = Mutex<[Duration]>([])
  private let draws = Mutex<UInt64>(0)
  private let clock = Mutex(TestSystem.now)
  /// Milliseconds that pass from one look at the monotonic clock to the next.
  private let stepMilliseconds: Int64
  private let uptime = Mutex<Int64>(0)

  init(stepMilliseconds: Int64 = 0) { self.stepMilliseconds = stepMilliseconds }

  var pauses: [Duration] { slept.withLock { $0 } }

  func set(_ milliseconds: Int64) { clock.withLock { $0 = milliseconds } }

  var system: ClientSystem {
    ClientSystem(
      now: { self.clock.withLock { $0 } },
      uptime: {
        self.uptime.withLock { uptime in
          uptime += self.stepMilliseconds
          return uptime
        }
      },
      // Multiples of a large odd number never repeat within 2^64.
      random: {
        self.draws.withLock { draws in
          (draws, _) = draws.addingReportingOverflow(0x9E37_79B9_7F4A_7C15); return draws
        }
      },
      sleep: { duration in
        try Task.checkCancellation()
        self.slept.withLock { $0.append(duration) }
      })
  }
}

/// The error of a call; nil where it succeeded.
func failure<Value>(_ call: () async throws(RegistryClientError) -> Value) async -> RegistryClientError? {
  do throws(RegistryClientError) {
    _ = try await call()
    return nil
  } catch { return error }
}

extension RegistryClientError {
  var problem: Problem? {
    if case .problem(let problem) = self { problem } else { nil }
  }

  var isNotAuthentic: Bool {
    if case .notAuthentic = self { true } else { false }
  }
}
