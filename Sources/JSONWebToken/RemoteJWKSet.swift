internal import Synchronization

/// What became of fetching a key set, for the log and the metrics.
public enum KeySetEvent: Hashable, Sendable {
  /// New keys are in force; none, where the set has none that can be used. `refusals` has a line for each key of the
  /// set that is not used.
  case fetched(keys: Int, refusals: [String], lifetimeSeconds: Int)
  /// The keys from before stay in force, if there are any.
  case failed(JWKSetError)
}

/// A key set at a URL. It is fetched at the start, when its lifetime is over, and when a token names a key that it
/// does not have; never more often than every `minimumIntervalMilliseconds`. All who wait at one time wait for the same
/// fetch. A fetch that fails leaves the keys as they are; a set without a usable key takes them out of force.
public final class RemoteJWKSet: Sendable {
  /// Fetches the set, within a time and a size that have bounds.
  public typealias Fetch = @Sendable () async throws(JWKSetError) -> FetchedKeySet

  private struct State {
    var keys: JWKSet?
    var generation = 0
    var lastAttempt: Int64?
    var dueAt = Int64.min
    var lastFetchFailed = false
    var inFlight: Task<Void, Never>?
    var waiting = 0
  }

  private let state = Mutex(State())
  private let executor: (any TaskExecutor)?
  private let fetchKeys: Fetch
  private let monotonicMilliseconds: @Sendable () -> Int64
  private let report: @Sendable (KeySetEvent) -> Void

  /// Between the starts of two fetches.
  public static let minimumIntervalMilliseconds: Int64 = 10_000
  /// Requests that wait for a fetch at one time; more get `keysUnavailable`.
  public static let maximumWaiting = 1000
  /// How often `run` looks whether a fetch is due.
  static let checkIntervalMilliseconds = 1000

  /// Nothing is fetched yet.
  ///
  /// - Parameters:
  ///   - executor: where fetches run, and their answers are read; nil: on the threads of Swift's pool.
  ///   - monotonicMilliseconds: a monotonic clock.
  public init(
    on executor: (any TaskExecutor)? = nil, monotonicMilliseconds: @escaping @Sendable () -> Int64,
    report: @escaping @Sendable (KeySetEvent) -> Void, fetch: @escaping Fetch
  ) {
    self.executor = executor
    self.monotonicMilliseconds = monotonicMilliseconds
    self.report = report
    fetchKeys = fetch
  }

  var current: JWKSet? { state.withLock { $0.keys } }

  /// How many sets there were.
  var generation: Int { state.withLock { $0.generation } }

  /// Fetches the set if that is due: at first, and when its lifetime is over. A fetch that failed is due again
  /// after the minimum interval.
  public func refreshIfDue() async {
    let now = monotonicMilliseconds()
    guard state.withLock({ now >= $0.dueAt }) else { return }
    _ = await waitForFetch()
  }

  /// Keeps the set fresh until the task is cancelled: a background service. `sleep` waits for milliseconds.
  public func run(sleep: (_ milliseconds: Int) async -> Void) async {
    while !Task.isCancelled {
      await refreshIfDue()
      await sleep(Self.checkIntervalMilliseconds)
    }
  }

  /// The keys after a fetch, unless one was made just now. Throws `keysUnavailable` where the last fetch failed:
  /// what is unknown may then be a key that is new.
  func refetched() async throws(TokenError) -> JWKSet {
    guard await waitForFetch() else { throw .keysUnavailable }
    let keys = state.withLock { $0.lastFetchFailed ? nil : $0.keys }
    guard let keys else { throw .keysUnavailable }
    return keys
  }

  /// Joins the fetch that is in progress, or starts one unless the last is too fresh. False if too many wait.
  private func waitForFetch() async -> Bool {
    enum Decision {
      case wait(Task<Void, Never>), tooFresh, tooMany
    }
    let now = monotonicMilliseconds()
    let decision: Decision = state.withLock { state in
      if let fetch = state.inFlight {
        guard state.waiting < Self.maximumWaiting else { return .tooMany }
        state.waiting += 1
        return .wait(fetch)
      }
      if let last = state.lastAttempt, now - last < Self.minimumIntervalMilliseconds { return .tooFresh }
      let fetch = Task(executorPreference: executor) { await self.fetch() }
      state.lastAttempt = now
      state.inFlight = fetch
      state.waiting = 1
      return .wait(fetch)
    }
    switch decision {
    case .tooFresh: return true
    case .tooMany: return false
    case .wait(let fetch):
      await fetch.value
      return true
    }
  }

  private func fetch() async {
    let outcome: Result<FetchedKeySet, JWKSetError>
    do { outcome = .success(try await fetchKeys()) } catch { outcome = .failure(error) }
    let now = monotonicMilliseconds()
    state.withLock { state in
      state.inFlight = nil
      state.waiting = 0
      state.lastFetchFailed = (try? outcome.get()) == nil
      switch outcome {
      case .success(let fetched):
        state.keys = fetched.keys
        state.generation += 1
        state.dueAt = now + Int64(fetched.lifetimeSeconds) * 1000
      case .failure: state.dueAt = now + Self.minimumIntervalMilliseconds
      }
    }
    switch outcome {
    case .success(let fetched):
      report(
        .fetched(
          keys: fetched.keys.count, refusals: fetched.keys.refusals, lifetimeSeconds: fetched.lifetimeSeconds))
    case .failure(let error): report(.failed(error))
    }
  }
}
