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
      /// Whether its poll has one of the looks that are taken in turn.
      var isLooking = false
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
      endLook()
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

    /// Lets its poll look, if it waits. False where it does not, and looks again before it does.
    fileprivate func beginLook() -> Bool {
      let waiting = state.withLock { state in
        if state.waiting == nil { state.hasChanged = true } else { state.isLooking = true }
        defer { state.waiting = nil }
        return state.waiting
      }
      waiting?.resume(returning: .changed)
      return waiting != nil
    }

    /// Its poll has looked, or is over.
    fileprivate func endLook() {
      let wasLooking = state.withLock { state in
        defer { state.isLooking = false }
        return state.isLooking
      }
      if wasLooking { polls.endLook() }
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
    /// Those whose turn to look has yet to come, from `nextLook` on.
    var looks: [Seat] = []
    var nextLook = 0
    var isToLook: Set<ObjectIdentifier> = []
    var runningLooks = 0
    var isClosed = false

    mutating func addLook(of seat: Seat) {
      if isToLook.insert(ObjectIdentifier(seat)).inserted { looks.append(seat) }
    }

    /// Nil where none is left, or as many look as may.
    mutating func takeLook() -> Seat? {
      guard runningLooks < ParkedPolls.maximumLooks, nextLook < looks.count else { return nil }
      let seat = looks[nextLook]
      nextLook += 1
      isToLook.remove(ObjectIdentifier(seat))
      if nextLook == looks.count { (looks, nextLook) = ([], 0) }
      runningLooks += 1
      return seat
    }
  }
  private let seats = Mutex(Seats())

  /// Polls that look at the same time, where many are woken. Thousands at once would hold up every other request.
  static let maximumLooks = 64

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
    seat.endLook()
    seats.withLock { seats in
      if seats.byDevice[seat.deviceID] === seat { seats.byDevice[seat.deviceID] = nil }
    }
  }

  /// Ends the device's poll, because there is a newer one that will not wait.
  func end(_ id: DeviceID) { seats.withLock { $0.byDevice.removeValue(forKey: id) }?.wake(.ended) }

  /// Lets the device's poll look again, at once.
  func wake(_ id: DeviceID) { seats.withLock { $0.byDevice[id] }?.wake(.changed) }

  /// Lets the devices' polls look again, some at a time.
  func look(_ ids: some Collection<DeviceID>) {
    seats.withLock { seats in
      for id in ids { if let seat = seats.byDevice[id] { seats.addLook(of: seat) } }
    }
    beginLooks()
  }

  /// Lets all polls look again, some at a time.
  func wakeAll() {
    seats.withLock { seats in
      for seat in seats.byDevice.values { seats.addLook(of: seat) }
    }
    beginLooks()
  }

  /// As many as may look at the same time.
  private func beginLooks() {
    while let seat = seats.withLock({ $0.takeLook() }) {
      if !seat.beginLook() { seats.withLock { $0.runningLooks -= 1 } }
    }
  }

  private func endLook() {
    seats.withLock { $0.runningLooks -= 1 }
    beginLooks()
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
