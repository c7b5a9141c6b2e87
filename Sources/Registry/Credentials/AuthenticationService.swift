/// The rules on who is a device. One for each event loop, with that loop's store.
///
/// Whoever verifies a proof is the caller's business: this knows which keys count, and that no nonce counts twice.
public struct AuthenticationService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let replay: any ReplayStore
  private let hasher: any PasswordHasher
  private let limits: RateLimits
  private let clock: any Clock
  private let observer: any RegistryObserver
  /// How far a signature's `created` may lie back.
  public let skewSeconds: Int

  /// How far a signature's `created` may lie ahead of the clock.
  public static let maximumLeadSeconds = 5

  init(
    store: any RegistryStore, live: LiveDevices, replay: any ReplayStore, hasher: any PasswordHasher,
    limits: RateLimits, clock: any Clock, observer: any RegistryObserver, skewSeconds: Int
  ) {
    self.store = store
    self.live = live
    self.replay = replay
    self.hasher = hasher
    self.limits = limits
    self.clock = clock
    self.observer = observer
    self.skewSeconds = skewSeconds
  }

  // MARK: Signatures

  /// Tests a signed request: its device, the secret that it was signed with, and that its nonce is new. From then
  /// on the nonce is used up.
  ///
  /// - Parameters:
  ///   - created: when the request was signed, in seconds since 1970.
  ///   - address: pays for what is not remembered and fails. Throws `rateLimited` where it cannot, whatever the reason
  ///     for which the database would have to be asked.
  ///   - isSigned: whether the request was signed with the secret of a stored key.
  public func authenticate(
    _ id: DeviceID, nonce: String, created: Int64, from address: CallerAddress, requestID: String,
    isSigned: (_ storedKey: [UInt8]) -> Bool
  ) async throws(RegistryError) -> DeviceSession {
    guard let (device, secret) = try await verifySecret(of: id, from: address, matches: isSigned) else {
      throw .signatureInvalid
    }
    let createdAt = Timestamp(millisecondsSince1970: created * 1000)
    let expiry = Timestamp(millisecondsSince1970: (created + Int64(skewSeconds)) * 1000)
    let isNew = try await replay.remember(nonce: nonce, of: id, created: createdAt, until: expiry)
    guard isNew else {
      // Counted, but never refused for it: a stranger's copies must not stand in the way of the device itself.
      _ = try? limits.charge(address)
      throw .replayed
    }
    return DeviceSession(of: device, bySignatureWith: secret, requestID: requestID)
  }

  // MARK: Tokens

  /// Tests an access token. `address` pays for one that is not remembered and not good; throws `rateLimited` where it
  /// cannot.
  public func authenticate(
    token: String, from address: CallerAddress, requestID: String
  ) async throws(RegistryError) -> DeviceSession {
    var token = token
    let hash = token.withUTF8(hasher.hash(ofToken:))
    let now = clock.now()
    guard let credentials = try await credentials(ofToken: hash, at: now, from: address) else {
      throw .tokenInvalid
    }
    return DeviceSession(of: credentials, hash: hash, requestID: requestID)
  }

  // MARK: Sessions

  /// Completes a pending rotation where the request used the new secret.
  ///
  /// Throws `signatureInvalid`, `tokenInvalid` where a rotation or a revocation came in between.
  public func admit(_ session: DeviceSession) async throws(RegistryError) {
    guard session.usesNextSecret else { return }
    let change = session.change(at: clock.now())
    let isPromoted = try await promoteNextSecret(
      of: session.deviceID, of: session.clientID, storedKey: session.storedKey, change: change)
    if !isPromoted {
      // Another request was faster, or the secret was replaced.
      _ = try await testAgain(session)
    }
  }

  /// Notes that the device was there, with a request that comes to no service: they note what they are asked.
  public func noteCall(by session: DeviceSession) {
    live.presence.note(.called, by: session.deviceID, at: clock.now())
  }

  /// Tests whether the session's device, secret and token are as good as when it began, and answers when they end, as
  /// far as that is known by now: a rotation may have begun meanwhile.
  ///
  /// Throws `signatureInvalid`, `tokenInvalid` where they are not.
  func testAgain(_ session: DeviceSession) async throws(RegistryError) -> Timestamp? {
    let now = clock.now()
    if let hash = session.tokenHash {
      guard let token = try await credentials(ofToken: hash, at: now, from: nil) else { throw session.ended }
      return token.endsAt
    }
    guard let device = try await credentials(of: session.deviceID),
      device.isCurrentValid(at: now), device.current.storedKey == session.storedKey
    else { throw session.ended }
    return device.graceExpiresAt
  }

  // MARK: Secrets

  /// Which of the device's secrets it is, of those that count now. Nil where there is no such device, it is revoked,
  /// or it is none of them: all alike, after the same work.
  ///
  /// What is remembered may be from before a rotation in another process, so a secret that does not match is tested
  /// again against the database.
  ///
  /// - Parameter address: pays for the look into the database unless it finds the secret; nil if it has paid already.
  func verifySecret(
    of id: DeviceID, from address: CallerAddress?, matches: (_ storedKey: [UInt8]) -> Bool
  ) async throws(RegistryError) -> (DeviceCredentials, Secret)? {
    if let device = live.cache.credentials(of: id), let secret = secret(of: device, matches: matches) {
      return (device, secret)
    }
    return try await limits.charging(address) { () async throws(RegistryError) in
      guard let device = try await fetchCredentials(of: id), device.isActive else {
        // The time that a device's own key would take.
        _ = matches(Self.nobodysKey)
        return nil
      }
      return secret(of: device, matches: matches).map { (device, $0) }
    }
  }

  /// Puts the next secret in force. False if it is not the next one any more.
  func promoteNextSecret(
    of id: DeviceID, of owner: ClientID, storedKey: [UInt8], change: Change
  ) async throws(RegistryError) -> Bool {
    // Also where it is not known whether it was done: parked polls that authenticated with the old secret are tested again.
    defer { live.credentialsChanged(of: id) }
    let isPromoted = try await store.promoteNextSecret(of: id, storedKey: storedKey, change: change)
    if isPromoted { observer.changed(RegistryEvent(.secretPromoted, by: change, of: owner, device: id)) }
    return isPromoted
  }

  /// A secret that counts.
  struct Secret {
    let verifier: SecretVerifier
    /// Whether it is the new one of a rotation, which nobody used before.
    let isNext: Bool
    /// When it ends, where that is known.
    let endsAt: Timestamp?
  }

  private func secret(of device: DeviceCredentials, matches: (_ storedKey: [UInt8]) -> Bool) -> Secret? {
    if matches(device.current.storedKey) {
      guard device.isCurrentValid(at: clock.now()) else { return nil }
      return Secret(verifier: device.current, isNext: false, endsAt: device.graceExpiresAt)
    }
    guard let next = device.next, device.isActive, matches(next.storedKey) else { return nil }
    return Secret(verifier: next, isNext: true, endsAt: nil)
  }

  /// The hash of no key.
  private static let nobodysKey = [UInt8](repeating: 0, count: SecretVerifier.keyLength)

  // MARK: The cache

  private func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    if let known = live.cache.credentials(of: id) { return known }
    return try await fetchCredentials(of: id)
  }

  private func fetchCredentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    let ticket = live.cache.ticket()
    let credentials = try await store.credentials(of: id)
    if let credentials { live.cache.remember(credentials, fetchedWith: ticket) }
    return credentials
  }

  /// Nil unless the token and its device's secret are good.
  private func credentials(
    ofToken hash: TokenHash, at now: Timestamp, from address: CallerAddress?
  ) async throws(RegistryError) -> TokenCredentials? {
    if let token = live.cache.credentials(ofToken: hash) { return token.isGood(at: now) ? token : nil }
    return try await limits.charging(address) { () async throws(RegistryError) in
      let ticket = live.cache.ticket()
      guard let token = try await store.credentials(ofToken: hash, at: now), token.isGood(at: now) else {
        return nil
      }
      live.cache.remember(token, hash: hash, fetchedWith: ticket)
      return token
    }
  }
}

