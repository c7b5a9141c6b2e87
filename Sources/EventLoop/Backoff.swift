/// When a connection that was lost, or could not be made, is tried again: at once after one that worked, later and later
/// while none does.
public struct Backoff: Sendable {
  private let minimumMilliseconds: Int64
  private let maximumMilliseconds: Int64
  private var waitMilliseconds: Int64

  /// The wait after the first failure; doubled after each further one, up to the maximum.
  public init(minimumMilliseconds: Int64, maximumMilliseconds: Int64) {
    self.minimumMilliseconds = minimumMilliseconds
    self.maximumMilliseconds = maximumMilliseconds
    waitMilliseconds = minimumMilliseconds
  }

  /// A connection works: the next failure is a first one.
  public mutating func reset() { waitMilliseconds = minimumMilliseconds }

  /// The time of the next attempt, on the monotonic clock.
  /// - Parameter hasWorked: whether the connection that was lost had worked.
  public mutating func nextAttemptMilliseconds(hasWorked: Bool) -> Int64 {
    let now = MonotonicClock.milliseconds
    guard !hasWorked else { return now }
    defer { waitMilliseconds = min(waitMilliseconds * 2, maximumMilliseconds) }
    return now + waitMilliseconds
  }
}
