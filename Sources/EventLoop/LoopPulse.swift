private import Synchronization

/// How late a loop is: a timer that is due every so often, and by how much it fired later than that. Runs on the loop.
public final class LoopPulse: Service {
  public static let intervalMilliseconds = 100

  private let loop: EventLoop
  private let observe: @Sendable (_ lateNanoseconds: UInt64) -> Void
  private let lastBeatNanoseconds = Atomic(MonotonicClock.nanoseconds)

  /// - Parameter observe: called on the loop at each beat with how late it is.
  public init(of loop: EventLoop, observe: @escaping @Sendable (_ lateNanoseconds: UInt64) -> Void) {
    self.loop = loop
    self.observe = observe
  }

  /// Time since the last beat, which grows while the loop is stuck. From any thread, without waiting for the loop.
  public var nanosecondsSinceBeat: Int64 {
    max(0, MonotonicClock.nanoseconds - lastBeatNanoseconds.load(ordering: .relaxed))
  }

  public func run() async {
    let timer = Timer(on: loop)
    timer.start(afterMilliseconds: Self.intervalMilliseconds, repeatMilliseconds: Self.intervalMilliseconds) {
      [self] in beat()
    }
    await untilCancelled()
    timer.close()
  }

  private func beat() {
    let now = MonotonicClock.nanoseconds
    let due = lastBeatNanoseconds.load(ordering: .relaxed) + Int64(Self.intervalMilliseconds) * 1_000_000
    observe(UInt64(max(0, now - due)))
    lastBeatNanoseconds.store(now, ordering: .relaxed)
  }
}
