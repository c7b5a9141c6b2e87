private import Synchronization

/// The nonces of signed requests in the memory of this process. All loops share it.
///
/// It keeps a keyed 64-bit hash of each nonce, in one table for each span of time, and drops whole tables:
/// about 16 bytes a nonce. Ten thousand devices that poll every second leave three million nonces.
///
/// No other process knows these nonces. A lock must ensure that this process alone serves the database (`hold`,
/// `loseHold`), and signatures from before the lock was acquired are rejected.
public final class ReplayMemory: ReplayStore {
  /// The default for `maximumNonces`. A full memory accepts no nonce; it forgets none early.
  public static let maximumNonces = 16_777_216
  private static let shardCount = 16

  /// The maximum number of nonces in memory.
  public let maximumNonces: Int
  private let clock: any Clock
  private let skewSeconds: Int
  private let spanMilliseconds: Int64
  private let shards: [Shard]
  private let nonceHash: any NonceHash
  /// The time since which all nonces are in memory, in milliseconds since 1970; `Int64.max` without the lock.
  private let heldSince = Atomic<Int64>(.max)

  /// - Parameters:
  ///   - skewSeconds: how long a nonce is kept after its signature's `created`.
  ///   - maximumNonces: divided equally among the shards.
  public init(
    clock: any Clock, hash: any NonceHash, skewSeconds: Int, maximumNonces: Int = ReplayMemory.maximumNonces
  ) {
    self.maximumNonces = maximumNonces
    self.clock = clock
    // About six tables are live, and each look-up reads all of them.
    let span = max(1000, Int64(skewSeconds) * 1000 / 5)
    shards = (0..<Self.shardCount).map { _ in
      Shard(spanMilliseconds: span, maximumNonces: max(1, maximumNonces / Self.shardCount))
    }
    (self.skewSeconds, spanMilliseconds, nonceHash) = (skewSeconds, span, hash)
  }

  /// Nonces in memory now.
  public var count: Int { shards.reduce(0) { $0 + $1.count } }

  /// This process has the lock from now on. If `time` is nil, signatures of any time are accepted: no device
  /// existed that could have signed.
  public func hold(since time: Timestamp?) {
    heldSince.store(time?.millisecondsSince1970 ?? .min, ordering: .releasing)
  }

  /// All nonces, for the process that serves the database next.
  public func snapshot() -> ReplaySnapshot {
    var snapshot = ReplaySnapshot(key: nonceHash.key, skewSeconds: skewSeconds)
    for shard in shards { shard.add(to: &snapshot) }
    return snapshot
  }

  /// Adds the nonces of an earlier process, before the first one of this process. False if it cannot, because that process
  /// had another key, kept nonces for another time, or has more than there is room for.
  public func restore(_ snapshot: ReplaySnapshot) -> Bool {
    guard snapshot.key == nonceHash.key, snapshot.skewSeconds == skewSeconds else { return false }
    let span = clock.now().millisecondsSince1970 / spanMilliseconds
    for shard in shards { shard.begin(at: snapshot.firstSpan) }
    return snapshot.tables.allSatisfy { table in
      table.span < span || table.hashes.allSatisfy { shard(of: $0).restore($0, span: table.span) }
    }
  }

  private func shard(of hash: UInt64) -> Shard { shards[Int(hash % UInt64(Self.shardCount))] }

  /// Another process may serve the database: rejects every nonce until `hold`.
  public func loseHold() { heldSince.store(.max, ordering: .releasing) }

  public func remember(_ nonce: SignedNonce) async throws(RegistryError) -> Bool {
    let now = clock.now()
    try testHold(nonce, at: now)
    let hash = hash(nonce)
    switch shard(of: hash).insert(
      hash, until: nonce.expiry.millisecondsSince1970, now: now.millisecondsSince1970)
    {
    case .new: return true
    case .known: return false
    case .full: throw .overloaded(queue: "replay memory")
    case .forgotten:
      throw .replayUnavailable(cause: "the clock was set back", retryAfterSeconds: 2)
    }
  }

  private func testHold(_ nonce: SignedNonce, at now: Timestamp) throws(RegistryError) {
    let since = heldSince.load(ordering: .acquiring)
    guard since != .min else { return }
    guard since != .max else {
      throw .replayUnavailable(cause: "the lock on the database is not held", retryAfterSeconds: 2)
    }
    let start = Timestamp(millisecondsSince1970: since)
    guard !nonce.isRemembered(since: start) else { return }
    // Another process may have accepted it before this one began.
    throw nonce.refusal(
      since: start, at: now, cause: "the request was signed before the replay memory began")
  }

