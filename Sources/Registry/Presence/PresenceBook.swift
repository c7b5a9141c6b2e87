private import Synchronization

/// Collects the presence of devices until it is written, so that a poll costs no write.
final class PresenceBook: Sendable {
  /// Devices between two writes. The presence of further devices is dropped.
  static let maximumDevices = 1_000_000

  private struct Book {
    var gathered: [DeviceID: Presence] = [:]
    /// When the first of `gathered` was noted, on the monotonic clock.
    var oldestMilliseconds: Int64?
    /// The same time for the presence that is being written.
    var oldestTakenMilliseconds: Int64?
  }
  private let book = Mutex(Book())
  private let monotonicMilliseconds: @Sendable () -> Int64

  init(monotonicMilliseconds: @escaping @Sendable () -> Int64) {
    self.monotonicMilliseconds = monotonicMilliseconds
  }

  var count: Int { book.withLock { $0.gathered.count } }

  /// Age of the oldest presence that is not written yet; 0 if there is none.
  var lagMilliseconds: Int64 {
    let oldest = book.withLock { $0.oldestTakenMilliseconds ?? $0.oldestMilliseconds }
    return oldest.map { max(0, monotonicMilliseconds() - $0) } ?? 0
  }

  /// The kind of an authenticated request. Each request is noted once.
  enum Act { case called, polled(InstanceID?), acknowledged }

  func note(_ act: Act, by id: DeviceID, at time: Timestamp) {
    book.withLock { book in
      if book.oldestMilliseconds == nil { book.oldestMilliseconds = monotonicMilliseconds() }
      guard book.gathered[id] != nil || book.gathered.count < Self.maximumDevices else { return }
      book.gathered[id, default: Presence(lastSeen: time)].move(to: act.presence(at: time))
    }
  }

  /// Takes the presence to write now. Call `written` or `putBack` afterwards.
  func take() -> [DeviceID: Presence] {
    book.withLock { book in
      let taken = book.gathered
      book.gathered = Dictionary(minimumCapacity: taken.count)
      book.oldestTakenMilliseconds = book.oldestMilliseconds
      book.oldestMilliseconds = nil
      return taken
    }
  }

  /// The presence from `take` has been written.
  func written() { book.withLock { $0.oldestTakenMilliseconds = nil } }

  /// Keeps presence that could not be written, except where newer presence was noted meanwhile.
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
    case .polled(let instance): Presence(lastSeen: time, lastPoll: time, instance: instance)
    case .acknowledged: Presence(lastSeen: time, lastAck: time)
    }
  }
}

extension Presence {
  /// Keeps the newer of each pair of times.
  fileprivate mutating func move(to other: Presence) {
    lastSeen = max(lastSeen, other.lastSeen)
    lastPoll = Self.later(lastPoll, other.lastPoll)
    lastAck = Self.later(lastAck, other.lastAck)
    instance = other.instance ?? instance
  }

  private static func later(_ time: Timestamp?, _ other: Timestamp?) -> Timestamp? {
    guard let time, let other else { return time ?? other }
    return max(time, other)
  }
}
