public import Foundation

/// A device as the registry knows it.
public struct Device: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  /// The client that owns the device.
  public let clientID: String
  public let name: String
  /// Whether it may be used: `status` is `active`.
  public let isActive: Bool
  /// Whether it was revoked, which is final.
  public let isRevoked: Bool
  /// The worst that applies.
  public let status: Status
  /// Why it is suspended or revoked.
  public let statusReason: String?
  /// When its suspension ends; nil if it is not suspended, or until it is resumed.
  public let suspendedUntil: Date?
  /// From when on it is refused; nil for never.
  public let expiresAt: Date?
  /// By key.
  public let labels: [String: String]
  /// The names of the groups that it is in, sorted.
  public let groups: [String]
  /// Whether it sent a request within the last 90 s.
  public let isOnline: Bool
  public let tradingMode: TradingMode
  /// The instance of its program that has the lease, or had it last; nil if none polls with one.
  public let instance: Instance?
  /// Where it runs; nil until it says so.
  public let context: DeviceContext?
  /// The account on which alone it gets signals; nil for any.
  public let boundAccount: TradingAccount?
  /// When it last polled for signals; nil until then.
  public let lastPoll: Date?
  /// When it last acknowledged signals; nil until then.
  public let lastAck: Date?
  /// When it last authenticated; nil until then.
  public let lastSeen: Date?
  public let createdAt: Date
  /// When its owner last changed it.
  public let updatedAt: Date

  public enum Status: String, Codable, Hashable, Sendable, CaseIterable {
    case active, suspended, expired, revoked
  }

  enum CodingKeys: String, CodingKey {
    case id, status, labels, groups, instance, context
    case boundAccount = "bound_account"
    case clientID = "client_id"
    case name = "device_name"
    case isActive = "is_active"
    case isRevoked = "revoked"
    case statusReason = "status_reason"
    case suspendedUntil = "suspended_until"
    case expiresAt = "expires_at"
    case isOnline = "online"
    case tradingMode = "trading_mode"
    case lastPoll = "last_poll"
    case lastAck = "last_ack"
    case lastSeen = "last_seen"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }
}

/// What a device may do with its account, and whether it obeys.
public struct TradingMode: Decodable, Hashable, Sendable {
  public let mode: Mode
  /// Grows with each change.
  public let version: Int
  /// Why the owner changed it.
  public let reason: String?
  /// When it last changed.
  public let since: Date
  /// The version that the device last said it obeys; nil before.
  public let confirmedVersion: Int?
  /// When the device last said so.
  public let confirmedAt: Date?

  /// Whether the device said that it obeys the mode.
  public var isConfirmed: Bool { confirmedVersion == version }

  public enum Mode: String, Codable, Hashable, Sendable, CaseIterable {
    case normal
    /// Positions may be closed, not opened.
    case closeOnly = "close_only"
    /// Nothing may be traded.
    case halted
  }

  enum CodingKeys: String, CodingKey {
    case mode, version, reason, since
    case confirmedVersion = "confirmed_version"
    case confirmedAt = "confirmed_at"
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
