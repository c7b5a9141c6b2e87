private import Synchronization

/// How late a loop is: a timer that is due every so often, and by how much it came later than that.
///
/// `@unchecked Sendable`: `timer` is used on the loop alone; the last beat is an atomic.
public final class LoopPulse: @unchecked Sendable {
  public static let intervalMilliseconds = 100

  private let loop: EventLoop
  private let observe: @Sendable (_ lateNanoseconds: UInt64) -> Void
  private let lastBeatNanoseconds: Atomic<Int64>
  private var timer: Timer?

  /// Begins. Call it on the loop.
  /// - Parameter observe: told on the loop, at each beat, how late it came.
  public init(of loop: EventLoop, observe: @escaping @Sendable (_ lateNanoseconds: UInt64) -> Void) {
    loop.assertCurrent()
    self.loop = loop
    self.observe = observe
    lastBeatNanoseconds = Atomic(MonotonicClock.nanoseconds)
    timer = Timer(on: loop)
    wait()
  }

  /// Time since the last beat, which grows while the loop is stuck. From any thread, without waiting for the loop.
  public var nanosecondsSinceBeat: Int64 {
    max(0, MonotonicClock.nanoseconds - lastBeatNanoseconds.load(ordering: .relaxed))
  }

  /// Ends it. Call it on the loop.
  public func stop() {
    loop.assertCurrent()
    timer?.close()
    timer = nil
  }

  private func wait() {
    timer?.start(afterMilliseconds: Self.intervalMilliseconds) { [unowned self] in beat() }
  }

  private func beat() {
    let now = MonotonicClock.nanoseconds
    let due = lastBeatNanoseconds.load(ordering: .relaxed) + Int64(Self.intervalMilliseconds) * 1_000_000
    observe(UInt64(max(0, now - due)))
    lastBeatNanoseconds.store(now, ordering: .relaxed)
    wait()
  }
}
