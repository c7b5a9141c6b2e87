internal import Encoding
public import Foundation

/// Which devices a list has: those for which all conditions hold.
public struct DeviceFilter: Hashable, Sendable {
  /// One of these; empty for any.
  public var statuses: Set<Device.Status>
  /// Each one: `key:value`, or `key` for any value.
  public var labels: [String]
  public var group: String?
  /// The name contains this, ignoring the case of ASCII letters.
  public var nameContains: String?
  public var isOnline: Bool?
  /// Not seen since.
  public var seenBefore: Date?
  /// Whether the device confirmed its trading mode.
  public var isModeConfirmed: Bool?

  public init(
    statuses: Set<Device.Status> = [], labels: [String] = [], group: String? = nil, nameContains: String? = nil,
    isOnline: Bool? = nil, seenBefore: Date? = nil, isModeConfirmed: Bool? = nil
  ) {
    self.statuses = statuses
    self.labels = labels
    self.group = group
    self.nameContains = nameContains
    self.isOnline = isOnline
    self.seenBefore = seenBefore
    self.isModeConfirmed = isModeConfirmed
  }

  /// The parameters, each after an ampersand.
  var query: String {
    let parameters: [(String, String?)] = [
      ("status", statuses.isEmpty ? nil : statuses.map(\.rawValue).sorted().joined(separator: ",")),
      ("labels", labels.isEmpty ? nil : labels.joined(separator: ",")), ("group", group), ("q", nameContains),
      ("online", isOnline.map(String.init)), ("seen_before", seenBefore?.rfc3339),
      ("mode_confirmed", isModeConfirmed.map(String.init)),
    ]
    return parameters.map { name, value in
      value.map { "&\(name)=\(PercentEncoding.encode($0))" } ?? ""
    }.joined()
  }
}

/// How many devices the owner has.
public struct DeviceSummary: Decodable, Hashable, Sendable {
  public let total: Int
  /// By `Device.Status`.
  public let byStatus: [String: Int]
  public let online: Int
  public let byGroup: [String: Int]
  /// By `TradingMode.Mode`: devices that are not revoked.
  public let byMode: [String: Int]
  /// Devices that have not confirmed their trading mode.
  public let modeUnconfirmed: Int

  enum CodingKeys: String, CodingKey {
    case total, online
    case byStatus = "by_status"
    case byGroup = "by_group"
    case byMode = "by_mode"
    case modeUnconfirmed = "mode_unconfirmed"
  }
}
