@testable import Registry
import Synchronization
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
    book.note(.polled, by: device, at: now)
    #expect(book.lagMilliseconds == 300)
    _ = book.take()
    clock.advance(100)
    #expect(book.lagMilliseconds == 400)
    book.note(.polled, by: device, at: now)
    book.written()
    clock.advance(50)
    #expect(book.lagMilliseconds == 50)
  }

  @Test func `What could not be written goes on growing old`() {
    book.note(.called, by: device, at: now)
    clock.advance(300)
    let taken = book.take()
    book.note(.polled, by: device, at: now)
    clock.advance(100)
    book.putBack(taken)
    #expect(book.lagMilliseconds == 400)
    _ = book.take()
    book.written()
    #expect(book.lagMilliseconds == 0)
  }
}
