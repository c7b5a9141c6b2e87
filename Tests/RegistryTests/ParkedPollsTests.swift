import Testing

@testable import Registry

@Suite("The seat of a parked poll", .timeLimit(.minutes(1)))
struct ParkedPollsTests {
  private let parked = ParkedPolls(maximumParked: 1)
  private let device = DeviceID(high: 1, low: 2)
  private let alice = ClientID("alice")!
  private let bob = ClientID("bob")!

  @Test
  func `keeps a change that arrives before it waits, and reports several as one`() async throws {
    let seat = try #require(parked.takeSeat(for: device, of: alice))
    for _ in 0..<2 { parked.look([device]) }
    #expect(await seat.wait(untilMilliseconds: 1) == .changed)
    parked.close()
    #expect(await seat.wait(untilMilliseconds: 1) == .ended)
  }

  @Test
  func `reports a change before the end, so that the poll of a deleted device fails; the end is permanent`()
    async throws
  {
    let seat = try #require(parked.takeSeat(for: device, of: alice))
    parked.look([device])
    parked.end(device)
    #expect(await seat.wait(untilMilliseconds: 1) == .changed)
    for _ in 0..<2 { #expect(await seat.wait(untilMilliseconds: 1) == .ended) }
  }

  @Test
  func `is taken over by a newer poll of the device`() async throws {
    let older = try #require(parked.takeSeat(for: device, of: alice))
    let newer = try #require(parked.takeSeat(for: device, of: alice))
    #expect(await older.wait(untilMilliseconds: 1) == .ended)
    parked.leave(older)
    #expect(parked.count == 1)
    parked.leave(newer)
    #expect(parked.count == 0)
  }

  @Test
  func `is lost by the client that has most, its oldest first, when all are taken`() async throws {
    let parked = ParkedPolls(maximumParked: 4)
    func seat(_ number: UInt64, of client: ClientID) throws -> ParkedPolls.Seat {
      try #require(parked.takeSeat(for: DeviceID(high: 1, low: number), of: client))
    }
    let many = try (1...4).map { try seat($0, of: alice) }
    let one = try seat(5, of: bob)
    #expect(await many[0].wait(untilMilliseconds: 1) == .displaced)
    // A client with most loses its own for its own.
    let newest = try seat(6, of: alice)
    #expect(await many[1].wait(untilMilliseconds: 1) == .displaced)
    let other = try seat(7, of: bob)
    #expect(await many[2].wait(untilMilliseconds: 1) == .displaced)
    // Both have two now: neither takes one from the other.
    let again = try seat(8, of: bob)
    #expect(await one.wait(untilMilliseconds: 1) == .displaced)
    for seat in many.prefix(3) { parked.leave(seat) }
    #expect(parked.count == 4)
    for seat in [many[3], newest, other, again] {
      parked.look([seat.deviceID])
      #expect(await seat.wait(untilMilliseconds: 1) == .changed)
    }
  }

  @Test
  func `is woken for a client's signals, and not for those of another`() async throws {
    let parked = ParkedPolls(maximumParked: 2)
    let ours = try #require(parked.takeSeat(for: device, of: alice))
    let theirs = try #require(parked.takeSeat(for: DeviceID(high: 3, low: 4), of: bob))
    parked.look(devicesOf: alice)
    parked.close()
    #expect(await ours.wait(untilMilliseconds: 1) == .changed)
    #expect(await theirs.wait(untilMilliseconds: 1) == .ended)
  }

  @Test
  func `is woken in turn with those of other clients, after no more than may query at once`() async throws {
    let parked = ParkedPolls(maximumParked: 1000)
    let many = try (0..<200).map { number in
      try #require(parked.takeSeat(for: DeviceID(high: 1, low: number), of: alice))
    }
    let one = try #require(parked.takeSeat(for: DeviceID(high: 2, low: 0), of: bob))
    let waits = (many + [one]).map { seat in Task.immediate { await seat.wait(untilMilliseconds: .max / 2) } }
    parked.look(devicesOf: alice)
    parked.look([one.deviceID])
    // As many of alice's as may query at once do. Two that have queried make room for one of hers, and for bob's.
    for seat in many.prefix(2) { parked.leave(seat) }
    #expect(await waits.last!.value == .changed)
    parked.close()
    var woken = 0
    for wait in waits where await wait.value == .changed { woken += 1 }
    #expect(woken == ParkedPolls.maximumLooks + 2)
  }

  @Test
  func `ends when its task is cancelled, before or during the wait; a change is reported first`()
    async throws
  {
    let seat = try #require(parked.takeSeat(for: device, of: alice))
    // Runs at once, up to its wait.
    let waiting = Task.immediate { await seat.wait(untilMilliseconds: .max / 2) }
    waiting.cancel()
    #expect(await waiting.value == .ended)
    parked.leave(seat)

    let other = try #require(parked.takeSeat(for: device, of: alice))
    parked.look([device])
    let cancelled = Task.immediate {
      withUnsafeCurrentTask { $0?.cancel() }
      return [
        await other.wait(untilMilliseconds: .max / 2), await other.wait(untilMilliseconds: .max / 2),
      ]
    }
    #expect(await cancelled.value == [.changed, .ended])
  }

  @Test
  func `times out with the first look at the clock after its time, and no earlier`() async throws {
    let seat = try #require(parked.takeSeat(for: device, of: alice))
    let waiting = Task.immediate { await seat.wait(untilMilliseconds: 1000) }
    parked.endOverdue(nowMilliseconds: 999)
    // Polls that have not ended can still be woken.
    parked.look([device])
    #expect(await waiting.value == .changed)
    let again = Task.immediate { await seat.wait(untilMilliseconds: 1000) }
    parked.endOverdue(nowMilliseconds: 1000)
    #expect(await again.value == .timedOut)
    parked.leave(seat)
    #expect(parked.count == 0)
  }

  @Test
  func `times out if its deadline passed before it waits`() async throws {
    let seat = try #require(parked.takeSeat(for: device, of: alice))
    parked.endOverdue(nowMilliseconds: 5000)
    let waiting = Task.immediate { await seat.wait(untilMilliseconds: 1000) }
    parked.endOverdue(nowMilliseconds: 5000)
    #expect(await waiting.value == .timedOut)
  }

  @Test
  func `waits for a later time after one that is over`() async throws {
    let seat = try #require(parked.takeSeat(for: device, of: alice))
    let first = Task.immediate { await seat.wait(untilMilliseconds: 1000) }
    parked.endOverdue(nowMilliseconds: 2000)
    #expect(await first.value == .timedOut)
    let second = Task.immediate { await seat.wait(untilMilliseconds: 3000) }
    parked.endOverdue(nowMilliseconds: 2990)
    parked.look([device])
    #expect(await second.value == .changed)
  }

  @Test
  func
    `times out although an older poll of the device, which was querying, has the same deadline`()
    async throws
  {
    let older = try #require(parked.takeSeat(for: device, of: alice))
    let newer = try #require(parked.takeSeat(for: device, of: alice))
    let waiting = Task.immediate { await newer.wait(untilMilliseconds: 1000) }
    #expect(await older.wait(untilMilliseconds: 1000) == .ended)
    parked.leave(older)
    parked.endOverdue(nowMilliseconds: 1000)
    // Ends the poll if the clock has not.
    parked.close()
    #expect(await waiting.value == .timedOut)
  }
}
