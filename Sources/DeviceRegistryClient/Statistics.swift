public import Foundation

// What an owner's devices did, by hour or day.

/// What devices did in an hour or a day of UTC.
public struct DeviceStatistics: Decodable, Hashable, Sendable {
  /// The device; nil for several together.
  public let deviceID: String?
  /// The group; nil for devices in no group, and if they were not asked for by group.
  public let group: String?
  /// The start of the hour or day.
  public let from: Date
  public let polls: Int
  public let onlineSeconds: Int
  /// Signals that polls returned for the first time.
  public let signals: Int
  /// Signals by acknowledgement.
  public let placed: Int
  public let failed: Int
  public let skipped: Int
  /// Signals that ended before they were acknowledged.
  public let expired: Int
  public let cancelled: Int
  /// From a signal's creation until a poll first returned it, and until it was acknowledged.
  public let handedOutMilliseconds: Percentiles
  public let acknowledgedMilliseconds: Percentiles

  /// Durations, at most an eighth longer than they were; nil without any.
  public struct Percentiles: Decodable, Hashable, Sendable {
    public let p50: Int?
    public let p95: Int?
    public let max: Int?
  }

  enum CodingKeys: String, CodingKey {
    case group, from, polls, signals, placed, failed, skipped, expired, cancelled
    case deviceID = "device_id"
    case onlineSeconds = "online_seconds"
    case handedOutMilliseconds = "handed_out_ms"
    case acknowledgedMilliseconds = "acked_ms"
  }
}

/// Which time statistics are about.
public struct StatisticsPeriod: Hashable, Sendable {
  public enum Step: String, CaseIterable, Hashable, Sendable { case hour, day }

  /// Rounded down to a step; nil for a day before `to`, or 30 days by day.
  public var from: Date?
  /// Rounded up to a step; nil for now.
  public var to: Date?
  public var step: Step

  public init(from: Date? = nil, to: Date? = nil, step: Step = .hour) {
    self.from = from
    self.to = to
    self.step = step
  }

  fileprivate var query: String {
    let times = [("from", from), ("to", to)].compactMap { name, time in time.map { "&\(name)=\($0.rfc3339)" } }
    return "step=\(step.rawValue)\(times.joined())"
  }
}

/// Which devices are counted together.
public enum StatisticsGrouping: String, CaseIterable, Hashable, Sendable { case device, group }

extension OwnerClient {
  /// What a device did, oldest first, without the hours or days in which it did nothing. Throws as `device` does, and a
  /// `problem` with 400 for more than 10,000 elements.
  public func statistics(of id: String, in period: StatisticsPeriod = StatisticsPeriod())
    throws(RegistryClientError) -> Pages<DeviceStatistics>
  {
    Pages(
      exchange: exchange, target: "\(devicesPath)/\(try String.pathID(id))/stats?\(period.query)")
  }

  /// What all devices of the owner did together, or each device or group: oldest devices first, and groups by name. Throws
  /// a `problem` with 400 for too many elements, or for more than 250,000 hours of devices.
  public func statistics(
    in period: StatisticsPeriod = StatisticsPeriod(), by grouping: StatisticsGrouping? = nil
  ) -> Pages<DeviceStatistics> {
    Pages(
      exchange: exchange,
      target: "/api/v1/stats?\(period.query)\(grouping.map { "&by=\($0.rawValue)" } ?? "")")
  }
}
