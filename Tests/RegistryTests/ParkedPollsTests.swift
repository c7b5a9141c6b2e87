import Testing

@testable import Registry

@Suite("The seat of a parked poll", .timeLimit(.minutes(1)))
struct ParkedPollsTests {
  private let parked = ParkedPolls(maximumParked: 1)
  private let device = DeviceID(high: 1, low: 2)

  @Test
  func `keeps a change that arrives before it waits, and reports several as one`() async throws {
    let seat = try #require(parked.takeSeat(for: device))
    for _ in 0..<2 { parked.wake(device) }
    #expect(await seat.wait(untilMilliseconds: 1) == .changed)
    parked.close()
    #expect(await seat.wait(untilMilliseconds: 1) == .ended)
  }

  @Test
  func `reports a change before the end, so that the poll of a deleted device fails; the end is permanent`()
    async throws
  {
    let seat = try #require(parked.takeSeat(for: device))
    parked.wake(device)
    parked.end(device)
    #expect(await seat.wait(untilMilliseconds: 1) == .changed)
    for _ in 0..<2 { #expect(await seat.wait(untilMilliseconds: 1) == .ended) }
  }

  @Test
  func `is taken over by a newer poll of the device, and given to no other while it is taken`() async throws {
    let older = try #require(parked.takeSeat(for: device))
    #expect(parked.takeSeat(for: DeviceID(high: 3, low: 4)) == nil)
    let newer = try #require(parked.takeSeat(for: device))
    #expect(await older.wait(untilMilliseconds: 1) == .ended)
    parked.leave(older)
    #expect(parked.count == 1)
    parked.leave(newer)
    #expect(parked.count == 0)
  }

  @Test
  func `ends when its task is cancelled, before or during the wait; a change is reported first`()
    async throws
  {
    let seat = try #require(parked.takeSeat(for: device))
    // Runs at once, up to its wait.
    let waiting = Task.immediate { await seat.wait(untilMilliseconds: .max / 2) }
    waiting.cancel()
    #expect(await waiting.value == .ended)
    parked.leave(seat)

    let other = try #require(parked.takeSeat(for: device))
    parked.wake(device)
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
    let seat = try #require(parked.takeSeat(for: device))
    let waiting = Task.immediate { await seat.wait(untilMilliseconds: 1000) }
    parked.endOverdue(nowMilliseconds: 999)
    // Polls that have not ended can still be woken.
    parked.wake(device)
    #expect(await waiting.value == .changed)
    let again = Task.immediate { await seat.wait(untilMilliseconds: 1000) }
    parked.endOverdue(nowMilliseconds: 1000)
    #expect(await again.value == .timedOut)
    parked.leave(seat)
    #expect(parked.count == 0)
  }

  @Test
  func `times out if its deadline passed before it waits`() async throws {
    let seat = try #require(parked.takeSeat(for: device))
    parked.endOverdue(nowMilliseconds: 5000)
    let waiting = Task.immediate { await seat.wait(untilMilliseconds: 1000) }
    parked.endOverdue(nowMilliseconds: 5000)
    #expect(await waiting.value == .timedOut)
  }

  @Test
  func `waits for a later time after one that is over`() async throws {
    let seat = try #require(parked.takeSeat(for: device))
    let first = Task.immediate { await seat.wait(untilMilliseconds: 1000) }
    parked.endOverdue(nowMilliseconds: 2000)
    #expect(await first.value == .timedOut)
    let second = Task.immediate { await seat.wait(untilMilliseconds: 3000) }
    parked.endOverdue(nowMilliseconds: 2990)
    parked.wake(device)
    #expect(await second.value == .changed)
  }

  @Test
  func
    `times out although an older poll of the device, which was querying, has the same deadline`()
    async throws
  {
    let older = try #require(parked.takeSeat(for: device))
    let newer = try #require(parked.takeSeat(for: device))
    let waiting = Task.immediate { await newer.wait(untilMilliseconds: 1000) }
    #expect(await older.wait(untilMilliseconds: 1000) == .ended)
    parked.leave(older)
    parked.endOverdue(nowMilliseconds: 1000)
    // Ends the poll if the clock has not.
    parked.close()
    #expect(await waiting.value == .timedOut)
  }
}
