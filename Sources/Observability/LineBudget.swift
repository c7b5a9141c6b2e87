internal import Synchronization

/// The maximum of log lines of one kind in a second, so that no stranger and no outage can fill a disk.
public final class LineBudget: Sendable {
  private struct State {
    var second: Int64 = .min
    var lines = 0
    /// Since the last report.
    var omitted = 0
    var omittedInAll = 0
  }

  private let limit: Int
  private let state = Mutex(State())

  public init(linesPerSecond limit: Int) { self.limit = limit }

  /// Whether there is room for one more; and how many had none since the last report, which is due with the first line
  /// of a second.
  public func admit(atSecond second: Int64) -> (isAdmitted: Bool, omitted: Int) {
    state.withLock { state in
      var omitted = 0
      if second != state.second {
        (state.second, state.lines) = (second, 0)
        swap(&omitted, &state.omitted)
      }
      guard state.lines < limit else {
        state.omitted += 1
        state.omittedInAll += 1
        return (false, omitted)
      }
      state.lines += 1
      return (true, omitted)
    }
  }

  /// Lines without room, since the start.
  public var omittedLines: Int { state.withLock { $0.omittedInAll } }
}