  private func hash(_ nonce: SignedNonce) -> UInt64 {
    var text = nonce.text
    let hash = text.withUTF8 { text in
      withUnsafeTemporaryAllocation(byteCount: 16 + text.count, alignment: 8) { message in
        message.storeBytes(of: nonce.deviceID.high, as: UInt64.self)
        message.storeBytes(of: nonce.deviceID.low, toByteOffset: 8, as: UInt64.self)
        UnsafeMutableRawBufferPointer(rebasing: message[16...]).copyMemory(from: UnsafeRawBufferPointer(text))
        return nonceHash(UnsafeRawBufferPointer(message))
      }
    }
    // 0 marks an empty slot.
    return hash == 0 ? 1 : hash
  }
}

/// A keyed hash of nonces that is the same in every process.
public protocol NonceHash: Sendable {
  var key: [UInt8] { get }
  func callAsFunction(_ message: UnsafeRawBufferPointer) -> UInt64
}

/// A part of the memory with its own lock.
private final class Shard: Sendable {
  enum Outcome { case new, known, full, forgotten }

  private struct State {
    /// By span, oldest first.
    var tables: [(span: Int64, table: HashTable)] = []
    var count = 0
    /// Nonces of spans before this one were dropped.
    var firstSpan = Int64.min
  }

  private let spanMilliseconds: Int64
  private let maximumNonces: Int
  private let state = Mutex(State())

  init(spanMilliseconds: Int64, maximumNonces: Int) {
    self.spanMilliseconds = spanMilliseconds
    self.maximumNonces = maximumNonces
  }

  var count: Int { state.withLock { $0.count } }

  func insert(_ hash: UInt64, until expiry: Int64, now: Int64) -> Outcome {
    // The signature is timely up to and including `expiry`, so its span ends after it.
    let span = expiry / spanMilliseconds
    return state.withLock { state in
      drop(before: now / spanMilliseconds, from: &state)
      guard span >= state.firstSpan else { return .forgotten }
      if state.tables.contains(where: { $0.table.contains(hash) }) { return .known }
      guard state.count < maximumNonces else { return .full }
      let index = index(of: span, in: &state)
      state.tables[index].table.insert(hash)
      state.count += 1
      return .new
    }
  }

  func add(to snapshot: inout ReplaySnapshot) {
    state.withLock { state in
      snapshot.firstSpan = max(snapshot.firstSpan, state.firstSpan)
      for (span, table) in state.tables { snapshot.add(table.hashes, of: span) }
    }
  }

  /// Nonces of spans before this one were dropped.
  func begin(at span: Int64) { state.withLock { $0.firstSpan = span } }

  /// False if there is no room for it.
  func restore(_ hash: UInt64, span: Int64) -> Bool {
    state.withLock { state in
      guard state.count < maximumNonces, hash != 0 else { return false }
      let index = index(of: span, in: &state)
      state.tables[index].table.insert(hash)
      state.count += 1
      return true
    }
  }

  /// Setting the clock back makes no dropped nonce valid again: spans whose nonces were dropped accept nothing.
  /// Other spans still accept nonces, so a clock that was wrong for a while rejects no request afterwards.
  private func drop(before span: Int64, from state: inout State) {
    while let first = state.tables.first, first.span < span {
      state.firstSpan = first.span + 1
      state.count -= first.table.count
      state.tables.removeFirst()
    }
  }

  private func index(of span: Int64, in state: inout State) -> Int {
    if let index = state.tables.firstIndex(where: { $0.span >= span }) {
      if state.tables[index].span == span { return index }
      state.tables.insert((span, HashTable()), at: index)
      return index
    }
    state.tables.append((span, HashTable()))
    return state.tables.count - 1
  }
}

/// A set of nonzero hashes with open addressing. It only grows.
private struct HashTable {
  private var slots = [UInt64](repeating: 0, count: 64)
  private(set) var count = 0

  var hashes: some Sequence<UInt64> { slots.lazy.filter { $0 != 0 } }

  func contains(_ hash: UInt64) -> Bool { slots[slot(of: hash)] == hash }

  mutating func insert(_ hash: UInt64) {
    if (count + 1) * 4 > slots.count * 3 { grow() }
    slots[slot(of: hash)] = hash
    count += 1
  }

  /// The slot of the hash, or the slot to insert it. At least a quarter of the slots is empty, so the search
  /// ends.
  private func slot(of hash: UInt64) -> Int {
    let mask = slots.count - 1
    // The lowest bits select the shard.
    var index = Int(truncatingIfNeeded: hash >> 8) & mask
    while slots[index] != 0, slots[index] != hash { index = (index + 1) & mask }
    return index
  }

  private mutating func grow() {
    let old = slots
    slots = [UInt64](repeating: 0, count: old.count * 2)
    for hash in old where hash != 0 { slots[slot(of: hash)] = hash }
  }
}
