/// A device's signals as they come, without end: one long poll after another.
///
/// Each signal is handed out once by each iterator, whether or not it is acknowledged; one that was not comes again in
/// a new sequence. The registry hands out the oldest that are not acknowledged, so whoever leaves `max` of them
/// without acknowledgement gets no newer ones until they expire.
///
/// What fails for the moment is tried again for as long as it takes, with growing pauses and as `Retry-After` says.
/// What fails for good ends the sequence with an error: a 401 that a right clock does not mend (the device is revoked,
/// or the secret was replaced), an answer that is not proven to be the registry's. Cancelling the task ends it with
/// `cancelled`.
public struct Signals: AsyncSequence, Sendable {
  public typealias Element = DeviceSignal
  public typealias Failure = RegistryClientError

  fileprivate let client: DeviceClient
  fileprivate let wait: Int
  fileprivate let max: Int

  public func makeAsyncIterator() -> Iterator { Iterator(signals: self) }

  public struct Iterator: AsyncIteratorProtocol {
    private let client: DeviceClient
    private let wait: Int
    private let max: Int
    /// What was polled and not handed out yet, in reverse.
    private var waiting: [DeviceSignal] = []
    /// What the last poll that brought any brought: of the signals handed out, those that can come again. No more
    /// than `max`.
    private var known: Set<String> = []
    private var failures = 0

    fileprivate init(signals: Signals) {
      client = signals.client
      wait = signals.wait
      max = signals.max
    }

    /// When polls bring nothing new, they begin no closer together than this: a signal that is not acknowledged, a
    /// second program with the same device and a registry that has too many polls parked all end polls at once.
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
      let call = try Call.poll(wait: wait, max: max)
      let start = client.system.uptime()
      let result: PollResult
      do {
        result = try await client.exchange.performOnce(call).pollResult()
      } catch {
        guard error.isTransient else { throw error }
        failures += 1
        return try await client.exchange.pause(
          afterFailures: failures, retryAfterSeconds: error.retryAfterSeconds)
      }
      failures = 0
      waiting = result.signals.filter { !known.contains($0.id) }.reversed()
      if !result.signals.isEmpty { known = Set(result.signals.map(\.id)) }
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
  /// The signals as they come. Each poll waits up to `wait` seconds and brings up to `max` signals; numbers out of
  /// bounds end the sequence with `invalidArgument`.
  public func signals(wait: Int = 25, max: Int = signalCounts.upperBound) -> Signals {
    Signals(client: self, wait: wait, max: max)
  }
}
