private import Synchronization

/// The polls that wait for a signal: at most one for each device, and a bounded number. When all seats are taken, a
/// new poll ends the oldest poll of the client that has most, so no client keeps another from waiting. All loops
/// share it.
public final class ParkedPolls: Sendable {
  public let maximumParked: Int

  /// Why a parked poll resumes.
  enum Wake: Sendable {
    /// The device may have changed or have new signals: query again.
    case changed
    /// The maximum wait has passed.
    case timedOut
    /// Respond now: a newer poll of the device replaces this one, or the service stops.
    case ended
    /// Respond now: all seats were taken, and the device's client had most.
    case displaced
  }

  /// The registration of one poll.
  ///
  /// A wake-up that arrives before the poll waits is kept, so none is lost between its query and its wait. A
  /// change takes precedence over an end: the poll of a revoked device fails even if it was about to end.
  final class Seat: Sendable {
    let deviceID: DeviceID
    let clientID: ClientID
    /// The instance that polls, if it named itself.
    let instance: InstanceID?
    private unowned let polls: ParkedPolls
    private let state = Mutex(State())

    private struct State {
      var hasChanged = false
      /// Whether the poll holds one of the `maximumLooks` slots for queries.
      var isLooking = false
      /// Whether the deadline passed before the wait began.
      var isOverdue = false
      /// `ended` or `displaced`, which are permanent: the seat never waits again.
      var end: Wake?
      var waiting: UnsafeContinuation<Wake, Never>?
    }

    fileprivate init(
      _ deviceID: DeviceID, _ clientID: ClientID, _ instance: InstanceID?, _ polls: ParkedPolls
    ) {
      self.deviceID = deviceID
      self.clientID = clientID
      self.instance = instance
      self.polls = polls
    }

    /// Waits for a wake-up, until `deadlineMilliseconds` (monotonic), or until the client disconnects.
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
            if let end = state.end { return end }
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

    /// Wakes the poll to query, if it waits. False if it does not wait; it then queries before it waits.
    fileprivate func beginLook() -> Bool {
      let waiting = state.withLock { state in
        if state.waiting == nil { state.hasChanged = true } else { state.isLooking = true }
        defer { state.waiting = nil }
        return state.waiting
      }
      waiting?.resume(returning: .changed)
      return waiting != nil
    }

