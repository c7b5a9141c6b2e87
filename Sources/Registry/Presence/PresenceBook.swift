private import Synchronization

/// When devices were last there, gathered until it is written: a poll must not cost a write.
final class PresenceBook: Sendable {
  /// Devices between two writes. What further ones do is not noted: presence is the only thing that is lost.
  static let maximumDevices = 1_000_000

  private struct Book {
    var gathered: [DeviceID: Presence] = [:]
    /// When the first of `gathered` was noted, on the monotonic clock.
    var oldestMilliseconds: Int64?
    /// The same of what is being written.
    var oldestTakenMilliseconds: Int64?
  }
  private let book = Mutex(Book())
  private let monotonicMilliseconds: @Sendable () -> Int64

  /// - Parameter monotonicMilliseconds: a clock that nobody sets.
  init(monotonicMilliseconds: @escaping @Sendable () -> Int64) {
    self.monotonicMilliseconds = monotonicMilliseconds
  }

  var count: Int { book.withLock { $0.gathered.count } }

  /// Age of the oldest presence that is not written; 0 where all is.
  var lagMilliseconds: Int64 {
    let oldest = book.withLock { $0.oldestTakenMilliseconds ?? $0.oldestMilliseconds }
    return oldest.map { max(0, monotonicMilliseconds() - $0) } ?? 0
  }

  /// What a device did, beside proving itself. Each request is noted once.
  enum Act { case called, polled, acknowledged }

  func note(_ act: Act, by id: DeviceID, at time: Timestamp) {
    book.withLock { book in
      if book.oldestMilliseconds == nil { book.oldestMilliseconds = monotonicMilliseconds() }
      guard book.gathered[id] != nil || book.gathered.count < Self.maximumDevices else { return }
      book.gathered[id, default: Presence(lastSeen: time)].move(to: act.presence(at: time))
    }
  }

  /// What is to be written now; `written` or `putBack` says what became of it.
  func take() -> [DeviceID: Presence] {
    book.withLock { book in
      let taken = book.gathered
      book.gathered = Dictionary(minimumCapacity: taken.count)
      book.oldestTakenMilliseconds = book.oldestMilliseconds
      book.oldestMilliseconds = nil
      return taken
    }
  }

  /// What was taken is written.
  func written() { book.withLock { $0.oldestTakenMilliseconds = nil } }

  /// What could not be written, unless something newer is known by now.
  func putBack(_ presence: [DeviceID: Presence]) {
    book.withLock { book in
      book.oldestMilliseconds = book.oldestTakenMilliseconds ?? book.oldestMilliseconds
      book.oldestTakenMilliseconds = nil
      book.gathered.merge(presence) { newer, older in
        var presence = older
        presence.move(to: newer)
        return presence
      }
    }
  }
}

extension PresenceBook.Act {
  fileprivate func presence(at time: Timestamp) -> Presence {
    switch self {
    case .called: Presence(lastSeen: time)
    case .polled: Presence(lastSeen: time, lastPoll: time)
    case .acknowledged: Presence(lastSeen: time, lastAck: time)
    }
  }
}

extension Presence {
  /// Takes what is newer.
  fileprivate mutating func move(to other: Presence) {
    lastSeen = max(lastSeen, other.lastSeen)
    lastPoll = Self.later(lastPoll, other.lastPoll)
    lastAck = Self.later(lastAck, other.lastAck)
  }

  private static func later(_ time: Timestamp?, _ other: Timestamp?) -> Timestamp? {
    guard let time, let other else { return time ?? other }
    return max(time, other)
  }
}
