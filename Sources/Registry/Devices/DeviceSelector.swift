/// Names devices of one client: those that a signal is sent to, or that a bulk change is about. `all`, `group` and `labels`
/// mean devices that are not revoked, suspended and expired ones included.
public enum DeviceSelector: Hashable, Sendable {
  /// 1 to `maximumListed` devices, each once.
  case devices([DeviceID])
  case all
  /// The devices in a group.
  case group(GroupName)
  /// The devices that have all of these labels with these values; at least one.
  case labels(Labels)

  /// Devices that a selector may list.
  public static let maximumListed = 1000

  /// Whether the selector means the device, which is the client's.
  public func matches(_ device: Device) -> Bool {
    switch self {
    case .devices(let ids): ids.contains(device.id)
    case .all: !device.isRevoked
    case .group(let name): !device.isRevoked && device.groups.contains(name)
    case .labels(let labels):
      !device.isRevoked && labels.values.allSatisfy { device.labels.values[$0.key] == $0.value }
    }
  }
}
