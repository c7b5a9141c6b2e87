/// What authenticates a device's requests. A class, because the cache shares it among all requests of a device.
public final class DeviceCredentials: Equatable, Sendable {
  public let deviceID: DeviceID
  public let clientID: ClientID
  /// What the device may do once it has authenticated.
  public let access: DeviceAccess
  /// The verifier of the current secret.
  public let current: SecretVerifier
  /// During a rotation, the verifier of the new secret, which has not been used yet.
  public let next: SecretVerifier?
  /// During a rotation, when the current secret expires at the latest.
  public let graceExpiresAt: Timestamp?
  /// Until when the registry accepts signatures from more than `AuthenticationService.usualLeadSeconds` ahead without
  /// recording it again; nil if the device never sent one.
  public let signsAheadUntil: Timestamp?
  /// Where the device runs, and where it may. The time of the holder's last poll may be an old one: it does not end the
  /// caching of a device.
  public let terminal: Terminal

  public init(
    deviceID: DeviceID, clientID: ClientID, access: DeviceAccess, current: SecretVerifier,
    next: SecretVerifier?, graceExpiresAt: Timestamp?, signsAheadUntil: Timestamp? = nil,
    terminal: Terminal = .none
  ) {
    self.deviceID = deviceID
    self.clientID = clientID
    self.access = access
    self.current = current
    self.next = next
    self.graceExpiresAt = graceExpiresAt
    self.signsAheadUntil = signsAheadUntil
    self.terminal = terminal
  }

  public static func == (left: DeviceCredentials, right: DeviceCredentials) -> Bool {
    left.deviceID == right.deviceID && left.clientID == right.clientID && left.access == right.access
      && left.current == right.current && left.next == right.next && left.graceExpiresAt == right.graceExpiresAt
      && left.signsAheadUntil == right.signsAheadUntil && left.terminal == right.terminal
  }

  /// Whether the current secret still authenticates the device: a rotation's grace has not ended.
  public func isCurrentValid(at time: Timestamp) -> Bool { graceExpiresAt.map { time < $0 } ?? true }

  /// When requests with the current secret end, if nothing changes; nil for never.
  public var endsAt: Timestamp? { [graceExpiresAt, access.endsAt].compactMap(\.self).min() }

  /// Whether it is a valid secret of the device.
  /// - Parameter hmacKeyHash: the secret's argon2id hash.
  func hasSecret(_ hmacKeyHash: String, at time: Timestamp) -> Bool {
    (current.hmacKeyHash == hmacKeyHash && isCurrentValid(at: time)) || next?.hmacKeyHash == hmacKeyHash
  }
}

/// The SHA-256 of an access token or of an enrolment's code, which is all that is stored of it.
public struct TokenHash: Hashable, Sendable {
  /// The number of bytes in a hash.
  public static let length = 32
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) {
    precondition(bytes.count == Self.length)
    self.bytes = bytes
  }
}

/// A live access token and its device.
public struct TokenCredentials: Equatable, Sendable {
  /// The device. The token was issued for its current secret.
  public let device: DeviceCredentials
  public let expiresAt: Timestamp

  public init(device: DeviceCredentials, expiresAt: Timestamp) {
    self.device = device
    self.expiresAt = expiresAt
  }
}
