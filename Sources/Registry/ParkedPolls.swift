private import Synchronization

/// The polls that wait for a signal, at most one for each device, and a bounded number in the process. Shared by
/// all loops.
public final class ParkedPolls: Sendable {
  /// Each resumption makes libmicrohttpd walk all suspended connections, so there are not many.
  public static let maximumParked = 1000
  private let maximumParked: Int

  /// Why a parked poll goes on.
  enum Wake: Sendable {
    /// Something about its device may have changed: look again.
    case changed
    /// It has waited long enough.
    case timedOut
    /// It is to be answered as it is: a newer poll of its device is there, or the service stops.
    case ended
  }

  /// The place of one poll.
  ///
  /// A wake-up that comes before it waits is kept, so that none is lost between its look and its wait. Of two, the change
  /// is told first: a poll whose device is gone is refused, also where it was about to be ended.
  final class Seat: Sendable {
    let deviceID: DeviceID
    private let state = Mutex(State())

    private struct State {
      var hasChanged = false
      /// For good.
      var isEnded = false
      var deadlineMilliseconds = Int64.max
      var waiting: UnsafeContinuation<Wake, Never>?
    }

    fileprivate init(_ deviceID: DeviceID) { self.deviceID = deviceID }

    /// Waits until it is woken, or `deadlineMilliseconds` of the monotonic clock has passed.
    func wait(untilMilliseconds deadlineMilliseconds: Int64) async -> Wake {
      await withUnsafeContinuation { continuation in
        let wake = state.withLock { state -> Wake? in
          state.deadlineMilliseconds = deadlineMilliseconds
          if state.hasChanged {
            state.hasChanged = false
            return .changed
          }
          if state.isEnded { return .ended }
          state.waiting = continuation
          return nil
        }
        if let wake { continuation.resume(returning: wake) }
      }
    }

    fileprivate func wake(_ wake: Wake) {
      let waiting = state.withLock { state in
        defer { state.waiting = nil }
        if wake == .ended {
          state.isEnded = true
        } else if state.waiting == nil {
          state.hasChanged = true
        }
        return state.waiting
      }
      waiting?.resume(returning: wake)
    }

    fileprivate func endIfOverdue(_ now: Int64) {
      let waiting = state.withLock { state in
        guard state.deadlineMilliseconds <= now else { return nil as UnsafeContinuation<Wake, Never>? }
        defer { state.waiting = nil }
        return state.waiting
      }
      waiting?.resume(returning: .timedOut)
    }
  }

  private struct Seats {
    var byDevice: [DeviceID: Seat] = [:]
    var isClosed = false
  }
  private let seats = Mutex(Seats())

  init(maximumParked: Int) { self.maximumParked = maximumParked }

  /// Polls that are parked now.
  public var count: Int { seats.withLock { $0.byDevice.count } }

  /// Takes a seat, and ends the poll of the same device that had one. Nil where all are taken, or the service stops.
  func takeSeat(for id: DeviceID) -> Seat? {
    let seat = Seat(id)
    let (older, isSeated) = seats.withLock { seats in
      let older = seats.byDevice[id]
      let isSeated = !seats.isClosed && (older != nil || seats.byDevice.count < maximumParked)
      seats.byDevice[id] = isSeated ? seat : nil
      return (older, isSeated)
    }
    older?.wake(.ended)
    return isSeated ? seat : nil
  }

  /// Gives the seat back, unless a newer poll has it.
  func leave(_ seat: Seat) {
    seats.withLock { seats in
      if seats.byDevice[seat.deviceID] === seat { seats.byDevice[seat.deviceID] = nil }
    }
  }

  /// Ends the device's poll, because there is a newer one that will not wait.
  func end(_ id: DeviceID) { seats.withLock { $0.byDevice.removeValue(forKey: id) }?.wake(.ended) }

  /// Lets the device's poll look again.
  func wake(_ id: DeviceID) { seats.withLock { $0.byDevice[id] }?.wake(.changed) }

  /// Lets all polls look again.
  func wakeAll() {
    for seat in seats.withLock({ Array($0.byDevice.values) }) { seat.wake(.changed) }
  }

  /// Ends those that have waited long enough. Called some 20 times a second.
  func endOverdue(nowMilliseconds: Int64) {
    for seat in seats.withLock({ Array($0.byDevice.values) }) { seat.endIfOverdue(nowMilliseconds) }
  }

  /// Answers all polls as they are, because the service stops; none is parked from then on.
  public func close() {
    let all = seats.withLock { seats in
      seats.isClosed = true
      defer { seats.byDevice = [:] }
      return Array(seats.byDevice.values)
    }
    for seat in all { seat.wake(.ended) }
  }
}
