/// A named group of a client's devices. A device may be in many.
public struct Group: Hashable, Sendable {
  public let clientID: ClientID
  public let name: GroupName
  public let description: String?
  public let createdAt: Timestamp
  /// When the name or the description last changed. Devices that join or leave do not move it.
  public let updatedAt: Timestamp
  /// How many devices are in it, revoked ones included.
  public let devices: Int

  /// Groups of one client.
  public static let maximumPerClient = 1000
  /// Unicode scalars of a description.
  public static let maximumDescriptionLength = 200

  public init(
    clientID: ClientID, name: GroupName, description: String?, createdAt: Timestamp, updatedAt: Timestamp,
    devices: Int
  ) {
    self.clientID = clientID
    self.name = name
    self.description = description
    self.createdAt = createdAt
    self.updatedAt = updatedAt
    self.devices = devices
  }
}
