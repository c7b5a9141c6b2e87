@testable import Registry
import Synchronization
import TestSupport
import Testing

/// How long presence waits to be written.
@Suite struct PresenceLag {
  private final class TestClock: Sendable {
    let milliseconds = Atomic<Int64>(1_000)
    func advance(_ count: Int64) { milliseconds.add(count, ordering: .relaxed) }
  }

  private let clock = TestClock()
  private let book: PresenceBook
  private let device = DeviceID(high: 1, low: 2)
  private let now = Timestamp(millisecondsSince1970: 5)

  init() {
    book = PresenceBook { [clock] in clock.milliseconds.load(ordering: .relaxed) }
  }

  @Test func `It is the age of the oldest, until that is written`() {
    #expect(book.lagMilliseconds == 0)
    book.note(.called, by: device, at: now)
    clock.advance(300)
    book.note(.polled(nil), by: device, at: now)
    #expect(book.lagMilliseconds == 300)
    _ = book.take()
    clock.advance(100)
    #expect(book.lagMilliseconds == 400)
    book.note(.polled(nil), by: device, at: now)
    book.written()
    clock.advance(50)
    #expect(book.lagMilliseconds == 50)
  }

  @Test func `The lag of presence that could not be written keeps growing`() {
    book.note(.called, by: device, at: now)
    clock.advance(300)
    let taken = book.take()
    book.note(.polled(nil), by: device, at: now)
    clock.advance(100)
    book.putBack(taken)
    #expect(book.lagMilliseconds == 400)
    _ = book.take()
    book.written()
    #expect(book.lagMilliseconds == 0)
  }
}

/// What is gathered of a device's presence.
@Suite struct GatheredPresence {
  private let book = PresenceBook { 0 }
  private let device = DeviceID(high: 1, low: 2)
  private let early = time(1)
  private let middle = time(2)
  private let late = time(3)

  private static func time(_ milliseconds: Int64) -> Timestamp {
    Timestamp(millisecondsSince1970: milliseconds)
  }

  /// Each act, and the presence of a device that did nothing else.
  static let acts: [(act: PresenceBook.Act, presence: @Sendable (Timestamp) -> Presence)] = [
    (.called, { Presence(lastSeen: $0) }), (.polled(nil), { Presence(lastSeen: $0, lastPoll: $0) }),
    (.acknowledged, { Presence(lastSeen: $0, lastAck: $0) }),
  ]

  @Test func `Times move forward, and not backward when the clock does`() {
    for (act, presence) in Self.acts {
      book.note(act, by: device, at: middle)
      book.note(act, by: device, at: late)
      book.note(act, by: device, at: early)
      #expect(book.takePresence() == [device: presence(late)])
    }
  }

  @Test func `An act moves its own time and the time of the last request, and no other`() {
    book.note(.polled(nil), by: device, at: early)
    book.note(.acknowledged, by: device, at: middle)
    book.note(.called, by: device, at: late)
    #expect(book.takePresence() == [device: Presence(lastSeen: late, lastPoll: early, lastAck: middle)])
  }

  @Test func `What could not be written does not replace what is newer`() {
    for (act, presence) in Self.acts {
      book.note(act, by: device, at: early)
      let taken = book.take()
      book.note(act, by: device, at: late)
      book.putBack(taken)
      #expect(book.takePresence() == [device: presence(late)])
    }
  }

  @Test func `What could not be written is kept where nothing newer is known`() {
    let other = DeviceID(high: 1, low: 3)
    book.note(.polled(nil), by: device, at: early)
    book.note(.acknowledged, by: device, at: middle)
    book.note(.polled(nil), by: other, at: late)
    let taken = book.take()
    #expect(book.count == 0)
    book.note(.called, by: device, at: late)
    book.putBack(taken)
    #expect(
      book.takePresence() == [
        device: Presence(lastSeen: late, lastPoll: early, lastAck: middle),
        other: Presence(lastSeen: late, lastPoll: late),
      ])
  }

  @Test func `What could not be written is not replaced by what is noted after the clock was set back`() {
    for (act, presence) in Self.acts {
      book.note(act, by: device, at: late)
      let taken = book.take()
      book.note(act, by: device, at: early)
      book.putBack(taken)
      #expect(book.takePresence() == [device: presence(late)])
    }
  }

  @Test func `Presence is kept while the database is out of reach, and written once afterwards`() async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let polledAt = registry.clock.now()
      _ = try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1)
      let unreachable = UnreachableStore()
      await #expect(throws: unreachable.error) {
        try await registry.live.flushPresence(to: unreachable, at: polledAt)
      }
      #expect(registry.live.pendingPresence == 1)
      try await registry.live.flushPresence(to: registry.database, at: polledAt)
      #expect(try await registry.database.device(device.id)?.lastPoll == polledAt)
      #expect(registry.live.pendingPresence == 0)
    }
  }

  private struct UnreachableStore: UnusableStore {
    let error = RegistryError.unavailable(cause: "no route")
  }
}

extension PresenceBook {
  fileprivate func note(_ act: Act, by id: DeviceID, at time: Timestamp) {
    note(act, by: id, of: UnnotifiedRegistry.owner, at: time)
  }

  fileprivate func takePresence() -> [DeviceID: Presence] {
    Dictionary(uniqueKeysWithValues: take().compactMap { device in device.presence.map { (device.id, $0) } })
  }
}
