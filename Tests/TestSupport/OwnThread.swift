import Foundation

/// Runs what blocks on a thread of its own, and waits for it without one: all tests together share as many threads
/// as the machine has processors, and a test that keeps one of them keeps it from all others.
public func onOwnThread<Value: Sendable, Failure: Error>(
  _ body: @escaping @Sendable () throws(Failure) -> Value
) async throws(Failure) -> Value {
  let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
    Thread.detachNewThread {
      let result: Result<Value, Failure>
      do throws(Failure) { result = .success(try body()) } catch { result = .failure(error) }
      continuation.resume(returning: result)
    }
  }
  return try result.get()
}

/// What was waited for did not come.
public struct WaitedInVain: Error {
  public init() {}
}

/// Waits for what no event tells of: looks every few milliseconds, for half a minute at the most.
public func wait(until isReached: () throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(30)
  while try !isReached() {
    guard ContinuousClock.now < deadline else { throw WaitedInVain() }
    // Asking again at once would keep the processor from what is waited for.
    try await Task.sleep(for: .milliseconds(2))
  }
}
