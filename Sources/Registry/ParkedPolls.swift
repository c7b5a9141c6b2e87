private import Synchronization

/// The polls that wait for a signal, at most one for each device, and a bounded number in the process. Shared by
/// all loops.
public final class ParkedPolls: Sendable {
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
    private unowned let polls: ParkedPolls
    private let state = Mutex(State())

    private struct State {
      var hasChanged = false
      /// Whether the time of the wait was over before it began.
      var isOverdue = false
      /// For good.
      var isEnded = false
      var waiting: UnsafeContinuation<Wake, Never>?
    }

    fileprivate init(_ deviceID: DeviceID, _ polls: ParkedPolls) {
      self.deviceID = deviceID
      self.polls = polls
    }

    /// Waits until it is woken, or `deadlineMilliseconds` of the monotonic clock has passed. Where its task is cancelled,
    /// because the client hung up, it ends.
    func wait(untilMilliseconds deadlineMilliseconds: Int64) async -> Wake {
      let tick = (deadlineMilliseconds + ParkedPolls.tickMilliseconds - 1) / ParkedPolls.tickMilliseconds
      state.withLock { $0.isOverdue = false }
      polls.set(self, toEndAt: tick)
      defer { polls.clear(self, at: tick) }
      return await withTaskCancellationHandler {
        await withUnsafeContinuation { continuation in
          let wake = state.withLock { state -> Wake? in
            if state.hasChanged {
              state.hasChanged = false
              return .changed
            }
            if state.isEnded { return .ended }
            if state.isOverdue { return .timedOut }
            state.waiting = continuation
            return nil
          }
          if let wake { continuation.resume(returning: wake) }
        }
      } onCancel: {
        wake(.ended)
      }
    }

    fileprivate func wake(_ wake: Wake) {
      let waiting = state.withLock { state in
        defer { state.waiting = nil }
        switch wake {
        case .ended: state.isEnded = true
        case .changed: if state.waiting == nil { state.hasChanged = true }
        case .timedOut: state.isOverdue = true
        }
        return state.waiting
      }
      waiting?.resume(returning: wake)
    }
  }

  private struct Seats {
    var byDevice: [DeviceID: Seat] = [:]
    /// Those that wait, by the tick in which their time is over. A device may have two: the older one is about to end.
    var byTick: [Int64: [ObjectIdentifier: Seat]] = [:]
    var isClosed = false
  }
  private let seats = Mutex(Seats())

  /// A poll is ended this much after its time at the most, beside the time between two calls of `endOverdue`.
  static let tickMilliseconds: Int64 = 10

  init(maximumParked: Int) { self.maximumParked = maximumParked }

  /// Polls that are parked now.
  public var count: Int { seats.withLock { $0.byDevice.count } }

  /// Takes a seat, and ends the poll of the same device that had one. Nil where all are taken, or the service stops.
  func takeSeat(for id: DeviceID) -> Seat? {
    let seat = Seat(id, self)
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

  private func set(_ seat: Seat, toEndAt tick: Int64) {
    seats.withLock { $0.byTick[tick, default: [:]][ObjectIdentifier(seat)] = seat }
  }

  private func clear(_ seat: Seat, at tick: Int64) {
    seats.withLock { seats in
      seats.byTick[tick]?[ObjectIdentifier(seat)] = nil
      if seats.byTick[tick]?.isEmpty == true { seats.byTick[tick] = nil }
    }
  }

  /// Ends those that have waited long enough. Called some 20 times a second.
  func endOverdue(nowMilliseconds: Int64) {
    let now = nowMilliseconds / Self.tickMilliseconds
    let overdue = seats.withLock { seats in
      // There are as many ticks as fit into the longest wait.
      let ticks = seats.byTick.keys.filter { $0 <= now }
      return ticks.flatMap { seats.byTick.removeValue(forKey: $0)?.values.map(\.self) ?? [] }
    }
    for seat in overdue { seat.wake(.timedOut) }
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
