import Registry
import Synchronization
import Testing

@testable import Registry

@Suite("Replay memory") struct ReplayMemoryTests {
  private static let device = DeviceID(high: 1, low: 1)

  @Test
  func `A nonce counts once for its device, also with another time, and again when its time is over`()
    async throws
  {
    let clock = SetClock()
    let memory = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300)
    memory.hold(since: nil)
    func remember(_ id: DeviceID = Self.device, createdAfter milliseconds: Int64 = 0) async throws -> Bool {
      let created = clock.now() + milliseconds
      return try await memory.remember(nonce: "nonce-01", of: id, created: created)
    }
    #expect(try await remember())
    #expect(try await remember() == false)
    #expect(try await remember(createdAfter: 4000) == false)
    #expect(try await remember(DeviceID(high: 1, low: 2)))
    #expect(memory.count == 2)
    clock.advance(milliseconds: 301_000 + 60_000)
    #expect(try await remember())
  }

  @Test
  func `What was signed before the memory began is refused, and so is everything without the lock`()
    async throws
  {
    let clock = SetClock()
    let memory = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300)
    func error(createdAfter milliseconds: Int64, lead: Int64 = 5000) async -> RegistryError? {
      let created = clock.now() + milliseconds
      do throws(RegistryError) {
        _ = try await memory.remember(
          nonce: "nonce-\(milliseconds)", of: Self.device, created: created, lead: lead)
        return nil
      } catch {
        return error
      }
    }
    guard case .replayUnavailable(_, 2) = await error(createdAfter: 0) else { Issue.record("no lock"); return }
    memory.hold(since: clock.now())
    for (lead, left): (Int64, Int) in [(5000, 6), (60_000, 61)] {
      guard case .signedBeforeStart(_, left, clock.now()) = await error(createdAfter: lead, lead: lead) else {
        Issue.record("too early")
        return
      }
      #expect(await error(createdAfter: lead + 1, lead: lead) == nil)
    }
    clock.advance(milliseconds: 3000)
    guard case .signedBeforeStart(_, 3, _) = await error(createdAfter: 0) else {
      Issue.record("too early")
      return
    }
    memory.loseHold()
    guard case .replayUnavailable = await error(createdAfter: 9000) else { Issue.record("lock lost"); return }
  }

  @Test
  func `A full memory refuses, and forgets nothing`() async throws {
    let clock = SetClock()
    let memory = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300, maximumNonces: 16)
    memory.hold(since: nil)
    var accepted: [String] = []
    for number in 0..<200 {
      let nonce = "nonce-\(number)"
      let isNew = try? await memory.remember(
        nonce: nonce, of: Self.device, created: clock.now())
      if isNew == true { accepted.append(nonce) }
    }
    #expect((1...16).contains(accepted.count))
    for nonce in accepted {
      let isNew = try await memory.remember(
        nonce: nonce, of: Self.device, created: clock.now())
      #expect(isNew == false)
    }
  }

  @Test
  func `Setting the clock back makes no nonce valid again`() async throws {
    let clock = SetClock()
    let memory = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300)
    memory.hold(since: nil)
    let created = clock.now()
    func remember() async throws -> Bool {
      try await memory.remember(nonce: "nonce-01", of: Self.device, created: created)
    }
    #expect(try await remember())
    clock.advance(milliseconds: 1_000_000)
    _ = try await memory.remember(
      nonce: "nonce-02", of: Self.device, created: clock.now())
    clock.advance(milliseconds: -1_000_000)
    // Only those of the sixteen shards that were used since have dropped it; the others still have it.
    let again = try? await remember()
    #expect(again != true)
  }

  @Test
  func
    `A clock that was far ahead for a while refuses new nonces for a minute, and not for as long as it was ahead`()
    async throws
  {
    let clock = SetClock()
    // More nonces than shards, so that each shard has dropped some.
    let memory = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300)
    memory.hold(since: nil)
    func remember(_ name: String) async -> [Bool?] {
      var outcomes: [Bool?] = []
      let created = clock.now()
      for number in 0..<200 {
        outcomes.append(
          try? await memory.remember(
            nonce: "\(name)-\(number)", of: Self.device, created: created))
      }
      return outcomes
    }
    #expect(await remember("before").allSatisfy { $0 == true })
    clock.advance(milliseconds: 86_400_000)
    let ahead = clock.now()
    #expect(await remember("ahead").allSatisfy { $0 == true })
    clock.advance(milliseconds: -86_400_000)
    #expect(await remember("before").allSatisfy { $0 != true })
    clock.advance(milliseconds: 61_000)
    #expect(await remember("after").allSatisfy { $0 == true })
    #expect(await remember("after").allSatisfy { $0 == false })
    // A nonce that was accepted ahead of its time is still in memory when that time arrives.
    clock.advance(milliseconds: ahead - clock.now())
    #expect(await remember("ahead").allSatisfy { $0 == false })
  }

  @Test
  func `What an earlier process remembered is remembered, if all of it can be`() async throws {
    let clock = SetClock()
    let old = ReplayMemory(clock: clock, hash: TestNonceHash(key: [1]), skewSeconds: 300)
    old.hold(since: nil)
    for number in 0..<500 {
      // In several tables.
      let created = clock.now() + Int64(number) * 200
      #expect(try await old.remember(nonce: "nonce-\(number)", of: Self.device, created: created))
    }
    var snapshot = old.snapshot()
    (snapshot.term, snapshot.heldSince) = ("term-1", 7)
    #expect(snapshot.count == 500)
    let bytes = snapshot.bytes
    #expect(ReplaySnapshot(bytes: bytes) == snapshot)
    for count in 0..<bytes.count where count < 200 || count % 97 == 0 {
      #expect(ReplaySnapshot(bytes: Array(bytes[..<count])) == nil)
    }
    #expect(ReplaySnapshot(bytes: bytes + [0]) == nil)
    let new = ReplayMemory(clock: clock, hash: TestNonceHash(key: [1]), skewSeconds: 300)
    #expect(new.restore(snapshot) && new.count == 500)
    new.hold(since: nil)
    for number in 0...500 {
      let created = clock.now() + Int64(number) * 200
      #expect(
        try await new.remember(nonce: "nonce-\(number)", of: Self.device, created: created) == (number == 500))
    }
    // Nonces of this key, time or number are not all of them.
    for (key, skew, maximum): ([UInt8], Int, Int) in [([2], 300, 10_000), ([1], 301, 10_000), ([1], 300, 400)] {
      let other = ReplayMemory(
        clock: clock, hash: TestNonceHash(key: key), skewSeconds: skew, maximumNonces: maximum)
      #expect(!other.restore(snapshot))
    }
    clock.advance(milliseconds: 500_000)
    let late = ReplayMemory(clock: clock, hash: TestNonceHash(key: [1]), skewSeconds: 300)
    #expect(late.restore(snapshot) && late.count == 0)
  }

  @Test
  func `Many nonces are distinguished`() async throws {
    let clock = SetClock()
    let memory = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300)
    memory.hold(since: nil)
    for round in [true, false] {
      for number in 0..<5000 {
        let isNew = try await memory.remember(
          nonce: "nonce-\(number)", of: Self.device, created: clock.now())
        #expect(isNew == round)
      }
    }
    #expect(memory.count == 5000)
  }
}

