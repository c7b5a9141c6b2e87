/// A deadline. Its owner sets, moves and removes it in a `TimerWheel`.
///
/// Not Sendable: it belongs to the loop of its wheel.
public final class Deadline {
  /// When it is due, in milliseconds of the wheel's clock; `Int.max` if it is not set.
  public fileprivate(set) var dueMilliseconds = Int.max
  /// The tick of its slot; nil if it is in none.
  fileprivate var tick: Int?
  fileprivate unowned(unsafe) var previous: Deadline?
  fileprivate unowned(unsafe) var next: Deadline?
  fileprivate let handler: () -> Void

  /// - Parameter handler: called once the deadline has passed. It may set the deadline again.
  public init(_ handler: @escaping () -> Void) { self.handler = handler }

  deinit { precondition(tick == nil, "remove a deadline from its wheel before it goes") }
}

/// The deadlines of many owners, in slots by the tick in which they are due (a hashed timer wheel).
///
/// Setting, moving and removing a deadline take constant time. Moving it to a later time is a single store,
/// because the deadline stays in its slot until the wheel visits it: a connection that answers thousands of
/// requests costs the wheel almost nothing. A deadline fires at most one tick late. Not Sendable.
public final class TimerWheel {
  /// The maximum delay of a deadline.
  public let tickMilliseconds: Int
  /// The number of deadlines that are set.
  public private(set) var count = 0
  /// The head of each slot's ring.
  private let slots: [Deadline]
  /// The last visited tick.
  private var currentTick: Int

  /// The number of slots. A deadline beyond the last slot is set again when that slot is visited.
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

  /// Removes the deadline, so that it can be freed.
  public func remove(_ deadline: Deadline) {
    deadline.dueMilliseconds = .max
    if deadline.tick != nil { unlink(deadline) }
  }

  /// Calls the handlers of all deadlines that have passed.
  public func advance(to now: Int) {
    let target = now / tickMilliseconds
    // After a pause longer than one round, one visit to each slot finds everything that is due.
    currentTick = max(currentTick, target - Self.slotCount)
    while currentTick < target {
      currentTick += 1
      visit(slots[currentTick % Self.slotCount], now)
    }
  }

  private func visit(_ slot: Deadline, _ now: Int) {
    // A handler may add to the same slot, so the slot is emptied first.
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

  /// The first tick that is not before that time and that can still be visited.
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