extension TokenCredentials {
  fileprivate func isGood(at now: Timestamp) -> Bool { now < expiresAt && device.isCurrentValid(at: now) }

  /// With its time, or with the secret that it was issued on.
  fileprivate var endsAt: Timestamp { min(expiresAt, device.graceExpiresAt ?? expiresAt) }
}

/// A request of a device that proved itself. A class, because it is handed from step to step, and each has room for it for
/// as long as it waits.
public final class DeviceSession: Sendable {
  public let deviceID: DeviceID
  public let clientID: ClientID
  /// The key that signs the answer to a signed request; nil where a token was presented.
  public let serverKey: [UInt8]?
  /// When the secret or the token ends, as far as it was known when the request came.
  public let endsAt: Timestamp?
  /// The `X-Request-Id` of the request.
  let requestID: String

  /// Of the secret that was used, or that the token was issued on.
  let storedKey: [UInt8]
  let usesNextSecret: Bool
  let tokenHash: TokenHash?

  /// What is said where the device, its secret or its token ended while the request was answered.
  public var ended: RegistryError { tokenHash == nil ? .signatureInvalid : .tokenInvalid }

  fileprivate init(
    of device: DeviceCredentials, bySignatureWith secret: AuthenticationService.Secret, requestID: String
  ) {
    deviceID = device.deviceID
    clientID = device.clientID
    self.requestID = requestID
    serverKey = secret.verifier.serverKey
    endsAt = secret.endsAt
    storedKey = secret.verifier.storedKey
    usesNextSecret = secret.isNext
    tokenHash = nil
  }

  fileprivate init(of token: TokenCredentials, hash: TokenHash, requestID: String) {
    deviceID = token.device.deviceID
    clientID = token.device.clientID
    self.requestID = requestID
    serverKey = nil
    endsAt = token.endsAt
    storedKey = token.device.current.storedKey
    usesNextSecret = false
    tokenHash = hash
  }
}

extension DeviceSession {
  /// A change that the device makes with this request.
  func change(at time: Timestamp) -> Change { Change(by: .device(deviceID), at: time, requestID: requestID) }
}

extension DeviceSession: CustomStringConvertible, CustomReflectable {
  /// Without its keys.
  public var description: String { "session of \(deviceID)" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
