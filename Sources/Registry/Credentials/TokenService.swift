private import Synchronization

/// Issues access tokens for a device's secret: the client credentials grant (RFC 6749, section 4.4). Each event
/// loop has one, with the loop's own store.
public struct TokenService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let authentication: AuthenticationService
  private let hasher: any PasswordHasher
  private let clock: any Clock
  private let random: any RandomSource

  /// The lifetime of a token in seconds, unless its secret expires earlier.
  public static let lifetimeSeconds = 900
  /// Live tokens of one device. A further token replaces the oldest.
  public static let maximumLive = 10
  /// Token requests of one device with a valid secret, within `windowSeconds`.
  public static let maximumRequests = 10
  public static let windowSeconds = 60

  init(
    store: any RegistryStore, live: LiveDevices, authentication: AuthenticationService,
    hasher: any PasswordHasher, clock: any Clock, random: any RandomSource
  ) {
    self.store = store
    self.live = live
    self.authentication = authentication
    self.hasher = hasher
    self.clock = clock
    self.random = random
  }

  /// A new token and its lifetime.
  public struct IssuedToken: Sendable {
    public let token: AccessToken
    public let expiresInSeconds: Int
  }

  /// Issues a token. A nil id or secret, which could not be parsed, is treated as a wrong one.
  ///
  /// The stored key is checked before argon2id, so that a wrong secret costs microseconds. The caller has charged the
  /// address, because a valid secret costs most. Throws `signatureInvalid` for an unknown device or a wrong secret,
  /// `refused` for the right secret of a device that may not be used, `tooManyTokens` and the hasher's errors.
  public func issueToken(
    to id: DeviceID?, secret: DeviceSecret?, requestID: String
  ) async throws(RegistryError) -> IssuedToken {
    let device = try await authentication.verifySecret(
      of: id ?? Self.nobody, from: nil, matches: secret.map(hasher.storedKeyTest) ?? { _ in false })
    guard let secret, let (device, match) = device else { throw .signatureInvalid }
    try live.tokenRequests.admit(device.deviceID, atMilliseconds: live.monotonicMilliseconds())
    let isRight = try await hasher.verify(
      secret, against: match.verifier.hmacKeyHash, of: device.clientID)
    guard isRight else { throw .signatureInvalid }
    if let refusal = device.access.refusal(at: clock.now()) { throw .refused(refusal) }
    let (token, expiresInSeconds) = try await storeToken(of: device, secret: match, requestID: requestID)
    return IssuedToken(token: token, expiresInSeconds: expiresInSeconds)
  }

  private func storeToken(
    of device: DeviceCredentials, secret: AuthenticationService.Secret, requestID: String
  ) async throws(RegistryError) -> (AccessToken, expiresInSeconds: Int) {
    if secret.isNext {
      // `insertToken` checks whether the secret is valid afterwards.
      _ = try await authentication.promoteNextSecret(
        of: device.deviceID, of: device.clientID, hmacKeyHash: secret.verifier.hmacKeyHash,
        change: Change(by: .device(device.deviceID), at: clock.now(), requestID: requestID))
    }
    let token = AccessToken(random: random)
    let now = clock.now()
    let longest = Int64(Self.lifetimeSeconds) * 1000
    let lifetime = min(longest, secret.endsAt.map { $0 - now } ?? longest)
    let isStored: Bool
    do {
      // Also after an error: the new token may have replaced the oldest.
      defer { live.credentialsChanged(of: device.deviceID) }
      isStored = try await store.insertToken(
        token.withCharacters(hasher.hash(ofToken:)), of: device.deviceID, owner: device.clientID,
        hmacKeyHash: secret.verifier.hmacKeyHash, expiresAt: now + lifetime, at: now, maxLive: Self.maximumLive,
        windowSeconds: Self.windowSeconds)
    }
    guard isStored else {
      // The secret was rotated meanwhile, or the device may no longer be used.
      try await authentication.testSecret(secret.verifier.hmacKeyHash, of: device.deviceID)
      throw .signatureInvalid
    }
    live.presence.note(.called, by: device.deviceID, of: device.clientID, at: now)
    return (token, Int(max(0, lifetime / 1000)))
  }

  /// No device has this id.
  private static let nobody = DeviceID(high: 0, low: 0)
}

/// How often devices recently requested tokens, so that a request over the limit costs no argon2id. The
/// database enforces the same limit across processes.
final class TokenRequests: Sendable {
  /// Devices in memory. Those whose window is over are evicted first.
  static let maximumDevices = 65_536

  private let times = Mutex<[DeviceID: [Int64]]>([:])

  /// Throws `tooManyTokens`.
  /// - Parameter now: a time of a monotonic clock, so that correcting the system's clock blocks no device.
  func admit(_ id: DeviceID, atMilliseconds now: Int64) throws(RegistryError) {
    let window = Int64(TokenService.windowSeconds) * 1000
    let wait: Int64? = times.withLock { times in
      if times.count >= Self.maximumDevices {
        times = times.filter { $0.value.last.map { now - $0 < window } ?? false }
      }
      guard times[id] != nil || times.count < Self.maximumDevices else { return nil }
      var recent = (times[id] ?? []).filter { now - $0 < window }
      if recent.count >= TokenService.maximumRequests { return window - (now - recent[0]) }
      recent.append(now)
      times[id] = recent
      return nil
    }
    if let wait { throw .tooManyTokens(retryAfterSeconds: Int((wait + 999) / 1000)) }
  }
}
