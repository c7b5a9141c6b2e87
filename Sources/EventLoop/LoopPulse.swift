private import Synchronization

/// Measures how late a loop is: by how much a periodic timer fires after it is due. Used on the loop only.
public final class LoopPulse: Service {
  public static let intervalMilliseconds = 100

  private let loop: EventLoop
  private let observe: @Sendable (_ lateNanoseconds: UInt64) -> Void
  private let lastBeatNanoseconds = Atomic(MonotonicClock.nanoseconds)

  /// - Parameter observe: called on the loop at each beat with the delay.
  public init(of loop: EventLoop, observe: @escaping @Sendable (_ lateNanoseconds: UInt64) -> Void) {
    self.loop = loop
    self.observe = observe
  }

  /// Time since the last beat, which grows while the loop is blocked. Any thread may call without waiting.
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
