import TestSupport
import Testing

@testable import EventLoop

@Suite("A timer wheel") struct TimerWheelTests {
  private let wheel = TimerWheel(tickMilliseconds: 10, now: 1005)
  private let met = Met()

  /// Milliseconds of one round of the slots.
  private static let round = 10 * TimerWheel.slotCount

  @Test
  func `meets a deadline once it has passed, within a tick, and once`() {
    for due in [1005, 1009, 1010, 1011, 1500] {
      let wheel = TimerWheel(tickMilliseconds: 10, now: 1005)
      let deadline = met.deadline("\(due)")
      wheel.set(deadline, at: due)
      #expect(deadline.dueMilliseconds == due)
      for now in 1005...due { wheel.advance(to: now) }
      // Where `due` begins a tick, and has passed at that moment, it may be met then.
      let early = met.take()
      for now in due + 1..<due + 10 { wheel.advance(to: now) }
      wheel.advance(to: due + 10)
      #expect(early + met.take() == ["\(due)"])
      #expect(deadline.dueMilliseconds == .max)
      for now in due + 11..<due + Self.round { wheel.advance(to: now) }
      #expect(met.take().isEmpty)
      #expect(wheel.count == 0)
    }
  }

  @Test
  func `never meets a deadline before its time`() {
    for due in 1006...1040 {
      let wheel = TimerWheel(tickMilliseconds: 10, now: 1005)
      let deadline = met.deadline("early")
      wheel.set(deadline, at: due)
      for now in 1005..<due { wheel.advance(to: now) }
      #expect(met.take().isEmpty)
      wheel.remove(deadline)
    }
  }

  @Test
  func `meets one whose time was over before it was set, with the next tick`() {
    let deadline = met.deadline("over")
    wheel.set(deadline, at: 3)
    wheel.advance(to: 1009)
    #expect(met.take().isEmpty)
    wheel.advance(to: 1010)
    #expect(met.take() == ["over"])
  }

  @Test
  func `moves a deadline to an earlier and to a later time`() {
    let deadline = met.deadline("moved")
    wheel.set(deadline, at: 2000)
    wheel.set(deadline, at: 1100)
    wheel.advance(to: 1110)
    #expect(met.take() == ["moved"])
    wheel.set(deadline, at: 1200)
    wheel.set(deadline, at: 1300)
    #expect(wheel.count == 1)
    wheel.advance(to: 1299)
    #expect(met.take().isEmpty)
    wheel.set(deadline, at: 1400)
    wheel.set(deadline, at: 1320)
    wheel.advance(to: 1330)
    #expect(met.take() == ["moved"])
    #expect(wheel.count == 0)
  }

  @Test
  func `lets go of what is removed, whether it is in a slot or not`() {
    var deadline: Deadline? = met.deadline("removed")
    weak let observed = deadline
    wheel.set(deadline!, at: 1100)
    wheel.remove(deadline!)
    #expect(wheel.count == 0)
    wheel.remove(deadline!)
    deadline = nil
    #expect(observed == nil)
    wheel.advance(to: 1200)
    #expect(met.take().isEmpty)
  }

  @Test(arguments: [0, 5, 10, 100, round, 3 * round])
  func `a handler may set its deadline again, for any time`(afterMilliseconds: Int) {
    let wheel = TimerWheel(tickMilliseconds: 10, now: 0)
    var times: [Int] = []
    var now = 0
    weak var me: Deadline?
    let deadline = Deadline {
      times.append(now)
      if times.count < 4, let me { wheel.set(me, at: now + afterMilliseconds) }
    }
    me = deadline
    wheel.set(deadline, at: 100)
    while now < 10 * Self.round {
      now += 1
      wheel.advance(to: now)
    }
    #expect(times.count == 4)
    for (earlier, later) in zip(times, times.dropFirst()) {
      #expect((afterMilliseconds...max(afterMilliseconds, 0) + 10).contains(later - earlier))
    }
    #expect(wheel.count == 0)
  }

  @Test
  func `a handler may remove, move or set others of its slot, met or not`() {
    for change in ["remove", "move", "bring forward"] {
      let wheel = TimerWheel(tickMilliseconds: 10, now: 0)
      var others: [Deadline] = []
      func changeOthers(_ name: String) {
        met.note(name)
        for other in others {
          switch change {
          case "remove": wheel.remove(other)
          case "move": wheel.set(other, at: 500)
          default: wheel.set(other, at: 1)
          }
        }
        others = []
      }
      let deadlines = (0..<5).map { number in Deadline { changeOthers("\(number)") } }
      for deadline in deadlines { wheel.set(deadline, at: 100) }
      others = Array(deadlines.dropFirst())
      wheel.advance(to: 110)
      let isMet = change == "bring forward"
      #expect(met.take() == (isMet ? ["0", "1", "2", "3", "4"] : ["0"]), "\(change)")
      for now in 111...600 { wheel.advance(to: now) }
      #expect(met.take() == (change == "move" ? ["1", "2", "3", "4"] : []), "\(change)")
      #expect(wheel.count == 0)
    }
  }

