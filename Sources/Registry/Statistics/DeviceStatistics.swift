/// What a device did in some time.
public struct DeviceStatistics: Hashable, Sendable {
  public var polls: Int64 = 0
  /// Time between requests that followed each other before the device was offline.
  public var onlineMilliseconds: Int64 = 0
  /// Signals that polls returned for the first time.
  public var signals: Int64 = 0
  /// Signals that it acknowledged, by what it did with them.
  public var placed: Int64 = 0
  public var failed: Int64 = 0
  public var skipped: Int64 = 0
  /// Signals that expired, and that were cancelled, before it acknowledged them.
  public var expired: Int64 = 0
  public var cancelled: Int64 = 0
  /// From the creation of a signal until a poll first returned it, and until it was acknowledged.
  public var handedOut = LatencyHistogram()
  public var acknowledged = LatencyHistogram()

  public init() {}

  public mutating func add(_ other: DeviceStatistics) {
    polls += other.polls
    onlineMilliseconds += other.onlineMilliseconds
    signals += other.signals
    placed += other.placed
    failed += other.failed
    skipped += other.skipped
    expired += other.expired
    cancelled += other.cancelled
    handedOut.add(other.handedOut)
    acknowledged.add(other.acknowledged)
  }

  mutating func count(_ status: Acknowledgement.Status, milliseconds: Int64) {
    switch status {
    case .placed: placed += 1
    case .failed: failed += 1
    case .skipped: skipped += 1
    }
    acknowledged.add(milliseconds: milliseconds)
  }

  mutating func countHandOut(milliseconds: Int64) {
    signals += 1
    handedOut.add(milliseconds: milliseconds)
  }
}

/// The length of time that each element of statistics is about, which begins at a multiple of it (UTC).
public enum StatisticsStep: String, CaseIterable, Sendable {
  case hour, day

  public var seconds: Int64 { self == .hour ? 3600 : 86_400 }
  var milliseconds: Int64 { seconds * 1000 }

  /// The start of the step that a time is in.
  public func start(of time: Timestamp) -> Timestamp {
    let remainder = time.millisecondsSince1970 % milliseconds
    return time + -(remainder < 0 ? remainder + milliseconds : remainder)
  }

  /// The start of the first step that does not begin before a time.
  func end(of time: Timestamp) -> Timestamp {
    let start = start(of: time)
    return start < time ? start + milliseconds : start
  }
}

/// The time that a device was online, split at hours.
public enum OnlineTime {
  /// The milliseconds between two requests of a device by hour; none if it was offline between them.
  public static func byHour(
    from last: Timestamp, to next: Timestamp, offlineAfterMilliseconds: Int64
  ) -> [(hour: Timestamp, milliseconds: Int64)] {
    guard last < next, next - last < offlineAfterMilliseconds else { return [] }
    var parts: [(hour: Timestamp, milliseconds: Int64)] = []
    var start = last
    // At most a day is split, so at most 25 times.
    while start < next {
      let hour = StatisticsStep.hour.start(of: start)
      let end = min(next, hour + StatisticsStep.hour.milliseconds)
      parts.append((hour, end - start))
      start = end
    }
    return parts
  }
}
