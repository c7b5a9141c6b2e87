/// What was waited for did not come.
public struct WaitedInVain: Error {
  public init() {}
}

/// Waits for what no event tells of: looks every few milliseconds, for half a minute at the most.
public func wait(until isReached: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(30)
  while try await !isReached() {
    guard ContinuousClock.now < deadline else { throw WaitedInVain() }
    // Asking again at once would keep the processor from what is waited for.
    try await Task.sleep(for: .milliseconds(2))
  }
}