    /// The poll has queried, or is over.
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
        case .ended, .displaced: state.end = state.end ?? wake
        case .changed: if state.waiting == nil { state.hasChanged = true }
        case .timedOut: state.isOverdue = true
        }
        return state.waiting
      }
      waiting?.resume(returning: wake)
    }
  }

  private struct Seats {
    var taken = SeatTable<Seat>()
    /// The waiting polls, by the tick of their deadline. A device may have two: the older one is about to end.
    var byTick: [Int64: [ObjectIdentifier: Seat]] = [:]
    /// The polls still to be woken for a query.
    var looks = Looks()
    var runningLooks = 0
    var isClosed = false

    /// Nil if there are none, or if the maximum number of queries is running.
    mutating func takeLook() -> Seat? {
      guard runningLooks < ParkedPolls.maximumLooks, let seat = looks.next() else { return nil }
      runningLooks += 1
      return seat
    }
  }

  /// Polls to be woken for a query, each once, taken in turn over clients: a signal to all devices of one client must
  /// not delay the signals of others.
  private struct Looks {
    private typealias Turns = LinkedLists<Turn>

    private struct Turn {
      let client: ClientID
      var seats = LinkedLists<Seat>.List()
    }

    private var isWaiting: Set<ObjectIdentifier> = []
    private var seats = LinkedLists<Seat>()
    private var turns = Turns()
    private var order = Turns.List()
    private var turnsByClient: [ClientID: Turns.Node] = [:]

    mutating func add(_ seat: Seat) {
      guard isWaiting.insert(ObjectIdentifier(seat)).inserted else { return }
      let turn = turnsByClient[seat.clientID] ?? turns.append(Turn(client: seat.clientID), to: &order)
      turnsByClient[seat.clientID] = turn
      _ = seats.append(seat, to: &turns[turn].seats)
    }

    mutating func next() -> Seat? {
      guard let turn = order.first, let first = turns[turn].seats.first else { return nil }
      let seat = seats.remove(first, from: &turns[turn].seats)
      isWaiting.remove(ObjectIdentifier(seat))
      turns.unlink(turn, from: &order)
      turns.link(turn, to: &order)
      if turns[turn].seats.isEmpty { turnsByClient[turns.remove(turn, from: &order).client] = nil }
      return seat
    }
  }
  private let seats = Mutex(Seats())

  /// Concurrent queries after many polls were woken: thousands would delay all other requests.
  static let maximumLooks = 64

  /// A poll ends at most this long after its deadline, plus the time between two calls of `endOverdue`.
  static let tickMilliseconds: Int64 = 10

  init(maximumParked: Int) { self.maximumParked = maximumParked }

  /// Polls that are parked now.
  public var count: Int { seats.withLock { $0.taken.count } }

  /// Takes a seat and ends the device's previous poll. Nil if the service stops.
  func takeSeat(for id: DeviceID, of client: ClientID, as instance: InstanceID? = nil) -> Seat? {
    let seat = Seat(id, client, instance, self)
    let (older, displaced, isSeated) = seats.withLock { seats -> (Seat?, Seat?, Bool) in
      let older = seats.taken.remove(id)
      guard !seats.isClosed else { return (older, nil, false) }
      let isFull = seats.taken.count >= maximumParked
      let displaced = isFull ? seats.taken.removeOldestOfMost(ratherOf: client) : nil
      seats.taken.insert(seat, for: id, of: client)
      return (older, displaced, true)
    }
    older?.wake(.ended)
    displaced?.wake(.displaced)
    return isSeated ? seat : nil
  }

  /// Releases the seat, unless a newer poll has taken it over.
  func leave(_ seat: Seat) {
    seat.endLook()
    seats.withLock { seats in
      if seats.taken[seat.deviceID] === seat { _ = seats.taken.remove(seat.deviceID) }
    }
  }

  /// Ends the device's poll, because a newer one of the same instance replaces it without waiting.
  func end(_ id: DeviceID, of instance: InstanceID? = nil) {
    let ended = seats.withLock { seats -> Seat? in
      guard let seat = seats.taken[id], seat.instance == instance else { return nil }
      return seats.taken.remove(id)
    }
    ended?.wake(.ended)
  }

  /// Wakes the devices' polls to query, a bounded number at a time.
  func look(_ ids: some Collection<DeviceID>) {
    seats.withLock { seats in
      for id in ids { if let seat = seats.taken[id] { seats.looks.add(seat) } }
    }
    beginLooks()
  }

  /// Wakes all polls of a client's devices to query, a bounded number at a time.
  func look(devicesOf client: ClientID) {
    seats.withLock { seats in
      for seat in seats.taken.seats(of: client) { seats.looks.add(seat) }
    }
    beginLooks()
  }

  /// Wakes all polls to query, a bounded number at a time.
  func wakeAll() {
    seats.withLock { seats in
      for seat in seats.taken.all { seats.looks.add(seat) }
    }
    beginLooks()
  }

  /// Wakes polls until the maximum number of queries is running.
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

  /// Ends the polls whose deadline has passed. Called some 20 times a second.
  func endOverdue(nowMilliseconds: Int64) {
    let now = nowMilliseconds / Self.tickMilliseconds
    let overdue = seats.withLock { seats in
      // At most as many ticks as fit into the longest wait.
      let ticks = seats.byTick.keys.filter { $0 <= now }
      return ticks.flatMap { seats.byTick.removeValue(forKey: $0)?.values.map(\.self) ?? [] }
    }
    for seat in overdue { seat.wake(.timedOut) }
  }

  /// Ends all polls because the service stops, and parks no more.
  public func close() {
    let all = seats.withLock { seats in
      seats.isClosed = true
      defer { seats.taken = SeatTable() }
      return seats.taken.all
    }
    for seat in all { seat.wake(.ended) }
  }
}
