/// Which devices of a client an owner wants: those that meet all conditions. Nil and empty are no condition.
public struct DeviceFilter: Hashable, Sendable {
  public var statuses: Set<DeviceState.Status>?
  /// At most `maximumLabels`.
  public var labels: [LabelCondition] = []
  public var group: GroupName?
  public var namePart: NamePart?
  public var isOnline: Bool?
  /// Devices that were last seen before this time. One that was never seen is not among them.
  public var seenBefore: Timestamp?
  /// Whether the device said that it obeys its trading mode. A revoked device is in neither list.
  public var isModeConfirmed: Bool?

  public init() {}

  public static let all = DeviceFilter()
  public static let maximumLabels = 16

  /// A condition on a label: that it has a value, or that there is one.
  public struct LabelCondition: Hashable, Sendable {
    public let key: String
    /// Nil for any value.
    public let value: String?

    public init(key: String, value: String?) {
      self.key = key
      self.value = value
    }
  }

  /// A text that names contain, without the case of ASCII letters.
  public struct NamePart: Hashable, Sendable {
    /// Normalised like names, with ASCII letters in lower case.
    public let text: String

    /// Unicode scalars.
    public static let length = 1...DeviceName.maximumLength

    /// Nil for a text that is empty or too long, or has control characters, which no name has.
    public init?(_ text: String) {
      guard text.unicodeScalars.count <= Self.length.upperBound else { return nil }
      let normalised = DeviceName.normalisedToNFC(text.unicodeScalars[...])
      let scalars = normalised.unicodeScalars
      guard !scalars.isEmpty, !scalars.contains(where: { $0.properties.generalCategory == .control }) else {
        return nil
      }
      self.text = Self.lowercased(normalised)
    }

    /// The text with ASCII letters in lower case, as both databases compare names.
    public static func lowercased(_ text: String) -> String {
      String(decoding: text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
  }

  /// The values that labels must have.
  public var labelValues: [String: String] {
    Dictionary(labels.compactMap { label in label.value.map { (label.key, $0) } }) { first, _ in first }
  }

  /// Whether no device can meet the conditions, because a label must have two values.
  var isContradictory: Bool { Set(labels.filter { $0.value != nil }).count != labelValues.count }

  /// The index that a list reads, in the order of the list. The other conditions are tested on each device that it has.
  public enum Index: Hashable, Sendable {
    case all
    case revoked, suspended
    /// Of devices that have expired or will.
    case expiring
    case unconfirmed
    case group(GroupName)
    case label(key: String, value: String)
    case key(String)
  }

  /// The index that probably has the fewest devices.
  public var index: Index {
    switch statuses {
    case [.revoked]: return .revoked
    case [.suspended]: return .suspended
    case [.expired]: return .expiring
    default: break
    }
    if let group { return .group(group) }
    for label in labels { if let value = label.value { return .label(key: label.key, value: value) } }
    if isModeConfirmed == false { return .unconfirmed }
    return labels.first.map { .key($0.key) } ?? .all
  }
}

/// The times that conditions depend on.
public struct FilterTimes: Hashable, Sendable {
  public let now: Timestamp
  /// A device that was seen after this is online.
  public let onlineSince: Timestamp

  public init(now: Timestamp, offlineAfterSeconds: Int) {
    self.now = now
    onlineSince = now + -Int64(offlineAfterSeconds) * 1000
  }
}

/// A page that a store found.
public struct FoundDevices: Hashable, Sendable {
  public let devices: [Device]
  /// The last device that was read; nil if the page has its maximum, or there is no more to read.
  public let readTo: DeviceCursor?

  public init(devices: [Device], readTo: DeviceCursor?) {
    self.devices = devices
    self.readTo = readTo
  }
}

/// How many devices a client has, and how many of them are what.
public struct DeviceCounts: Hashable, Sendable {
  public var total = 0
  public var byStatus: [DeviceState.Status: Int] = [:]
  public var online = 0
  /// Devices that are not revoked and did not confirm their trading mode.
  public var unconfirmed = 0
  /// Devices that are not revoked.
  public var byMode: [TradingMode.Mode: Int] = [:]

  public init(
    total: Int, revoked: Int, suspended: Int, expired: Int, online: Int, unconfirmed: Int, closeOnly: Int,
    halted: Int
  ) {
    self.total = total
    byStatus = [
      .active: total - revoked - suspended - expired, .suspended: suspended, .expired: expired,
      .revoked: revoked,
    ]
    self.online = online
    self.unconfirmed = unconfirmed
    byMode = [.normal: total - revoked - closeOnly - halted, .closeOnly: closeOnly, .halted: halted]
  }

  static let none = DeviceCounts(
    total: 0, revoked: 0, suspended: 0, expired: 0, online: 0, unconfirmed: 0, closeOnly: 0, halted: 0)

  static func += (sum: inout DeviceCounts, counts: DeviceCounts) {
    sum.total += counts.total
    sum.byStatus.merge(counts.byStatus, uniquingKeysWith: +)
    sum.online += counts.online
    sum.unconfirmed += counts.unconfirmed
    sum.byMode.merge(counts.byMode, uniquingKeysWith: +)
  }
}
