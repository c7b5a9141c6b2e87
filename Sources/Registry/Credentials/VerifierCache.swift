private import Synchronization

/// Caches credentials, live tokens and whether a device has no pending signals, so that a poll of a known
/// device does not query the database. All loops share it.
///
/// The cache is used only while the process is notified of the database's changes (`trust`). A value that was
/// fetched while a change arrived is not cached, because it may be older than the change. Devices that may not be used
/// are cached too, for requests that prove a device's secret. Every other request queries the database, so its duration
/// does not reveal why it fails.
final class VerifierCache: Sendable {
  /// Cached devices. When a shard is full, a device that was not used recently is evicted.
  static let maximumEntries = 131_072
  private static let shardCount = 64
  private static let maximumEntriesPerShard = maximumEntries / shardCount

  private struct Entry {
    let credentials: DeviceCredentials
    var idleness: Idleness
    /// Live tokens that were used, and when they expire.
    var tokens: [TokenHash: Timestamp] = [:]

    /// The store's maximum. The token that expires first is evicted, as in the database.
    mutating func remember(_ hash: TokenHash, until expiresAt: Timestamp) {
      if tokens.count >= TokenService.maximumLive, tokens[hash] == nil {
        tokens[tokens.min { $0.value < $1.value }!.key] = nil
      }
      tokens[hash] = expiresAt
    }
  }

  struct Idleness {
    /// Whether the device has no pending signals.
    fileprivate(set) var isIdle = false
    /// If it is idle, its signals that were cancelled.
    fileprivate(set) var cancelled: [CancelledSignal] = []
    /// Changes each time that a signal may have arrived.
    fileprivate(set) var stamp: UInt64
  }

  /// What this process told a device in answers to polls, and what the device confirmed. It outlives the entry: otherwise a
  /// device would get the same news twice, because the notification of a change that a loop made itself arrives later. A device whose
  /// record was evicted gets it again.
  struct Told {
    /// The version of the trading mode that the last answer had; 0 for none.
    var modeVersion: Int64 = 0
    /// The version that is stored as confirmed; 0 if that is not known.
    var confirmedVersion: Int64 = 0
    /// The cancelled signals that the last answer had.
    var cancelled: [SignalID] = []
  }

  /// What a poll needs to know of its device.
  struct PollingDevice {
    let tradingMode: TradingMode
    let idleness: Idleness
    let told: Told
  }

  /// Taken before a fetch, to detect a change during the fetch.
  struct Ticket {
    fileprivate let changes: UInt64
  }

  private struct Shard {
    var entries = BoundedCache<DeviceID, Entry>(capacity: maximumEntriesPerShard)
    /// Devices of tokens. A hint: the token must be in the device's entry too.
    var devices = BoundedCache<TokenHash, DeviceID>(capacity: maximumEntriesPerShard)
    /// Only of devices that got news.
    var told = BoundedCache<DeviceID, Told>(capacity: maximumEntriesPerShard)
    var lastStamp: UInt64 = 0
    /// Counted here, because the lock is held anyway.
    var lookups = CacheLookups()

    mutating func nextStamp() -> UInt64 {
      lastStamp += 1
      return lastStamp
    }
  }

  private let shards: [ShardLock]
  private let trustedUntil = Atomic<Int64>(0)
  /// Changes of credentials so far. A change increments it before it drops entries. So if a fetch, holding the
  /// shard's lock, finds it unchanged and stores an entry, a change in progress still drops that entry.
  private let changes = Atomic<UInt64>(0)
  private let monotonicMilliseconds: @Sendable () -> Int64

  /// A class, because an array cannot store a mutex directly.
  private final class ShardLock: Sendable {
    private let shard = Mutex(Shard())

    func withLock<Value>(_ body: (inout Shard) -> Value) -> Value { shard.withLock { body(&$0) } }
  }

  /// - Parameter monotonicMilliseconds: a monotonic clock.
  init(monotonicMilliseconds: @escaping @Sendable () -> Int64) {
    self.monotonicMilliseconds = monotonicMilliseconds
    shards = (0..<Self.shardCount).map { _ in ShardLock() }
  }

  /// Whether the process was notified of every change up to now.
  var isTrusted: Bool { monotonicMilliseconds() < trustedUntil.load(ordering: .acquiring) }

  func trust(untilMilliseconds: Int64) { trustedUntil.store(untilMilliseconds, ordering: .releasing) }

  /// Devices in the cache.
  var count: Int { shards.reduce(0) { $0 + $1.withLock { $0.entries.count } } }

  // MARK: Look-up

  /// Nil if the device is not cached, or the cache is not trusted.
  func pollingDevice(_ id: DeviceID) -> PollingDevice? {
    guard isTrusted else { return nil }
    return shard(of: id).withLock { shard in
      shard.entries[id].map {
        PollingDevice(
          tradingMode: $0.credentials.access.tradingMode, idleness: $0.idleness,
          told: shard.told.count == 0 ? Told() : shard.told[id] ?? Told())
      }
    }
  }

  /// Nil if the device is not cached, or the cache is not trusted.
  func credentials(of id: DeviceID) -> DeviceCredentials? {
    let isTrusted = isTrusted
    return shard(of: id).withLock { shard in
      let credentials = isTrusted ? shard.entries.use(id)?.credentials : nil
      shard.lookups.count(credentials != nil)
      return credentials
    }
  }

