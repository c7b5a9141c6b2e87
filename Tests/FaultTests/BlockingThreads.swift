import Foundation

/// Runs each step of a task on a separate thread, so that it may block: the threads of Swift's pool are few,
/// and all suites share them.
final class BlockingThreads: TaskExecutor {
  private static let shared = BlockingThreads()

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    Thread.detachNewThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }

  /// Runs a test's body there, and what it starts.
  static func run<Result: Sendable>(
    _ body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    // A task begins where it prefers to be; its steps and its children stay there.
    try await Task(executorPreference: shared) { try await body() }.value
  }
}

/// Blocks until the condition holds, which is looked at every 5 ms. Throws when it does not within the time.
func wait(
  for what: String, upToSeconds seconds: Double = 60, until condition: () throws -> Bool
) throws {
  let deadline = Date(timeIntervalSinceNow: seconds)
  while try !condition() {
    guard Date() < deadline else { throw Unmet("after \(seconds) s still waiting for \(what)") }
    usleep(5000)
  }
}

/// The same, where looking takes its own time.
func wait(
  for what: String, upToSeconds seconds: Double = 60, until condition: () async throws -> Bool
) async throws {
  let deadline = Date(timeIntervalSinceNow: seconds)
  while try await !condition() {
    guard Date() < deadline else { throw Unmet("after \(seconds) s still waiting for \(what)") }
    usleep(5000)
  }
}

/// Something that a test relies on is not so.
struct Unmet: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Milliseconds that the body takes.
func milliseconds(_ body: () async throws -> Void) async rethrows -> Int {
  let clock = ContinuousClock()
  let begun = clock.now
  try await body()
  return Int((clock.now - begun) / .milliseconds(1))
}
