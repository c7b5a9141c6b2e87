internal import EventLoop
internal import Observability
internal import RedisReplayStore
internal import Registry
internal import Synchronization

/// Where the nonces of signed requests are remembered.
public enum ReplayStoreSetting: Hashable, Sendable {
  /// By this process alone, which therefore must be the only one that serves the database.
  case memory
  /// In a Redis, which all processes on the database share.
  case redis(url: String)

  /// Nil if the text is neither.
  init?(_ text: String) {
    if text == "memory" {
      self = .memory
    } else if RedisURL(text) != nil {
      self = .redis(url: text)
    } else {
      return nil
    }
  }
}

/// The replay stores of a process: one memory for all its loops, or a connection to Redis for each.
enum ReplayProtection: Sendable {
  case memory(ReplayMemory)
  case redis([GuardedReplayStore])

  /// Takes the lock on the database, and begins to hear of its changes: who hears nothing of a revocation, and who
  /// does not know of another process, lets nobody in.
  ///
  /// Throws an error that names REPLAY_STORE where another process serves the database.
  static func open(
    _ configuration: Configuration, on lanes: [Lane], database: Database, live: LiveDevices, clock: any Clock,
    logger: Logger, opened: inout OpenedParts
  ) async throws -> ReplayProtection {
    switch configuration.replayStore {
    case .memory:
      let memory = ReplayMemory(
        clock: clock, random: SystemRandomSource(), skewSeconds: configuration.signatureSkewSeconds,
        maximumNonces: configuration.maximumReplayNonces)
      let margin = database.lockMarginMilliseconds
      let feed = try await database.openFeed(
        on: lanes[0].loop, lock: .exclusive, observer: live, logger: logger
      ) { isHeld in
        if isHeld { memory.hold(since: clock.now() + margin) } else { memory.loseHold() }
        if !isHeld { logger.log(.warning, "lock on the database lost: signed requests are refused") }
      }
      opened.add { await feed.close() }
      // Where there is no device, nobody can have signed anything before.
      if try await !hasDevices(lanes[0]) { memory.hold(since: nil) }
      return .memory(memory)

    case .redis(let url):
      let lock = LockState()
      let feed = try await database.openFeed(
        on: lanes[0].loop, lock: .shared, observer: live, logger: logger
      ) { lock.isHeld = $0 }
      opened.add { await feed.close() }
      let isFirstStart = try await !hasDevices(lanes[0])
      var stores: [GuardedReplayStore] = []
      for lane in lanes {
        let store = RedisReplayStore(
          url: RedisURL(url)!, loop: lane.loop, clock: clock, random: SystemRandomSource(),
          isFirstStart: { isFirstStart }
        ) { logger.log($0) }
        await lane.loop.run { store.start() }
        opened.add { await store.close() }
        stores.append(GuardedReplayStore(store: store, lock: lock))
      }
      return .redis(stores)
    }
  }

  private static func hasDevices(_ lane: Lane) async throws -> Bool {
    try await lane.loop.run { try await lane.store.store.hasDevices() }
  }

  /// The store of a loop.
  func store(ofLane index: Int) -> any ReplayStore {
    switch self {
    case .memory(let memory): memory
    case .redis(let stores): stores[index]
    }
  }

  /// Nonces that this process remembers.
  var count: Int {
    switch self {
    case .memory(let memory): memory.count
    case .redis: 0
    }
  }

  /// The connections to Redis; nil where there is none.
  var redis: [RedisState]? {
    switch self {
    case .memory: nil
    case .redis(let stores): stores.map(\.store.state)
    }
  }

  /// Nonces that this process may remember.
  var limit: Int {
    switch self {
    case .memory(let memory): memory.maximumNonces
    case .redis: 0
    }
  }
}

/// Whether the process's lock on the database is held.
final class LockState: Sendable {
  private let state = Atomic(false)

  var isHeld: Bool {
    get { state.load(ordering: .acquiring) }
    set { state.store(newValue, ordering: .releasing) }
  }
}

/// A shared store that counts only while no process with a memory of its own can serve the same database.
struct GuardedReplayStore: ReplayStore {
  let store: RedisReplayStore
  let lock: LockState

  func remember(
    nonce: String, of deviceID: DeviceID, created: Timestamp, until expiry: Timestamp
  ) async throws(RegistryError) -> Bool {
    guard lock.isHeld else {
      throw .replayUnavailable(cause: "the lock on the database is not held", retryAfterSeconds: 2)
    }
    return try await store.remember(nonce: nonce, of: deviceID, created: created, until: expiry)
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
