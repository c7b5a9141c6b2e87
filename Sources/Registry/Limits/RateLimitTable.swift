private import Synchronization

/// The token buckets of one limit. Each is stored as the time at which it is full again (the generic cell rate
/// algorithm). A full bucket equals an absent one, so buckets need no clean-up.
///
/// The table never grows. Keys are hashes that callers cannot predict; each key belongs to one set of a few
/// places. If all places of a set have buckets that are not full, the fullest is evicted, which favours its
/// caller. A flood of keys evicts its own buckets before it reaches an empty one.
final class RateLimitTable: Sendable {
  let limit: RateLimit
  private let intervalNanoseconds: Int64
  private let windowNanoseconds: Int64
  private let stripes: [Stripe]
  private let evicted = Atomic<Int>(0)

  /// Places of a set.
  private static let ways = 8
  /// Windows that a bucket needs at most until it holds a token again, for work that was charged after it was done.
  static let maximumDebtWindows: Int64 = 1
  /// Parts of the table with a lock each, to reduce contention.
  private static let stripeCount = 64

  /// The result of a request.
  struct Outcome: Equatable {
    let isAdmitted: Bool
    /// Requests that would be admitted now.
    let remaining: Int
    let nanosecondsUntilFull: Int64
    /// Time until a request is admitted; 0 if one is admitted now.
    let nanosecondsUntilNext: Int64
  }

  private struct Slot {
    var key: UInt64 = 0
    var fullAtNanoseconds: Int64 = 0
  }

  /// A class, because an array cannot store a mutex directly.
  private final class Stripe: Sendable {
    let slots: Mutex<[Slot]>

    init(slotCount: Int) { slots = Mutex([Slot](repeating: Slot(), count: slotCount)) }
  }

  /// - Parameter maximumKeys: the number of buckets, rounded up to whole sets.
  init(limit: RateLimit, maximumKeys: Int) {
    self.limit = limit
    intervalNanoseconds = Int64(limit.windowSeconds) * 1_000_000_000 / Int64(limit.requests)
    windowNanoseconds = intervalNanoseconds * Int64(limit.requests)
    let perStripe = Self.stripeCount * Self.ways
    let setsPerStripe = max(1, (maximumKeys + perStripe - 1) / perStripe)
    stripes = (0..<Self.stripeCount).map { _ in Stripe(slotCount: setsPerStripe * Self.ways) }
  }

  /// Buckets that are not full.
  func count(nowNanoseconds now: Int64) -> Int {
    stripes.reduce(0) { sum, stripe in
      sum + stripe.slots.withLock { slots in slots.count { $0.fullAtNanoseconds > now } }
    }
  }

  /// Buckets that were evicted before they were full.
  var evictions: Int { evicted.load(ordering: .relaxed) }

  /// Takes a token from the key's bucket, if there is one.
  func take(_ key: UInt64, nowNanoseconds now: Int64) -> Outcome {
    withSet(of: key) { slots, set in
      let found = set.first { slots[$0].key == key }
      let fullAt = max(found.map { slots[$0].fullAtNanoseconds } ?? now, now) + intervalNanoseconds
      guard fullAt - now <= windowNanoseconds else {
        return outcome(isAdmitted: false, fullAt: fullAt - intervalNanoseconds, now)
      }
      let index = found ?? room(in: set, of: slots, now)
      slots[index] = Slot(key: key, fullAtNanoseconds: fullAt)
      return outcome(isAdmitted: true, fullAt: fullAt, now)
    }
  }

  /// Returns a token to the key's bucket.
  func giveBack(_ key: UInt64) {
    withSet(of: key) { slots, set in
      guard let index = set.first(where: { slots[$0].key == key }) else { return }
      slots[index].fullAtNanoseconds -= intervalNanoseconds
    }
  }

  /// Takes tokens for what an admitted request cost beyond the first, whether they are there or not. Returns the
  /// state of the bucket, which a cost of 0 does not change.
  func charge(_ key: UInt64, cost: Int, nowNanoseconds now: Int64) -> Outcome {
    withSet(of: key) { slots, set in
      let found = set.first { slots[$0].key == key }
      let fullAt = max(found.map { slots[$0].fullAtNanoseconds } ?? now, now)
      guard cost > 0 else { return outcome(isAdmitted: true, fullAt: fullAt, now) }
      let longest = windowNanoseconds * (1 + Self.maximumDebtWindows)
      // As many as fill the longest debt, so that the product cannot overflow.
      let tokens = min(Int64(cost), longest / intervalNanoseconds)
      let charged = Slot(
        key: key, fullAtNanoseconds: min(fullAt + tokens * intervalNanoseconds, now + longest))
      slots[found ?? room(in: set, of: slots, now)] = charged
      return outcome(isAdmitted: true, fullAt: charged.fullAtNanoseconds, now)
    }
  }

  private func outcome(isAdmitted: Bool, fullAt: Int64, _ now: Int64) -> Outcome {
    let left = windowNanoseconds - (fullAt - now)
    return Outcome(
      isAdmitted: isAdmitted, remaining: Int(max(0, left) / intervalNanoseconds),
      nanosecondsUntilFull: fullAt - now,
      nanosecondsUntilNext: max(0, intervalNanoseconds - left))
  }

  /// The place with the fullest bucket.
  private func room(in set: Range<Int>, of slots: [Slot], _ now: Int64) -> Int {
    let index = set.min { slots[$0].fullAtNanoseconds < slots[$1].fullAtNanoseconds }!
    if slots[index].fullAtNanoseconds > now { evicted.add(1, ordering: .relaxed) }
    return index
  }

  private func withSet<Value>(of key: UInt64, _ body: (inout [Slot], _ set: Range<Int>) -> Value) -> Value {
    let stripe = stripes[Int(truncatingIfNeeded: key) & (Self.stripeCount - 1)]
    return stripe.slots.withLock { slots in
      // The lowest bits select the stripe.
      let set = Int((key >> 6) % UInt64(slots.count / Self.ways)) * Self.ways
      return body(&slots, set..<set + Self.ways)
    }
  }
}
