/// The life of a connection that is made again each time it is lost: when an attempt is due, and when a connection is
/// given up. It holds no socket and reads no clock: its owner reports what happened and at which time.
///
/// A lost connection that had been ready is made again at once. After an attempt that failed the next one waits, twice as
/// long after each further failure, up to a maximum.
public struct Reconnection: Sendable {
  public enum State: Hashable, Sendable {
    case disconnected(retryAtMilliseconds: Int64)
    /// An attempt is in progress, and there is no connection yet.
    case connecting
    /// There is a connection, whose session is being set up.
    case preparing
    case ready
    case closed
  }

  public enum Duty: Hashable, Sendable {
    case connect
    /// The answer that was awaited is overdue: lose the connection.
    case giveUp
  }

  public private(set) var state = State.disconnected(retryAtMilliseconds: 0)
  private let backoffMilliseconds: ClosedRange<Int64>
  private var waitMilliseconds: Int64

  /// - Parameter backoffMilliseconds: the wait after the first failed attempt, and the longest one.
  public init(backoffMilliseconds: ClosedRange<Int64>) {
    self.backoffMilliseconds = backoffMilliseconds
    waitMilliseconds = backoffMilliseconds.lowerBound
  }

  @inlinable public var isReady: Bool { if case .ready = state { true } else { false } }

  /// What the owner must do by that time. With `connect` the state becomes `connecting`.
  /// - Parameter deadlineMilliseconds: when the oldest answer that is awaited must have arrived; nil: none is awaited.
  public mutating func duty(at now: Int64, deadlineMilliseconds: Int64?) -> Duty? {
    switch state {
    case .disconnected(let retryAt) where retryAt <= now:
      state = .connecting
      return .connect
    case .preparing, .ready: return deadlineMilliseconds.map { $0 <= now } == true ? .giveUp : nil
    case .disconnected, .connecting, .closed: return nil
    }
  }

  /// The attempt led to a connection.
  public mutating func connected() {
    precondition(state == .connecting)
    state = .preparing
  }

  /// The same attempt goes on without the connection that it made: to another address of the host.
  public mutating func reconnecting() {
    precondition(state == .preparing)
    state = .connecting
  }

  /// The session is set up.
  public mutating func prepared() {
    precondition(state == .preparing)
    state = .ready
    waitMilliseconds = backoffMilliseconds.lowerBound
  }

  /// The attempt failed, or the connection is lost.
  public mutating func lost(at now: Int64) {
    switch state {
    case .ready: state = .disconnected(retryAtMilliseconds: now)
    case .connecting, .preparing:
      state = .disconnected(retryAtMilliseconds: now + waitMilliseconds)
      waitMilliseconds = min(waitMilliseconds * 2, backoffMilliseconds.upperBound)
    case .disconnected, .closed: break
    }
  }

  /// Ends it for good.
  public mutating func close() { state = .closed }
}
