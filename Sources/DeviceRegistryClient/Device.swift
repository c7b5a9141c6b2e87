public import Foundation

/// A device as the registry knows it.
public struct Device: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  /// The client that owns the device.
  public let clientID: String
  public let name: String
  public let isActive: Bool
  /// Whether it was revoked, which is final.
  public let isRevoked: Bool
  /// When it last polled for signals; nil until then.
  public let lastPoll: Date?
  /// When it last acknowledged signals; nil until then.
  public let lastAck: Date?
  /// When it last authenticated; nil until then.
  public let lastSeen: Date?
  public let createdAt: Date
  /// When it was last renamed, rotated or revoked.
  public let updatedAt: Date

  enum CodingKeys: String, CodingKey {
    case id
    case clientID = "client_id"
    case name = "device_name"
    case isActive = "is_active"
    case isRevoked = "revoked"
    case lastPoll = "last_poll"
    case lastAck = "last_ack"
    case lastSeen = "last_seen"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }
}

/// A device with its new secret, which only this value contains: store it where only the device can read it.
public struct RegisteredDevice: Decodable, Hashable, Sendable {
  public let device: Device
  /// 64 lower-case hexadecimal characters. It stays in memory for as long as a copy of this value does.
  public let secret: String
  /// What the registry stores to verify the secret: argon2id, a PHC string.
  public let hmacKeyHash: String
  /// When the previous secret stops working, unless this one is used earlier; nil at registration.
  public let graceExpiresAt: Date?

  enum CodingKeys: String, CodingKey {
    case secret
    case hmacKeyHash = "hmac_key_hash"
    case graceExpiresAt = "grace_expires_at"
  }

  public init(from decoder: any Decoder) throws {
    device = try Device(from: decoder)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    secret = try members.decode(String.self, forKey: .secret)
    hmacKeyHash = try members.decode(String.self, forKey: .hmacKeyHash)
    graceExpiresAt = try members.decodeIfPresent(Date.self, forKey: .graceExpiresAt)
  }

  /// The credentials for a `DeviceClient`. Throws `invalidArgument` if the id or the secret is malformed.
  public func credentials() throws(RegistryClientError) -> DeviceCredentials {
    try DeviceCredentials(id: device.id, secret: secret)
  }
}

extension RegisteredDevice: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "\(device.id) \"\(device.name)\", secret <redacted>" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["device": device]) }
}

/// The device that calls, as the registry knows it.
public struct DeviceStatus: Decodable, Hashable, Sendable {
  public let device: Device
  /// The registry's time.
  public let serverTime: Date

  enum CodingKeys: String, CodingKey {
    case serverTime = "server_time"
  }

  public init(from decoder: any Decoder) throws {
    device = try Device(from: decoder)
    serverTime = try decoder.container(keyedBy: CodingKeys.self).decode(Date.self, forKey: .serverTime)
  }
}
