/// How far a webhook's deliveries are: a state machine without a clock.
///
/// Events are delivered in the order of the feed, each until it succeeds, so a failure delays all later ones. After the
/// last retry the webhook is disabled, and nothing is lost: it continues after the same position when its owner enables it.
public struct DeliveryProgress: Hashable, Sendable {
  /// The feed's events up to here are delivered, or are none that the webhook gets.
  public var position: EventPosition
  /// Failed attempts at the next event in a row.
  public private(set) var failures = 0
  /// When the first of them failed; nil without failures.
  public private(set) var failingSince: Timestamp?
  /// When the next event is tried again; nil for at once.
  public private(set) var nextAttemptAt: Timestamp?
  /// Nil while it is enabled.
  public private(set) var end: End?

  /// Why and since when nothing is delivered.
  public struct End: Hashable, Sendable {
    public enum Cause: String, CaseIterable, Sendable {
      /// The last retry failed.
      case failing
      /// The receiver answered 410 Gone.
      case gone
      /// Its owner disabled it.
      case owner
    }
    public let time: Timestamp
    public let cause: Cause

    public init(time: Timestamp, cause: Cause) {
      self.time = time
      self.cause = cause
    }

    /// What a store read; nil for null. An unknown cause is a later version's.
    public init?(_ time: Timestamp?, _ cause: String?) {
      guard let time, let cause else { return nil }
      self.init(time: time, cause: Cause(rawValue: cause) ?? .failing)
    }
  }

  /// Deliveries begin with the first event after the position.
  public init(after position: EventPosition) { self.position = position }

  /// What a store read.
  public init(
    stored position: EventPosition, failures: Int, failingSince: Timestamp?, nextAttemptAt: Timestamp?,
    end: End?
  ) {
    self.position = position
    self.failures = failures
    self.failingSince = failingSince
    self.nextAttemptAt = nextAttemptAt
    self.end = end
  }

  public var isEnabled: Bool { end == nil }

  /// Whether the next event may be delivered now.
  public func isDue(at time: Timestamp) -> Bool { isEnabled && nextAttemptAt.map { $0 <= time } ?? true }

  /// The next event was delivered.
  public mutating func succeeded(through position: EventPosition) { self = DeliveryProgress(after: position) }

  /// An attempt at the next event failed.
  ///
  /// - Parameter jitter: a random number from 0 up to 1.
  public mutating func failed(at time: Timestamp, isGone: Bool = false, jitter: Double) {
    failures += 1
    failingSince = failingSince ?? time
    nextAttemptAt = nil
    if isGone {
      end = End(time: time, cause: .gone)
    } else if let delay = RetrySchedule.delayMilliseconds(afterFailure: failures, jitter: jitter) {
      nextAttemptAt = time + delay
    } else {
      end = End(time: time, cause: .failing)
    }
  }

  /// Its owner disables it.
  mutating func disable(at time: Timestamp) {
    guard end == nil else { return }
    end = End(time: time, cause: .owner)
    nextAttemptAt = nil
  }

  /// Its owner enables it, or changed it so that the next attempt may succeed: it is made at once, as if none had failed.
  mutating func restart() { self = DeliveryProgress(after: position) }

  /// Goes back to deliver again what follows the position. Later positions change nothing.
  mutating func goBack(to earlier: EventPosition) { self = DeliveryProgress(after: min(position, earlier)) }
}

/// When a failed delivery is tried again.
public enum RetrySchedule {
  /// 5 s, 30 s, 2 min, 10 min, 1 h; then hourly.
  static let delaysSeconds: [Int64] = [5, 30, 120, 600, 3600]
  /// For three days.
  static let hourlyRetries = 72
  public static let maximumRetries = delaysSeconds.count + hourlyRetries
  /// A delay is longer by up to this part of it, so that receivers that failed together are not tried together.
  static let jitterPart = 0.1

  /// The delay after that many failures in a row; nil after the last retry.
  static func delayMilliseconds(afterFailure failures: Int, jitter: Double) -> Int64? {
    guard failures <= maximumRetries else { return nil }
    let seconds = delaysSeconds[min(failures, delaysSeconds.count) - 1]
    return Int64(Double(seconds * 1000) * (1 + jitterPart * jitter))
  }
}