  @Test
  func `a handler may release its deadline, and the next one`() {
    let wheel = TimerWheel(tickMilliseconds: 10, now: 0)
    var deadlines: [Deadline] = []
    deadlines = (0..<3).map { number in
      Deadline { [met] in
        met.note("\(number)")
        for deadline in deadlines { wheel.remove(deadline) }
        deadlines = []
      }
    }
    for deadline in deadlines { wheel.set(deadline, at: 50) }
    wheel.advance(to: 60)
    #expect(met.take() == ["0"])
    #expect(wheel.count == 0)
  }

  @Test
  func `meets what lies beyond one round and many`() {
    let dues = [Self.round - 10, Self.round, Self.round + 10, 2 * Self.round, 7 * Self.round + 35].map {
      1005 + $0
    }
    let deadlines = dues.map { due in
      let deadline = met.deadline("\(due)")
      wheel.set(deadline, at: due)
      return deadline
    }
    for now in 1006...dues.last! + 10 {
      wheel.advance(to: now)
      for name in met.take() {
        let due = Int(name)!
        #expect((due...due + 10).contains(now))
      }
    }
    #expect(wheel.count == 0)
    withExtendedLifetime(deadlines) {}
  }

  @Test(arguments: [5, 5000, 50_000])
  func `after a pause, even one of several rounds, meets all that is due and nothing else`(milliseconds: Int) {
    let dues = stride(from: 1010, to: 60_000, by: 170)
    let deadlines = dues.map { due in
      let deadline = met.deadline("\(due)")
      wheel.set(deadline, at: due)
      return deadline
    }
    let now = 1005 + milliseconds
    wheel.advance(to: now)
    let early = met.take().map { Int($0)! }.sorted()
    #expect(early.allSatisfy { $0 <= now })
    #expect(dues.filter { $0 <= now - 10 }.allSatisfy(early.contains))
    for later in stride(from: now, to: 60_100, by: 10) { wheel.advance(to: later) }
    #expect((early + met.take().map { Int($0)! }).sorted() == Array(dues))
    #expect(wheel.count == 0)
    withExtendedLifetime(deadlines) {}
  }

  @Test(arguments: 1...20)
  func `does what a plain list of times does, but for a tick`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let tick = [1, 3, 10, 250].randomElement(using: &random)!
    var now = Int.random(in: 0..<10_000, using: &random)
    let wheel = TimerWheel(tickMilliseconds: tick, now: now)
    /// What must be met, by the list.
    var dues = [Int](repeating: .max, count: 30)
    let reach = 2 * tick * TimerWheel.slotCount
    let deadlines = (0..<dues.count).map { number in
      Deadline {
        #expect(dues[number] <= now, "\(number) is met early")
        dues[number] = .max
      }
    }
    for _ in 0..<5000 {
      let number = Int.random(in: 0..<dues.count, using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0, 1: wheel.remove(deadlines[number]); dues[number] = .max
      case 2...5:
        let due = now + Int.random(in: -tick...reach, using: &random)
        wheel.set(deadlines[number], at: due)
        dues[number] = max(due, now)
      default:
        // As a rule a tick, at times a pause.
        now += Int.random(in: 0...(Bool.random(using: &random) ? tick : reach), using: &random)
        wheel.advance(to: now)
        // All that was due a tick ago was met.
        #expect(dues.allSatisfy { $0 > now - tick }, "a deadline is late")
      }
      #expect(wheel.count >= dues.count { $0 != .max })
    }
    now += 2 * reach
    wheel.advance(to: now)
    #expect(dues.allSatisfy { $0 == .max })
    for deadline in deadlines { wheel.remove(deadline) }
    #expect(wheel.count == 0)
  }
}

/// Names of deadlines that were met, in their order. Confined to a test.
private final class Met {
  private var names: [String] = []

  func note(_ name: String) { names.append(name) }

  func deadline(_ name: String) -> Deadline { Deadline { [unowned self] in note(name) } }

  func take() -> [String] {
    defer { names = [] }
    return names
  }
}
