private import Synchronization

/// What the process remembers of its devices, so that a poll by a known device touches no database: the
/// credentials, the live tokens that were seen, and whether nothing waits for the device. Shared by all loops.
///
/// It is used only while the database's changes are heard (`trust`). What was fetched while a change passed by is
/// not kept, for it may be from before the change. Only devices that may come in are remembered: everyone else
/// costs a look into the database, whatever the reason, and so cannot tell the reason by the time.
final class VerifierCache: Sendable {
  /// Devices that are remembered. Where a shard is full, a device that was not seen of late makes room.
  static let maximumEntries = 131_072
  private static let shardCount = 64
  private static let maximumEntriesPerShard = maximumEntries / shardCount

  private struct Entry {
    let credentials: DeviceCredentials
    var idleness: Idleness
    /// Live tokens that were seen, and when they end.
    var tokens: [TokenHash: Timestamp] = [:]

    /// As many as may live. The one that ends first makes room, as it does in the database.
    mutating func remember(_ hash: TokenHash, until expiresAt: Timestamp) {
      if tokens.count >= TokenService.maximumLive, tokens[hash] == nil {
        tokens[tokens.min { $0.value < $1.value }!.key] = nil
      }
      tokens[hash] = expiresAt
    }
  }

  struct Idleness {
    /// Whether nothing is waiting for the device.
    fileprivate(set) var isIdle = false
    /// Changes each time that a signal may have come.
    fileprivate(set) var stamp: UInt64
  }

  /// Taken before a fetch: whether a change overtook it.
  struct Ticket {
    fileprivate let changes: UInt64
  }

  private struct Shard {
    var entries = BoundedCache<DeviceID, Entry>(capacity: maximumEntriesPerShard)
    /// Devices of tokens. A hint: the token must be in the device's entry too.
    var devices = BoundedCache<TokenHash, DeviceID>(capacity: maximumEntriesPerShard)
    var lastStamp: UInt64 = 0
    /// Kept here, where the lock is held anyway.
    var lookups = CacheLookups()

    mutating func nextStamp() -> UInt64 {
      lastStamp += 1
      return lastStamp
    }
  }

  private let shards: [ShardLock]
  private let trustedUntil = Atomic<Int64>(0)
  /// Changes of credentials that were heard of. It moves before an entry is dropped, so that whoever holds the
  /// entry's shard and sees it unmoved is dropped too.
  private let changes = Atomic<UInt64>(0)
  private let monotonicMilliseconds: @Sendable () -> Int64

  /// A mutex cannot lie in an array by itself.
  private final class ShardLock: Sendable {
    private let shard = Mutex(Shard())

    func withLock<Value>(_ body: (inout Shard) -> Value) -> Value { shard.withLock { body(&$0) } }
  }

  /// - Parameter monotonicMilliseconds: a clock that nobody sets.
  init(monotonicMilliseconds: @escaping @Sendable () -> Int64) {
    self.monotonicMilliseconds = monotonicMilliseconds
    shards = (0..<Self.shardCount).map { _ in ShardLock() }
  }

  /// Whether every change up to now was heard of.
  var isTrusted: Bool { monotonicMilliseconds() < trustedUntil.load(ordering: .acquiring) }

  func trust(untilMilliseconds: Int64) { trustedUntil.store(untilMilliseconds, ordering: .releasing) }

  /// Devices that are remembered now.
  var count: Int { shards.reduce(0) { $0 + $1.withLock { $0.entries.count } } }

  // MARK: Looking

  /// Whether nothing is waiting for the device; nil where it is not remembered, or the cache not trusted.
  func idleness(of id: DeviceID) -> Idleness? {
    guard isTrusted else { return nil }
    return shard(of: id).withLock { $0.entries[id]?.idleness }
  }

  /// Nil where the device is not remembered, or the cache not trusted.
  func credentials(of id: DeviceID) -> DeviceCredentials? {
    let isTrusted = isTrusted
    return shard(of: id).withLock { shard in
      let credentials = isTrusted ? shard.entries.use(id)?.credentials : nil
      shard.lookups.count(credentials != nil)
      return credentials
    }
  }

  /// Nil where the token is not remembered, or the cache not trusted.
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

  /// All looks for credentials up to now.
  var lookups: CacheLookups {
    var all = CacheLookups()
    forEachShard { shard in
      all.hits += shard.lookups.hits
      all.misses += shard.lookups.misses
    }
    return all
  }

  // MARK: Remembering

  func ticket() -> Ticket { Ticket(changes: changes.load(ordering: .sequentiallyConsistent)) }

  private func isOvertaken(_ ticket: Ticket) -> Bool {
    changes.load(ordering: .sequentiallyConsistent) != ticket.changes
  }

  private func noteChange() { changes.add(1, ordering: .sequentiallyConsistent) }

  /// Remembers what was fetched, unless a change overtook it.
  func remember(_ credentials: DeviceCredentials, fetchedWith ticket: Ticket) {
    guard credentials.isActive else { return }
    shard(of: credentials.deviceID).withLock { shard in
      guard !isOvertaken(ticket), shard.entries[credentials.deviceID]?.credentials != credentials else {
        return
      }
      shard.entries[credentials.deviceID] = Entry(
        credentials: credentials, idleness: Idleness(stamp: shard.nextStamp()))
    }
  }

  /// Remembers a token of a device whose entry stands on the same secret, unless a change overtook it.
  func remember(_ token: TokenCredentials, hash: TokenHash, fetchedWith ticket: Ticket) {
    remember(token.device, fetchedWith: ticket)
    let isKept = shard(of: token.device.deviceID).withLock { shard in
      guard !isOvertaken(ticket) else { return false }
      return shard.entries.modify(token.device.deviceID) { $0.remember(hash, until: token.expiresAt) } != nil
    }
    if isKept { shard(of: hash).withLock { $0.devices[hash] = token.device.deviceID } }
  }

  /// Remembers that nothing waits for the device, unless a signal came since its entry had this stamp.
  func rememberIdle(_ id: DeviceID, stamp: UInt64) {
    shard(of: id).withLock { shard in
      _ = shard.entries.modify(id) { if $0.idleness.stamp == stamp { $0.idleness.isIdle = true } }
    }
  }

  // MARK: Forgetting

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

/// How often the verifier cache was asked for the credentials of a device or a token.
public struct CacheLookups: Hashable, Sendable {
  public fileprivate(set) var hits = 0
  /// The database had to be asked.
  public fileprivate(set) var misses = 0

  fileprivate mutating func count(_ isHit: Bool) {
    if isHit { hits += 1 } else { misses += 1 }
  }
}
