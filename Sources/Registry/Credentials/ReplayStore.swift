/// Stores the nonces of signed requests (RFC 9421, section 7.2.2), so that each is accepted once.
public protocol ReplayStore: Sendable {
  /// Checks and stores the nonce atomically. False if the device has used it before, with any process.
  ///
  /// The nonce is kept at least until its expiry. Throws `signedBeforeStart` if the store may lack nonces from as early
  /// as this one may have been used, `replayUnavailable` if it is unreachable, and `overloaded` if it is full.
  func remember(_ nonce: SignedNonce) async throws(RegistryError) -> Bool
}

/// The nonce of a signed request, and the times of its signature.
public struct SignedNonce: Sendable {
  public let text: String
  public let deviceID: DeviceID
  /// When the request was signed, by the device's clock.
  public let created: Timestamp
  /// How long before `created` the registry may have accepted the request, in milliseconds: the device's clock may be
  /// ahead.
  public let leadMilliseconds: Int64
  /// Until when the signature is timely.
  public let expiry: Timestamp

  public init(
    _ text: String, of deviceID: DeviceID, created: Timestamp, leadMilliseconds: Int64, expiry: Timestamp
  ) {
    self.text = text
    self.deviceID = deviceID
    self.created = created
    self.leadMilliseconds = leadMilliseconds
    self.expiry = expiry
  }

  /// Whether a store that has every nonce since `start` would have this one, had it been used.
  public func isRemembered(since start: Timestamp) -> Bool { created + -leadMilliseconds > start }

  /// The error for a nonce that is not. A device whose clock is right may sign again after its `retryAfterSeconds`.
  public func refusal(since start: Timestamp, at now: Timestamp, cause: String) -> RegistryError {
    let left = start + leadMilliseconds - now
    return .signedBeforeStart(
      cause: cause, retryAfterSeconds: Int(max(0, left) / 1000) + 1, serverTime: now)
  }
}