@Suite("Ids in a row") struct IdentifierSequenceTests {
  @Test
  func
    `They sort in the order in which they were made, also within a millisecond and with a clock that goes back`()
  {
    let sequence = IdentifierSequence()
    let time = Timestamp(millisecondsSince1970: 1_764_000_000_000)
    let times = Array(repeating: time, count: 5000) + [time + -1000, time + 5000]
    let ids = times.map { time -> SignalID in sequence.next(at: time, random: CountingRandom()) }
    #expect(zip(ids, ids.dropFirst()).allSatisfy { $0.high < $1.high })
  }
}

/// A clock that the test sets.
final class SetClock: Registry.Clock {
  private let time = Mutex(Timestamp(millisecondsSince1970: 1_764_000_000_000))
  func now() -> Timestamp { time.withLock { $0 } }
  func advance(milliseconds: Int64) { time.withLock { $0 = $0 + milliseconds } }
}

extension ReplayMemory {
  /// Remembers the nonce of a signature that is timely for 300 s.
  fileprivate func remember(
    nonce: String, of id: DeviceID, created: Timestamp, lead: Int64 = 5000
  ) async throws(RegistryError) -> Bool {
    try await remember(
      SignedNonce(nonce, of: id, created: created, leadMilliseconds: lead, expiry: created + 300_000))
  }
}

/// FNV-1a, which suffices for nonces that nobody chooses to collide.
struct TestNonceHash: NonceHash {
  var key: [UInt8] = []

  func callAsFunction(_ message: UnsafeRawBufferPointer) -> UInt64 {
    (key + message).reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
