public import Registry
import Glibc
import Synchronization

/// A clock that a test sets: it runs with the system's, with an offset, or it stands still.
public final class TestClock: Clock {
  private struct State {
    var aheadMilliseconds: Int64 = 0
    var stopped: Timestamp?
  }
  private let state = Mutex(State())

  public init() {}

  public func now() -> Timestamp {
    let time = Self.systemMilliseconds
    return state.withLock { $0.stopped ?? Timestamp(millisecondsSince1970: time + $0.aheadMilliseconds) }
  }

  public var millisecondsSince1970: Int64 { now().millisecondsSince1970 }

  /// In whole seconds, as signatures have it.
  public var secondsSince1970: Int64 { millisecondsSince1970 / 1000 }

  /// Stops it, at the beginning of the next second.
  public func stop() {
    let second = secondsSince1970 + 1
    state.withLock { $0.stopped = Timestamp(millisecondsSince1970: second * 1000) }
  }

  /// Puts it forward, or back; whether it goes or stands still.
  public func advance(milliseconds: Int64) {
    state.withLock { state in
      state.aheadMilliseconds += milliseconds
      state.stopped = state.stopped.map { $0 + milliseconds }
    }
  }

  public func advance(seconds: Int64) { advance(milliseconds: seconds * 1000) }

  private static var systemMilliseconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
