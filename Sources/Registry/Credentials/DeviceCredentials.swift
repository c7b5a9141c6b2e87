/// All that is needed to tell whether a request is a device's. A class, because the cache hands the same to every request of
/// a device.
public final class DeviceCredentials: Equatable, Sendable {
  public let deviceID: DeviceID
  public let clientID: ClientID
  /// Whether the device may come in: active, and not revoked.
  public let isActive: Bool
  /// Of the secret in force.
  public let current: SecretVerifier
  /// While a rotation is under way, of the new secret, which was not used yet.
  public let next: SecretVerifier?
  /// While a rotation is under way, when the secret in force ends at the latest.
  public let graceExpiresAt: Timestamp?

  public init(
    deviceID: DeviceID, clientID: ClientID, isActive: Bool, current: SecretVerifier, next: SecretVerifier?,
    graceExpiresAt: Timestamp?
  ) {
    self.deviceID = deviceID
    self.clientID = clientID
    self.isActive = isActive
    self.current = current
    self.next = next
    self.graceExpiresAt = graceExpiresAt
  }

  public static func == (left: DeviceCredentials, right: DeviceCredentials) -> Bool {
    left.deviceID == right.deviceID && left.clientID == right.clientID && left.isActive == right.isActive
      && left.current == right.current && left.next == right.next && left.graceExpiresAt == right.graceExpiresAt
  }

  /// Whether the secret in force still counts: its device does, and a rotation's grace has not ended.
  public func isCurrentValid(at time: Timestamp) -> Bool {
    isActive && (graceExpiresAt.map { time < $0 } ?? true)
  }
}

/// What is stored of an access token: its SHA-256. The token cannot be made of it.
public struct TokenHash: Hashable, Sendable {
  /// Bytes of a hash.
  public static let length = 32
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) {
    precondition(bytes.count == Self.length)
    self.bytes = bytes
  }
}

/// A live access token, and the device that it stands for.
public struct TokenCredentials: Equatable, Sendable {
  /// The device, whose secret in force the token was issued on.
  public let device: DeviceCredentials
  public let expiresAt: Timestamp

  public init(device: DeviceCredentials, expiresAt: Timestamp) {
    self.device = device
    self.expiresAt = expiresAt
  }
}
