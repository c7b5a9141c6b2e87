/// A device's signals as they arrive, without end: one long poll after another.
///
/// An iterator returns each signal once, acknowledged or not; a new sequence returns unacknowledged signals again. The
/// registry delivers the oldest unacknowledged signals, so with `max` of them unacknowledged, no newer ones arrive
/// until they expire.
///
/// Temporary failures are retried without limit, with growing pauses and after `Retry-After`; so is a suspension that has
/// an end, because the owner may also end it before. Permanent failures end the sequence with an error: a 401 that the
/// right clock does not fix (the secret was rotated, or the device was deleted), any other 403 (the device is revoked, has
/// expired, is suspended until it is resumed, or runs on another account than its owner allows), a 409 (another instance
/// has the lease), or an answer without the registry's signature. Cancelling the task ends it with `cancelled`.
public struct Signals: AsyncSequence, Sendable {
  public typealias Element = DeviceSignal
  public typealias Failure = RegistryClientError

  fileprivate let client: DeviceClient
  fileprivate let wait: Int
  fileprivate let max: Int
  fileprivate let takesOver: Bool
  fileprivate let report: @Sendable (UnreadableSignal) -> Void

  public func makeAsyncIterator() -> Iterator { Iterator(signals: self) }

  public struct Iterator: AsyncIteratorProtocol {
    private let client: DeviceClient
    private let wait: Int
    private let max: Int
    /// Until a poll succeeds: later ones must not take the lease back.
    private var takesOver: Bool
    private let report: @Sendable (UnreadableSignal) -> Void
    /// Signals that were polled and not returned yet, in reverse.
    private var waiting: [DeviceSignal] = []
    /// The returned or reported signals that may arrive again: those of the last poll that had any. At most `max`.
    private var known: Set<String> = []
    private var failures = 0

    fileprivate init(signals: Signals) {
      client = signals.client
      wait = signals.wait
      max = signals.max
      takesOver = signals.takesOver
      report = signals.report
    }

    /// The shortest time between polls that bring nothing new. An unacknowledged signal, a second program with the
    /// same device, and a registry with too many parked polls make polls return at once.
    private static let minimumIntervalMilliseconds: Int64 = 1000

    public mutating func next() async throws(RegistryClientError) -> DeviceSignal? {
      try await next(isolation: #isolation)
    }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws(RegistryClientError)
      -> DeviceSignal?
    {
      while waiting.isEmpty { try await poll() }
      return waiting.popLast()
    }

    private mutating func poll() async throws(RegistryClientError) {
      let call = try client.pollCall(wait: wait, max: max, takesOver: takesOver)
      let start = client.system.uptime()
      let result: PollResult
      do {
        result = try await client.exchange.performOnce(call).pollResult()
      } catch {
        guard error.isTransient || error.isSuspensionWithEnd else { throw error }
        failures += 1
        return try await client.exchange.pause(
          afterFailures: failures, retryAfterSeconds: error.retryAfterSeconds)
      }
      failures = 0
      takesOver = false
      waiting = result.signals.filter { !known.contains($0.id) }.reversed()
      for signal in result.unreadable where signal.id.map(known.contains) != true { report(signal) }
      let ids = result.signals.map(\.id) + result.unreadable.compactMap(\.id)
      if !ids.isEmpty { known = Set(ids) }
      if waiting.isEmpty { try await pause(since: start, retryAfterSeconds: result.retryAfterSeconds) }
    }

    private func pause(since start: Int64, retryAfterSeconds: Int64?) async throws(RegistryClientError) {
      if let retryAfterSeconds {
        return try await client.exchange.pause(afterFailures: 1, retryAfterSeconds: retryAfterSeconds)
      }
      let rest = Self.minimumIntervalMilliseconds - (client.system.uptime() - start)
      if rest > 0 { try await client.system.pause(for: .milliseconds(rest)) }
    }
  }
}

extension DeviceClient {
  /// The signals as they arrive. Each poll waits up to `wait` seconds and returns up to `max` signals; numbers out of
  /// bounds end the sequence with `invalidArgument`.
  ///
  /// - Parameters:
  ///   - takesOver: takes the lease from another instance at the start; see `poll`.
  ///   - report: called for each signal that cannot be read. Acknowledge it as failed, so that the registry does not send
  ///     it again.
  public func signals(
    wait: Int = 25, max: Int = signalCounts.upperBound, takesOver: Bool = false,
    report: @escaping @Sendable (UnreadableSignal) -> Void = { _ in }
  ) -> Signals {
    Signals(client: self, wait: wait, max: max, takesOver: takesOver, report: report)
  }
}
