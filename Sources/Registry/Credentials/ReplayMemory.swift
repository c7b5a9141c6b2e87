private import Synchronization

/// The nonces of signed requests, remembered by the process itself. Shared by all loops.
///
/// Of each nonce a keyed hash of 64 bits is kept, in a table for its time, so that old ones go all at once: some 16
/// bytes a nonce. Ten thousand devices that poll every second leave three million of them.
///
/// The process alone knows them. So it must be the only one that serves its database, which a lock sees to (`hold`,
/// `loseHold`), and for what was signed before it began it cannot vouch.
public final class ReplayMemory: ReplayStore {
  /// Nonces that are remembered at once, unless told otherwise. Past it none is accepted; none is ever forgotten before
  /// its time.
  public static let maximumNonces = 16_777_216
  private static let shardCount = 16
  /// How far a signature may lie ahead of the clock: what was signed so far ahead may have come before the process
  /// began.
  private static let leadMilliseconds = Int64(AuthenticationService.maximumLeadSeconds) * 1000

  /// Nonces that may be remembered at once.
  public let maximumNonces: Int
  private let clock: any Clock
  private let shards: [Shard]
  private let keyedHash: KeyedHash
  /// The time from which all nonces are remembered, in milliseconds since 1970; the largest while that is none.
  private let heldSince = Atomic<Int64>(.max)

  /// - Parameters:
  ///   - skewSeconds: for how long a nonce is remembered beyond its signature's `created`.
  ///   - maximumNonces: each of the tables' parts takes its share of them.
  public init(
    clock: any Clock, random: some RandomSource, skewSeconds: Int,
    maximumNonces: Int = ReplayMemory.maximumNonces
  ) {
    self.maximumNonces = maximumNonces
    self.clock = clock
    // Six tables or so hold what is live: a nonce is looked for in each.
    let span = max(1000, Int64(skewSeconds) * 1000 / 5)
    shards = (0..<Self.shardCount).map { _ in
      Shard(spanMilliseconds: span, maximumNonces: max(1, maximumNonces / Self.shardCount))
    }
    keyedHash = KeyedHash(random: random)
  }

  /// Nonces that are remembered now.
  public var count: Int { shards.reduce(0) { $0 + $1.count } }

  /// From this moment on the process is the only one. Whatever was signed at any time counts where `time` is nil:
  /// there was no device that could have signed.
  public func hold(since time: Timestamp?) {
    heldSince.store(time?.millisecondsSince1970 ?? .min, ordering: .releasing)
  }

  /// Another process may serve the database: no nonce is accepted until `hold`.
  public func loseHold() { heldSince.store(.max, ordering: .releasing) }

  public func remember(
    nonce: String, of deviceID: DeviceID, created: Timestamp, until expiry: Timestamp
  ) async throws(RegistryError) -> Bool {
    try testHold(created)
    let hash = hash(nonce, deviceID)
    let shard = shards[Int(hash % UInt64(Self.shardCount))]
    switch shard.insert(hash, until: expiry.millisecondsSince1970, now: clock.now().millisecondsSince1970) {
    case .new: return true
    case .known: return false
    case .full: throw .overloaded(queue: "replay memory")
    case .forgotten:
      throw .replayUnavailable(cause: "the clock was set back", retryAfterSeconds: 2)
    }
  }

  private func testHold(_ created: Timestamp) throws(RegistryError) {
    let since = heldSince.load(ordering: .acquiring)
    guard since != .min else { return }
    guard since != .max else {
      throw .replayUnavailable(cause: "the lock on the database is not held", retryAfterSeconds: 2)
    }
    let vouchedFrom = since + Self.leadMilliseconds
    guard created.millisecondsSince1970 <= vouchedFrom else { return }
    let left = (vouchedFrom - clock.now().millisecondsSince1970) / 1000 + 1
    throw .replayUnavailable(
      cause: "the request was signed before the replay memory began", retryAfterSeconds: Int(max(1, left)))
  }

  private func hash(_ nonce: String, _ deviceID: DeviceID) -> UInt64 {
    let hash = keyedHash(deviceID.high, deviceID.low, nonce)
    // 0 marks an empty slot.
    return hash == 0 ? 1 : hash
  }
}

/// A part of the memory under a lock of its own.
private final class Shard: Sendable {
  enum Outcome { case new, known, full, forgotten }

  private struct State {
    /// By span, oldest first.
    var tables: [(span: Int64, table: HashTable)] = []
    var count = 0
    /// Of the spans before this one, nonces were forgotten.
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
    // Up to and including `expiry` the signature is timely, so its span ends behind it.
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

  /// A clock that is set back brings nothing back: where nonces were forgotten, none counts any more. Spans that had none
  /// are as good as ever, so that a clock that was wrong for a while refuses nobody for as long as it was wrong.
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

/// A set of hashes that are not 0, with open addressing. It only grows.
private struct HashTable {
  private var slots = [UInt64](repeating: 0, count: 64)
  private(set) var count = 0

  func contains(_ hash: UInt64) -> Bool { slots[slot(of: hash)] == hash }

  mutating func insert(_ hash: UInt64) {
    if (count + 1) * 4 > slots.count * 3 { grow() }
    slots[slot(of: hash)] = hash
    count += 1
  }

  /// Where the hash is, or would be. At least a quarter of the slots is empty, so the search ends.
  private func slot(of hash: UInt64) -> Int {
    let mask = slots.count - 1
    // The lowest bits chose the shard.
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