  /// Nil if the token is not cached, or the cache is not trusted.
  func credentials(ofToken hash: TokenHash) -> TokenCredentials? {
    let credentials = knownCredentials(ofToken: hash)
    shard(of: hash).withLock { $0.lookups.count(credentials != nil) }
    return credentials
  }

  private func knownCredentials(ofToken hash: TokenHash) -> TokenCredentials? {
    guard isTrusted, let id = shard(of: hash).withLock({ $0.devices.use(hash) }) else { return nil }
    return shard(of: id).withLock { shard in
      guard let entry = shard.entries.use(id), let expiresAt = entry.tokens[hash] else { return nil }
      return TokenCredentials(device: entry.credentials, expiresAt: expiresAt)
    }
  }

  /// Look-ups since the process started.
  var lookups: CacheLookups {
    var all = CacheLookups()
    forEachShard { shard in
      all.hits += shard.lookups.hits
      all.misses += shard.lookups.misses
    }
    return all
  }

  // MARK: Insertion

  func ticket() -> Ticket { Ticket(changes: changes.load(ordering: .sequentiallyConsistent)) }

  private func isOvertaken(_ ticket: Ticket) -> Bool {
    changes.load(ordering: .sequentiallyConsistent) != ticket.changes
  }

  private func noteChange() { changes.add(1, ordering: .sequentiallyConsistent) }

  /// Caches fetched credentials, unless a change arrived during the fetch.
  func remember(_ credentials: DeviceCredentials, fetchedWith ticket: Ticket) {
    shard(of: credentials.deviceID).withLock { shard in
      guard !isOvertaken(ticket), shard.entries[credentials.deviceID]?.credentials != credentials else {
        return
      }
      shard.entries[credentials.deviceID] = Entry(
        credentials: credentials, idleness: Idleness(stamp: shard.nextStamp()))
    }
  }

  /// Caches a token of a device whose entry has the same secret, unless a change arrived during the fetch.
  func remember(_ token: TokenCredentials, hash: TokenHash, fetchedWith ticket: Ticket) {
    remember(token.device, fetchedWith: ticket)
    let isKept = shard(of: token.device.deviceID).withLock { shard in
      guard !isOvertaken(ticket) else { return false }
      return shard.entries.modify(token.device.deviceID) { $0.remember(hash, until: token.expiresAt) } != nil
    }
    if isKept { shard(of: hash).withLock { $0.devices[hash] = token.device.deviceID } }
  }

  /// Caches that the device has no pending signals, and its cancelled ones, unless a signal arrived or was cancelled since
  /// its entry had this stamp.
  func rememberIdle(_ id: DeviceID, stamp: UInt64, cancelled: [CancelledSignal]) {
    shard(of: id).withLock { shard in
      _ = shard.entries.modify(id) { entry in
        guard entry.idleness.stamp == stamp else { return }
        entry.idleness.isIdle = true
        entry.idleness.cancelled = cancelled
      }
    }
  }

  /// Notes what the device learned, or confirmed.
  func note(_ id: DeviceID, _ body: (inout Told) -> Void) {
    shard(of: id).withLock { shard in
      var told = shard.told[id] ?? Told()
      body(&told)
      shard.told[id] = told
    }
  }

  /// The device acknowledged signals, which may be among its cancelled ones.
  func signalsAcknowledged(by id: DeviceID) {
    shard(of: id).withLock { shard in
      guard shard.entries[id]?.idleness.cancelled.isEmpty == false else { return }
      let stamp = shard.nextStamp()
      _ = shard.entries.modify(id) { $0.idleness = Idleness(stamp: stamp) }
    }
  }

  // MARK: Eviction

  func credentialsChanged(of id: DeviceID) {
    noteChange()
    shard(of: id).withLock { $0.entries[id] = nil }
  }

  func credentialsChanged(ofDevicesOf client: ClientID) {
    noteChange()
    forEachShard { shard in
      shard.entries.removeAll { $0.credentials.clientID == client }
    }
  }

  func signalsArrived(for id: DeviceID) {
    shard(of: id).withLock { shard in
      let stamp = shard.nextStamp()
      _ = shard.entries.modify(id) { $0.idleness = Idleness(stamp: stamp) }
    }
  }

  func signalsArrived(forDevicesOf client: ClientID) {
    forEachShard { shard in
      let stamp = shard.nextStamp()
      shard.entries.modifyAll { entry in
        if entry.credentials.clientID == client { entry.idleness = Idleness(stamp: stamp) }
      }
    }
  }

  func forgetAll() {
    noteChange()
    forEachShard { shard in
      shard.entries.removeAll()
      shard.devices.removeAll()
    }
  }

  // MARK: Shards

  private func shard(of id: DeviceID) -> ShardLock { shards[Int(id.low % UInt64(Self.shardCount))] }

  private func shard(of hash: TokenHash) -> ShardLock { shards[Int(hash.bytes[0]) % Self.shardCount] }

  private func forEachShard(_ body: (inout Shard) -> Void) {
    for shard in shards { shard.withLock { body(&$0) } }
  }
}

/// How many look-ups of credentials the verifier cache answered.
public struct CacheLookups: Hashable, Sendable {
  public fileprivate(set) var hits = 0
  /// Look-ups that queried the database.
  public fileprivate(set) var misses = 0

  fileprivate mutating func count(_ isHit: Bool) {
    if isHit { hits += 1 } else { misses += 1 }
  }
}
