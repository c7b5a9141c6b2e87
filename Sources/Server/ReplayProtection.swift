internal import EventLoop
internal import Observability
internal import RedisReplayStore
internal import Registry
internal import Synchronization

/// The replay stores of a process: one in memory for all loops, or a connection to Redis for each loop.
struct ReplayProtection: Sendable {
  /// One for each loop.
  let stores: [any ReplayStore]
  /// Nil if Redis stores the nonces.
  let memory: ReplayMemory?
  /// Nil if this process stores the nonces.
  let redis: [RedisReplayStore]?

  /// Acquires the lock on the database and starts to receive its changes. A process that could miss a revocation, or
  /// another process on the database, refuses signed requests.
  ///
  /// - Parameters:
  ///   - store: the store of the first loop.
  ///   - delivery: see `Database.startFeed`.
  ///
  /// Throws an error that names REPLAY_STORE if another process serves the database.
  static func start(
    _ configuration: Configuration, on loops: [EventLoop], database: Database, store: any RegistryStore,
    live: LiveDevices, delivery: LockState?, clock: any Clock, logger: Logger,
    interruptions: Interruptions, services: inout RunningServices
  ) async throws -> ReplayProtection {
    switch configuration.replayStore {
    case .memory:
      let terms = ReplayTerms(
        configuration, margin: database.lockMarginMilliseconds, clock: clock, logger: logger,
        interruptions: interruptions)
      try await database.startFeed(
        on: loops[0], isExclusive: true, observer: live, delivery: delivery, logger: logger,
        interruptions: interruptions, services: &services,
        onLock: terms.changed)
      // Stopped before the lock is released.
      services.start(terms)
      // Without devices, no earlier nonce can exist.
      if try await !loops[0].run({ try await store.hasDevices() }) { terms.beginWithoutDevices() }
      let memory = terms.memory
      return ReplayProtection(stores: loops.map { _ in memory }, memory: memory, redis: nil)

    case .redis(let url):
      let lock = LockState()
      try await database.startFeed(
        on: loops[0], isExclusive: false, observer: live, delivery: delivery, logger: logger,
        interruptions: interruptions, services: &services
      ) { lock.isHeld = $0 != .lost }
      let isFirstStart = try await !loops[0].run { try await store.hasDevices() }
      var redis: [RedisReplayStore] = []
      for loop in loops {
        let store = RedisReplayStore(
          url: RedisURL(url)!, loop: loop, clock: clock, random: SystemRandomSource(),
          isFirstStart: { isFirstStart }
        ) { logger.log($0) }
        await loop.run { store.start() }
        services.start(store)
        redis.append(store)
      }
      let stores = redis.map { GuardedReplayStore(store: $0, lock: lock) }
      return ReplayProtection(stores: stores, memory: nil, redis: redis)
    }
  }
}

/// Whether a lock of the process on the database is held.
final class LockState: Sendable {
  private let state = Atomic(false)

  var isHeld: Bool {
    get { state.load(ordering: .acquiring) }
    set { state.store(newValue, ordering: .releasing) }
  }

  func set(_ isHeld: Bool) { self.isHeld = isHeld }
}

/// A shared store that counts only while no process that remembers nonces in its own memory can serve the same database.
struct GuardedReplayStore: ReplayStore {
  let store: RedisReplayStore
  let lock: LockState

  func remember(_ nonce: SignedNonce) async throws(RegistryError) -> Bool {
    guard lock.isHeld else {
      throw .replayUnavailable(cause: "the lock on the database is not held", retryAfterSeconds: 2)
    }
    return try await store.remember(nonce)
  }
}

extension Logger {
  fileprivate func log(_ event: RedisEvent) {
    switch event {
    case .connected: log(.debug, "replay store connected")
    case .connectFailed(let cause): log(.warning, "replay store not reached", ["cause": cause])
    case .lost(let cause): log(.warning, "replay store connection lost", ["cause": cause])
    case .emptied: log(.warning, "replay store emptied: requests signed before are refused")
    case .evictionPolicy(let cause): log(.error, "replay store may forget nonces", ["cause": cause])
    case .uninspected(let cause): log(.warning, "replay store not inspected", ["cause": cause])
    }
  }
}
