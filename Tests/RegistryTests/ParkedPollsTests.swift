import Testing

@testable import Registry

@Suite("The seat of a parked poll")
struct ParkedPollsTests {
  private let parked = ParkedPolls(maximumParked: 1)
  private let device = DeviceID(high: 1, low: 2)

  @Test("keeps a change that comes before it waits, and tells several as one")
  func keepsChanges() async throws {
    let seat = try #require(parked.takeSeat(for: device))
    for _ in 0..<2 { parked.wake(device) }
    #expect(await seat.wait(untilMilliseconds: 1) == .changed)
    parked.close()
    #expect(await seat.wait(untilMilliseconds: 1) == .ended)
  }

  @Test("tells a change before the end, so that a poll whose device is gone is refused; the end is for good")
  func tellsChangesFirst() async throws {
    let seat = try #require(parked.takeSeat(for: device))
    parked.wake(device)
    parked.end(device)
    #expect(await seat.wait(untilMilliseconds: 1) == .changed)
    for _ in 0..<2 { #expect(await seat.wait(untilMilliseconds: 1) == .ended) }
  }

  @Test("is taken over by a newer poll of the device, and given to no other while it is taken")
  func isTakenOver() async throws {
    let older = try #require(parked.takeSeat(for: device))
    #expect(parked.takeSeat(for: DeviceID(high: 3, low: 4)) == nil)
    let newer = try #require(parked.takeSeat(for: device))
    #expect(await older.wait(untilMilliseconds: 1) == .ended)
    parked.leave(older)
    #expect(parked.count == 1)
    parked.leave(newer)
    #expect(parked.count == 0)
  }
}
