/// The states of a connection that reconnects when it is lost: when to start an attempt, and when to give up a
/// connection. It has no socket and no clock: its owner reports events and their times.
///
/// A connection that was ready and is lost reconnects at once. After a failed attempt the next one waits; each
/// further failure doubles the wait, up to a maximum.
public struct Reconnection: Sendable {
  public enum State: Hashable, Sendable {
    case disconnected(retryAtMilliseconds: Int64)
    /// An attempt is in progress, and there is no connection yet.
    case connecting
    /// Connected; the session is being set up.
    case preparing
    case ready
    case closed
  }

  public enum Duty: Hashable, Sendable {
    case connect
    /// The awaited response is overdue: close the connection.
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
  /// - Parameter deadlineMilliseconds: when the oldest awaited response is due; nil if none is awaited.
  public mutating func duty(at now: Int64, deadlineMilliseconds: Int64?) -> Duty? {
    switch state {
    case .disconnected(let retryAt) where retryAt <= now:
      state = .connecting
      return .connect
    case .preparing, .ready: return deadlineMilliseconds.map { $0 <= now } == true ? .giveUp : nil
    case .disconnected, .connecting, .closed: return nil
    }
  }

  /// The attempt has connected.
  public mutating func connected() {
    precondition(state == .connecting)
    state = .preparing
  }

  /// The attempt continues without its connection, with another address of the host.
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

  /// The attempt failed, or the connection was lost.
  public mutating func lost(at now: Int64) {
    switch state {
    case .ready: state = .disconnected(retryAtMilliseconds: now)
    case .connecting, .preparing:
      state = .disconnected(retryAtMilliseconds: now + waitMilliseconds)
      waitMilliseconds = min(waitMilliseconds * 2, backoffMilliseconds.upperBound)
    case .disconnected, .closed: break
    }
  }

  /// Ends all attempts permanently.
  public mutating func close() { state = .closed }
}
