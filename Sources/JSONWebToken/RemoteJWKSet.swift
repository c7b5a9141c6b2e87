internal import Synchronization

/// The result of fetching a key set, for the log and the metrics.
public enum KeySetEvent: Hashable, Sendable {
  /// The fetched keys replace the previous ones. `refusals` has one line for each unused key of the set.
  case fetched(keys: Int, refusals: [String], lifetimeSeconds: Int)
  /// The previous keys, if any, stay in use until they are too old.
  case failed(JWKSetError)
  /// The previous keys are too old, and no longer in use.
  case ended
}

/// A key set at a URL. It is fetched at the start, when its lifetime ends, and when a token names an unknown
/// key, but at most once in `minimumIntervalMilliseconds`. Concurrent callers share one fetch. If a fetch
/// fails, or its set has no usable key, the previous keys stay in use until they are `maximumAgeHours` old.
public final class RemoteJWKSet: Sendable {
  /// Fetches the set. The implementation limits its time and size.
  public typealias Fetch = @Sendable () async throws(JWKSetError) -> FetchedKeySet

  private struct State {
    var keys: JWKSet?
    var generation = 0
    /// When `keys` were fetched.
    var fetchedAt = Int64.min
    var lastAttempt: Int64?
    var dueAt = Int64.min
    var lastFetchFailed = false
    var inFlight: Task<Void, Never>?
    var waiting = 0
  }

  private let state = Mutex(State())
  private let executor: (any TaskExecutor)?
  private let maximumAgeMilliseconds: Int64
  private let fetchKeys: Fetch
  private let monotonicMilliseconds: @Sendable () -> Int64
  private let report: @Sendable (KeySetEvent) -> Void

  /// The minimum time between the starts of two fetches.
  public static let minimumIntervalMilliseconds: Int64 = 10_000
  /// Requests that wait for one fetch. More fail as `keysUnavailable`.
  public static let maximumWaiting = 1000
  /// The default of `maximumAgeHours`.
  public static let defaultMaximumAgeHours = 24
  /// The interval at which `run` checks whether a fetch is due.
  static let checkIntervalMilliseconds = 1000

  /// Does not fetch yet.
  ///
  /// - Parameters:
  ///   - executor: runs fetches and parses their responses; nil: Swift's thread pool.
  ///   - maximumAgeHours: how long keys stay in use if no later fetch succeeds.
  ///   - monotonicMilliseconds: a monotonic clock.
  public init(
    on executor: (any TaskExecutor)? = nil, maximumAgeHours: Int = defaultMaximumAgeHours,
    monotonicMilliseconds: @escaping @Sendable () -> Int64,
    report: @escaping @Sendable (KeySetEvent) -> Void, fetch: @escaping Fetch
  ) {
    self.executor = executor
    maximumAgeMilliseconds = Int64(maximumAgeHours) * 60 * 60 * 1000
    self.monotonicMilliseconds = monotonicMilliseconds
    self.report = report
    fetchKeys = fetch
  }

  var current: JWKSet? { state.withLock { $0.keys } }

  /// Changes when the keys do.
  var generation: Int { state.withLock { $0.generation } }

  /// Fetches the set if that is due: at first, and when its lifetime has ended. A failed fetch is due again
  /// after the minimum interval. Ends keys that are too old.
  public func refreshIfDue() async {
    let now = monotonicMilliseconds()
    endOldKeys(at: now)
    guard state.withLock({ now >= $0.dueAt }) else { return }
    _ = await waitForFetch()
  }

  private func endOldKeys(at now: Int64) {
    let hasEnded = state.withLock { state in
      guard state.keys != nil, now - state.fetchedAt >= maximumAgeMilliseconds else { return false }
      state.keys = nil
      state.generation += 1
      return true
    }
    if hasEnded { report(.ended) }
  }

  /// A background service that keeps the set fresh until the task is cancelled. `sleep` waits for the given
  /// time.
  public func run(sleep: (_ milliseconds: Int) async -> Void) async {
    while !Task.isCancelled {
      await refreshIfDue()
      await sleep(Self.checkIntervalMilliseconds)
    }
  }

  /// Fetches the keys again, unless that was done within the minimum interval, and returns them. Throws
  /// `keysUnavailable` if the last fetch failed: an unknown key may then be a new one.
  func refetched() async throws(TokenError) -> JWKSet {
    guard await waitForFetch() else { throw .keysUnavailable }
    let keys = state.withLock { $0.lastFetchFailed ? nil : $0.keys }
    guard let keys else { throw .keysUnavailable }
    return keys
  }

  /// Joins the running fetch, or starts one unless the minimum interval has not passed. False if too many wait.
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
        state.fetchedAt = now
        // Early enough for the keys to be fetched again before they are too old.
        state.dueAt = now + min(Int64(fetched.lifetimeSeconds) * 1000, maximumAgeMilliseconds / 2)
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
