/// A time by which something must have happened. Its owner sets, moves and removes it in a `TimerWheel`.
///
/// Not Sendable: it belongs to the loop of its wheel.
public final class Deadline {
  /// When it falls due, in milliseconds of the wheel's clock; `Int.max` where it is not set.
  public fileprivate(set) var dueMilliseconds = Int.max
  /// The tick whose slot it is in; nil where it is in none.
  fileprivate var tick: Int?
  fileprivate unowned(unsafe) var previous: Deadline?
  fileprivate unowned(unsafe) var next: Deadline?
  fileprivate let handler: () -> Void

  /// - Parameter handler: called by `TimerWheel.advance` when the deadline has passed. It may set the deadline anew.
  public init(_ handler: @escaping () -> Void) { self.handler = handler }

  deinit { precondition(tick == nil, "remove a deadline from its wheel before it goes") }
}

/// The deadlines of many owners, in slots by the tick in which they fall due (a hashed timer wheel).
///
/// To set, move or remove a deadline takes a constant time. To move it to a later time is a single store, because it stays
/// in its slot until that is visited: a connection that answers thousands of requests costs the wheel next to nothing.
/// A deadline is met one tick late at most. Not Sendable: it belongs to one loop, which calls `advance`.
public final class TimerWheel {
  /// How late a deadline may be met.
  public let tickMilliseconds: Int
  /// Deadlines that are set.
  public private(set) var count = 0
  /// The head of each slot's ring.
  private let slots: [Deadline]
  /// The tick that was visited last.
  private var currentTick: Int

  /// Slots of a wheel. A deadline beyond the last one is set anew when that is visited.
  static let slotCount = 512

  /// - Parameter now: the present, in milliseconds of any monotonic clock.
  public init(tickMilliseconds: Int, now: Int) {
    precondition(tickMilliseconds > 0)
    self.tickMilliseconds = tickMilliseconds
    currentTick = now / tickMilliseconds
    slots = (0..<Self.slotCount).map { _ in Self.emptyRing() }
  }

  deinit {
    for slot in slots {
      slot.previous = nil
      slot.next = nil
    }
  }

  /// Sets the deadline, or moves it.
  public func set(_ deadline: Deadline, at milliseconds: Int) {
    deadline.dueMilliseconds = milliseconds
    let due = tick(of: milliseconds)
    if let tick = deadline.tick {
      guard due < tick else { return }
      unlink(deadline)
    }
    link(deadline, at: due)
  }

  /// Takes the deadline out, so that it can go.
  public func remove(_ deadline: Deadline) {
    deadline.dueMilliseconds = .max
    if deadline.tick != nil { unlink(deadline) }
  }

  /// Calls the handlers of the deadlines that have passed.
  public func advance(to now: Int) {
    let target = now / tickMilliseconds
    // After a pause that is longer than a round, one visit to each slot finds all that is due.
    currentTick = max(currentTick, target - Self.slotCount)
    while currentTick < target {
      currentTick += 1
      visit(slots[currentTick % Self.slotCount], now)
    }
  }

  private func visit(_ slot: Deadline, _ now: Int) {
    // What a handler sets may land in the same slot, so the slot is emptied first.
    let due = Self.emptyRing()
    defer {
      due.previous = nil
      due.next = nil
    }
    guard let first = slot.next, let last = slot.previous, first !== slot else { return }
    (due.next, first.previous) = (first, due)
    (due.previous, last.next) = (last, due)
    (slot.next, slot.previous) = (slot, slot)
    while let deadline = due.next, deadline !== due {
      unlink(deadline)
      if deadline.dueMilliseconds <= now {
        deadline.dueMilliseconds = .max
        deadline.handler()
      } else {
        link(deadline, at: tick(of: deadline.dueMilliseconds))
      }
    }
  }

  /// The first tick at which that time has passed; one that can be visited still.
  private func tick(of milliseconds: Int) -> Int {
    let due = milliseconds / tickMilliseconds + 1
    return min(max(due, currentTick + 1), currentTick + Self.slotCount)
  }

  private func link(_ deadline: Deadline, at tick: Int) {
    let slot = slots[tick % Self.slotCount]
    deadline.tick = tick
    deadline.previous = slot.previous
    deadline.next = slot
    slot.previous?.next = deadline
    slot.previous = deadline
    count += 1
  }

  private func unlink(_ deadline: Deadline) {
    deadline.previous?.next = deadline.next
    deadline.next?.previous = deadline.previous
    deadline.previous = nil
    deadline.next = nil
    deadline.tick = nil
    count -= 1
  }

  private static func emptyRing() -> Deadline {
    let head = Deadline {}
    head.previous = head
    head.next = head
    return head
  }
}
