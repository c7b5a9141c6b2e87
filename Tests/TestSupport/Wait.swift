/// The condition did not become true in time.
public struct WaitedInVain: Error {
  public init() {}
}

/// Waits for a condition without an event: checks every few milliseconds, for at most half a minute.
public func wait(until isReached: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(30)
  while try await !isReached() {
    guard ContinuousClock.now < deadline else { throw WaitedInVain() }
    // Checking again at once would take processor time from the awaited work.
    try await Task.sleep(for: .milliseconds(2))
  }
}
