/// Which of the owner's devices: those that a signal is sent to, or that are changed together.
public enum DeviceSelector: Hashable, Sendable {
  /// These devices, 1 to 1000; repeated ids count once.
  case devices([String])
  /// All devices that are not revoked.
  case all
  /// The devices of a group that are not revoked.
  case group(String)
  /// The devices that have all of these labels and are not revoked.
  case labels([String: String])
}

extension DeviceSelector: Encodable {
  enum CodingKeys: String, CodingKey {
    case all, group, labels
    case devices = "device_ids"
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .devices(let ids): try members.encode(ids, forKey: .devices)
    case .all: try members.encode(true, forKey: .all)
    case .group(let name): try members.encode(name, forKey: .group)
    case .labels(let labels): try members.encode(labels, forKey: .labels)
    }
  }
}
