import Synchronization
import TestSupport
import Testing

@testable import Registry

@Suite("Rate limits") struct RateLimitTests {
  private static let second: Int64 = 1_000_000_000

  private static func table(_ requests: Int, _ windowSeconds: Int, maximumKeys: Int = 512) -> RateLimitTable {
    RateLimitTable(
      limit: RateLimit(requests: requests, windowSeconds: windowSeconds), maximumKeys: maximumKeys)
  }

  @Test
  func `A full bucket admits its limit at once, then one request each interval`() {
    let table = Self.table(5, 10)
    for left in (0..<5).reversed() {
      let outcome = table.take(1, nowNanoseconds: 0)
      #expect(
        outcome.isAdmitted && outcome.remaining == left
          && outcome.nanosecondsUntilFull == Int64(5 - left) * 2 * Self.second)
    }
    let refused = table.take(1, nowNanoseconds: Self.second)
    #expect(!refused.isAdmitted && refused.remaining == 0)
    #expect(refused.nanosecondsUntilNext == Self.second && refused.nanosecondsUntilFull == 9 * Self.second)
    #expect(table.take(1, nowNanoseconds: 2 * Self.second).isAdmitted)
    #expect(!table.take(1, nowNanoseconds: 2 * Self.second).isAdmitted)
  }

  @Test
  func `A rejected request is not charged`() {
    let table = Self.table(1, 10)
    #expect(table.take(1, nowNanoseconds: 0).isAdmitted)
    for _ in 0..<100 { #expect(!table.take(1, nowNanoseconds: 9 * Self.second).isAdmitted) }
    #expect(table.take(1, nowNanoseconds: 10 * Self.second).isAdmitted)
  }

  @Test
  func `What is given back can be taken again, and no bucket holds more than its limit`() {
    let table = Self.table(2, 10)
    table.giveBack(1)
    for _ in 0..<5 {
      #expect(table.take(1, nowNanoseconds: 0).isAdmitted)
      table.giveBack(1)
    }
    table.giveBack(1)
    #expect(table.charge(1, cost: 0, nowNanoseconds: 0).remaining == 2)
    for isAdmitted in [true, true, false] { #expect(table.take(1, nowNanoseconds: 0).isAdmitted == isAdmitted) }
  }

  @Test
  func `Reading the state takes no token`() {
    let table = Self.table(2, 10)
    for _ in 0..<5 { #expect(table.charge(1, cost: 0, nowNanoseconds: 0).remaining == 2) }
    #expect(table.count(nowNanoseconds: 0) == 0)
  }

  @Test
  func `A cost may put a bucket into debt, and nothing is admitted until it is paid`() {
    let table = Self.table(5, 10)
    #expect(table.take(1, nowNanoseconds: 0).isAdmitted)
    let charged = table.charge(1, cost: 6, nowNanoseconds: 0)
    #expect(charged.isAdmitted && charged.remaining == 0)
    #expect(charged.nanosecondsUntilFull == 14 * Self.second && charged.nanosecondsUntilNext == 6 * Self.second)
    #expect(!table.take(1, nowNanoseconds: 6 * Self.second - 1).isAdmitted)
    #expect(table.take(1, nowNanoseconds: 6 * Self.second).isAdmitted)
    #expect(table.take(2, nowNanoseconds: 0).isAdmitted)
  }

  @Test(arguments: [10, 11, 1_000_000, Int.max])
  func `A debt is no longer than one more window`(cost: Int) {
    let table = Self.table(5, 10)
    for _ in 0..<3 {
      #expect(table.charge(1, cost: cost, nowNanoseconds: 0).nanosecondsUntilFull == 20 * Self.second)
    }
    #expect(!table.take(1, nowNanoseconds: 12 * Self.second - 1).isAdmitted)
    #expect(table.take(1, nowNanoseconds: 12 * Self.second).isAdmitted)
  }

  @Test(arguments: [
    (RequestCost.signal(deliveries: 99), 0), (RequestCost.signal(deliveries: 10_000), 100),
    (RequestCost.answer(rows: 99, bytes: 65_535), 0), (RequestCost.answer(rows: 1000, bytes: 300_000), 14),
  ])
  func `A request costs more by what it writes and answers, rounded down`(cost: Int, expected: Int) {
    #expect(cost == expected)
  }

  @Test(arguments: [1, 3, 7, 11, 600])
  func `A limit that does not divide its window evenly admits no more than it says`(requests: Int) {
    let table = Self.table(requests, 1)
    let admitted = (0..<requests * 2).count { _ in table.take(1, nowNanoseconds: 0).isAdmitted }
    #expect(admitted == requests)
  }

  @Test
  func `It admits what a bucket with a continuous refill admits`() {
    var random = SeededGenerator(seed: 7)
    let table = Self.table(10, 10)
    var (drops, now, filledAt): (Int64, Int64, Int64) = (10 * Self.second, 0, 0)
    for _ in 0..<10_000 {
      now += Int64(random.next() % UInt64(2 * Self.second))
      drops = min(10 * Self.second, drops + now - filledAt)
      filledAt = now
      let isAdmitted = drops >= Self.second
      if isAdmitted { drops -= Self.second }
      let outcome = table.take(3, nowNanoseconds: now)
      #expect(outcome.isAdmitted == isAdmitted && outcome.remaining == Int(drops / Self.second))
    }
  }

  @Test
  func `A flood of keys stays within its bound, is counted, and frees nobody whose bucket is empty`() {
    let table = Self.table(5, 60)
    let hashes = hashes(100_001)
    let victim = hashes[0]
    for _ in 0..<5 { _ = table.take(victim, nowNanoseconds: 0) }
    for key in hashes.dropFirst() { #expect(table.take(key, nowNanoseconds: 0).isAdmitted) }
    #expect(!table.take(victim, nowNanoseconds: 0).isAdmitted)
    #expect(table.count(nowNanoseconds: 0) == 512)
    #expect(table.evictions == 100_001 - 512)
  }

  @Test
  func `Buckets that are full again make room without being counted as forgotten`() {
    let table = Self.table(5, 60)
    for (index, key) in hashes(10_000).enumerated() {
      _ = table.take(key, nowNanoseconds: Int64(index) * 60 * Self.second)
    }
    #expect(table.evictions == 0)
    #expect(table.count(nowNanoseconds: 10_000 * 60 * Self.second) == 0)
  }

  @Test
  func `Many at once take no more than there is`() async {
    let table = Self.table(1000, 60)
    let admitted = await withTaskGroup { group in
      for _ in 0..<4 {
        group.addTask { (0..<1000).count { _ in table.take(1, nowNanoseconds: 0).isAdmitted } }
      }
      return await group.reduce(0, +)
    }
    #expect(admitted == 1000)
  }

  @Test
  func `An IPv4 address has its own limit; an IPv6 address shares that of its 64-bit network`() {
    let mapped: UInt64 = 0xFFFF_0000_0000
    #expect(CallerAddress(high: 0, low: mapped | 1) != CallerAddress(high: 0, low: mapped | 2))
    #expect(CallerAddress(high: 7, low: 1) == CallerAddress(high: 7, low: 2))
    #expect(CallerAddress(high: 7, low: 1) != CallerAddress(high: 8, low: 1))
    #expect(CallerAddress(high: 0, low: 1) == CallerAddress(high: 0, low: 2))
  }

  @Test
  func `Clients, devices and addresses have separate counts, and without a limit none`() throws {
    let one = RateLimit(requests: 1, windowSeconds: 60)
    let time = Mutex<Int64>(0)
    let limits = RateLimits(
      .init(client: one, device: one), random: CountingRandom(), monotonicMilliseconds: { time.withLock { $0 } }
    )
    let (alice, bob) = (ClientID("alice")!, ClientID("bob")!)
    #expect(limits.count(alice)?.retryAfterSeconds == nil)
    let refused = try #require(limits.count(alice))
    #expect(
      refused == .init(subject: .client, limit: one, remaining: 0, resetSeconds: 60, retryAfterSeconds: 60))
    #expect(limits.count(bob)?.retryAfterSeconds == nil)
    #expect(limits.count(DeviceID(high: 1, low: 1))?.retryAfterSeconds == nil)
    #expect(limits.count(DeviceID(high: 1, low: 1))?.retryAfterSeconds == 60)
    #expect(limits.count(DeviceID(high: 1, low: 2))?.retryAfterSeconds == nil)
    let address = CallerAddress(high: 1, low: 1)
    for _ in 0..<5 { #expect(try limits.charge(address) == nil) }
    #expect(limits.standing(of: address) == nil)
    #expect([.client, .device, .address].map(limits.entries) == [2, 2, 0])
    time.withLock { $0 = 59_001 }
    #expect(limits.count(alice)?.retryAfterSeconds == 1)
    time.withLock { $0 = 60_000 }
    #expect(limits.count(alice)?.retryAfterSeconds == nil)
  }

  @Test
  func `An address is charged for failures, and refunded for successes`() async throws {
    let limits = RateLimits(
      .init(address: RateLimit(requests: 2, windowSeconds: 60)), random: CountingRandom(),
      monotonicMilliseconds: { 0 })
    let address = CallerAddress(high: 1, low: 1)
    for _ in 0..<5 { #expect(try await limits.charging(address) { 1 } == 1) }
    for _ in 0..<5 {
      await #expect(throws: RegistryError.unavailable(cause: "gone")) {
        try await limits.charging(address) { () async throws(RegistryError) -> Int? in
          throw .unavailable(cause: "gone")
        }
      }
    }
    #expect(limits.standing(of: address)?.remaining == 2)
    for _ in 0..<2 { #expect(try await limits.charging(address) { nil as Int? } == nil) }
    var isDone = false
    await #expect(throws: RegistryError.self) {
      try await limits.charging(address) {
        isDone = true
        return 1
      }
    }
    #expect(!isDone)
    #expect(try await limits.charging(nil) { 1 } == 1)
  }
}

/// The same numbers in each run.
private func hashes(_ count: Int) -> [UInt64] {
  var random = SeededGenerator(seed: 1)
  return (0..<count).map { _ in random.next() }
}
