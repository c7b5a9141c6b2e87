/// Authenticates devices. Each event loop has one, with the loop's own store.
///
/// The caller verifies signatures; this service knows which keys are valid, and accepts each nonce once.
public struct AuthenticationService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let replay: any ReplayStore
  private let hasher: any PasswordHasher
  private let limits: RateLimits
  private let clock: any Clock
  private let observer: any RegistryObserver
  /// How many seconds a signature's `created` may be in the past.
  public let skewSeconds: Int

  /// How many seconds a signature's `created` may be in the future.
  public static let maximumLeadSeconds = 60
  /// How many seconds it may be in the future without a record of it in the database (`lead`).
  public static let usualLeadSeconds = 5
  /// How long such a record is valid. A device whose clock is ahead costs one write in that time.
  static let aheadMilliseconds: Int64 = 24 * 3600 * 1000

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

  /// Authenticates a signed request: its device and the secret that signed it; then counts it at the device's limit
  /// and uses up its nonce.
  ///
  /// A device that may not be used authenticates too: its session has a `refusal`, which `admit` throws.
  ///
  /// A request beyond the limit stores no nonce, so that a device cannot fill the replay store; the session's
  /// `standing` refuses it. Such a request and a replayed one do not count as presence: anyone may have copied them.
  ///
  /// - Parameters:
  ///   - created: when the request was signed, in seconds since 1970.
  ///   - address: is charged when an uncached authentication fails. Throws `rateLimited` if its limit is
  ///     reached and the database would have to be queried.
  ///   - isSigned: whether the request was signed with the secret of a stored key.
  public func authenticate(
    _ id: DeviceID, nonce: String, created: Int64, from address: CallerAddress, requestID: String,
    isSigned: (_ storedKey: [UInt8]) -> Bool
  ) async throws(RegistryError) -> DeviceSession {
    guard let (device, secret) = try await verifySecret(of: id, from: address, matches: isSigned) else {
      throw .signatureInvalid
    }
    let session = DeviceSession(
      of: device, bySignatureWith: secret, at: clock.now(), standing: limits.count(id), requestID: requestID)
    if session.isAdmitted { try await useUp(nonce, of: device, created: created, from: address) }
    return session
  }

  /// Stores the nonce. Otherwise refunds the device: an attacker's copies must not use up its limit. Throws
  /// `replayed` and the errors of the replay store.
  private func useUp(
    _ nonce: String, of device: DeviceCredentials, created: Int64, from address: CallerAddress
  ) async throws(RegistryError) {
    let id = device.deviceID
    let createdAt = Timestamp(millisecondsSince1970: created * 1000)
    do throws(RegistryError) {
      let isNew = try await replay.remember(
        SignedNonce(
          nonce, of: id, created: createdAt, leadMilliseconds: try await lead(of: device, signing: createdAt),
          expiry: createdAt + Int64(skewSeconds) * 1000))
      guard !isNew else { return }
      // Charged, but never rate limited: an attacker's copies must not lock out the device.
      _ = try? limits.charge(address)
      throw .replayed
    } catch {
      limits.refund(id)
      throw error
    }
  }

  /// How long before `created` the registry may have accepted the request, in milliseconds.
  ///
  /// After a start, what may have been accepted before is refused. With the maximum lead, that would be a minute's
  /// requests of all devices. So the database records which devices sign further ahead than usual, before such a
  /// request is accepted, and the others wait for `usualLeadSeconds` only.
  private func lead(
    of device: DeviceCredentials, signing created: Timestamp
  ) async throws(RegistryError) -> Int64 {
    let (usual, maximum) = (Int64(Self.usualLeadSeconds) * 1000, Int64(Self.maximumLeadSeconds) * 1000)
    let (now, until) = (clock.now(), device.signsAheadUntil)
    guard created - now > usual else {
      return until.map { created <= $0 + maximum } ?? false ? maximum : usual
    }
    if until.map({ $0 <= now }) ?? true {
      try await store.noteSigningAhead(
        of: device.deviceID, owner: device.clientID, until: now + Self.aheadMilliseconds)
      live.credentialsChanged(of: device.deviceID)
    }
    return maximum
  }

  // MARK: Tokens

  /// Authenticates an access token and counts the request at the device's limit, which the session's `standing`
  /// tells. `address` is charged when an uncached token is invalid; throws `rateLimited` if its limit is reached.
  public func authenticate(
    token: String, from address: CallerAddress, requestID: String
  ) async throws(RegistryError) -> DeviceSession {
    var token = token
    let hash = token.withUTF8(hasher.hash(ofToken:))
    let now = clock.now()
    guard let credentials = try await credentials(ofToken: hash, at: now, from: address) else {
      throw .tokenInvalid
    }
    let session = DeviceSession(
      of: credentials, hash: hash, standing: limits.count(credentials.device.deviceID), requestID: requestID)
    if !session.isAdmitted { noteCall(by: session) }
    return session
  }

  // MARK: Sessions

  /// Throws `refused` if the device may not be used. Otherwise completes a pending rotation if the request used the
  /// new secret; throws `signatureInvalid` if the device was rotated or deleted meanwhile.
  public func admit(_ session: DeviceSession) async throws(RegistryError) {
    if let refusal = session.refusal {
      noteCall(by: session)
      throw .refused(refusal)
    }
    guard session.usesNextSecret else { return }
    let change = session.change(at: clock.now())
    let isPromoted = try await promoteNextSecret(
      of: session.deviceID, of: session.clientID, hmacKeyHash: session.hmacKeyHash, change: change)
    if !isPromoted {
      // Another request completed the rotation, or the secret was replaced.
      _ = try await testAgain(session)
    }
  }

  /// Notes the presence of a device whose request calls no service. Services note their own requests.
  public func noteCall(by session: DeviceSession) {
    live.presence.note(.called, by: session.deviceID, of: session.clientID, at: clock.now())
  }

  /// Checks whether the session's device, secret and token are still valid, and returns what holds now. Throws
  /// `signatureInvalid` or `tokenInvalid` if they are not, and `refused` if the device that signed may not be used.
  func testAgain(_ session: DeviceSession) async throws(RegistryError) -> DeviceSession.State {
    let now = clock.now()
    if let hash = session.tokenHash {
      guard let token = try await credentials(ofToken: hash, at: now, from: nil) else { throw session.ended }
      return DeviceSession.State(
        endsAt: token.endsAt, tradingMode: token.device.access.tradingMode, terminal: token.device.terminal)
    }
    let device = try await testSecret(session.hmacKeyHash, of: session.deviceID)
    // A secret that is still the next one was not put in force.
    guard device.current.hmacKeyHash == session.hmacKeyHash else { throw session.ended }
    return DeviceSession.State(
      endsAt: device.endsAt, tradingMode: device.access.tradingMode, terminal: device.terminal)
  }

  /// Throws `signatureInvalid` if it is no longer a secret of the device, and `refused` if the device may not be used.
  /// - Parameter hmacKeyHash: the hash of a secret that the caller proved to know.
  @discardableResult
  func testSecret(
    _ hmacKeyHash: String, of id: DeviceID
  ) async throws(RegistryError) -> DeviceCredentials {
    let now = clock.now()
    guard let device = try await credentials(of: id), device.hasSecret(hmacKeyHash, at: now) else {
      throw .signatureInvalid
    }
    if let refusal = device.access.refusal(at: now) { throw .refused(refusal) }
    return device
  }

  // MARK: Secrets

  /// The device's valid secret that matches, also of a device that may not be used. Nil for an unknown device or a
  /// wrong secret, after the same amount of work: the cache answers only requests that prove a secret.
  ///
  /// The cache may be older than a rotation in another process, so a secret that does not match it is checked
  /// against the database.
  ///
  /// - Parameter address: is charged for the query unless it finds the secret; nil if already charged.
  func verifySecret(
    of id: DeviceID, from address: CallerAddress?, matches: (_ storedKey: [UInt8]) -> Bool
  ) async throws(RegistryError) -> (DeviceCredentials, Secret)? {
    if let device = live.cache.credentials(of: id), let secret = secret(of: device, matches: matches) {
      return (device, secret)
    }
    return try await limits.charging(address) { () async throws(RegistryError) in
      guard let device = try await fetchCredentials(of: id) else {
        // Takes the time that the key of a device would take.
        _ = matches(Self.nobodysKey)
        return nil
      }
      return secret(of: device, matches: matches).map { (device, $0) }
    }
  }

  /// Makes the next secret current. False if it is no longer the next one.
  func promoteNextSecret(
    of id: DeviceID, of owner: ClientID, hmacKeyHash: String, change: Change
  ) async throws(RegistryError) -> Bool {
    // Also after an error, because the database may have committed the change. Parked polls that used the old
    // secret are validated again.
    defer { live.credentialsChanged(of: id) }
    let isPromoted = try await store.promoteNextSecret(
      of: id, owner: owner, hmacKeyHash: hmacKeyHash, change: change)
    if isPromoted { observer.changed(RegistryEvent(.secretPromoted, by: change, of: owner, device: id)) }
    return isPromoted
  }

  /// A valid secret.
  struct Secret {
    let verifier: SecretVerifier
    /// Whether it is the new, unused secret of a rotation.
    let isNext: Bool
    /// When the secret or the device expires, if known.
    let endsAt: Timestamp?
  }

  private func secret(of device: DeviceCredentials, matches: (_ storedKey: [UInt8]) -> Bool) -> Secret? {
    if matches(device.current.storedKey) {
      guard device.isCurrentValid(at: clock.now()) else { return nil }
      return Secret(verifier: device.current, isNext: false, endsAt: device.endsAt)
    }
    guard let next = device.next, matches(next.storedKey) else { return nil }
    return Secret(verifier: next, isNext: true, endsAt: device.access.endsAt)
  }

  /// A stored key that no secret has.
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

  /// Nil unless the token and its device's secret are valid, and the device may be used.
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
  fileprivate func isGood(at now: Timestamp) -> Bool {
    now < expiresAt && device.isCurrentValid(at: now) && device.access.refusal(at: now) == nil
  }

  /// The expiry of the token, of the secret that it was issued for, or of the device.
  fileprivate var endsAt: Timestamp { min(expiresAt, device.endsAt ?? expiresAt) }
}

/// An authenticated request of a device. A class, because each step of a request stores it while it waits.
public final class DeviceSession: Sendable {
  public let deviceID: DeviceID
  public let clientID: ClientID
  /// The key that signs the response to a signed request; nil for a request with a token.
  public let serverKey: [UInt8]?
  /// What held when the request arrived.
  public let state: State
  /// Why the device, which proved who it is, may not be used; nil if it may.
  public let refusal: DeviceAccess.Refusal?
  /// The state of the device's limit after this request; nil if there is no limit.
  public let standing: RateLimit.Standing?
  /// Whether the device's limit admits the request. If not, nothing may be done for it, and its nonce is not stored.
  public var isAdmitted: Bool { standing?.retryAfterSeconds == nil }
  /// The `X-Request-Id` of the request.
  let requestID: String

  /// The argon2id hash of the secret that was used, or that the token was issued for. No other secret has it.
  let hmacKeyHash: String
  let usesNextSecret: Bool
  let tokenHash: TokenHash?

  /// What may change while a request waits.
  public struct State: Sendable {
    /// When the secret, the token or the device expires, if nothing changes; nil for never.
    let endsAt: Timestamp?
    /// What the owner allows the device to trade.
    public let tradingMode: TradingMode
    /// Where the device runs.
    let terminal: Terminal
  }

  /// The error if the device, its secret or its token ended during the request.
  public var ended: RegistryError { tokenHash == nil ? .signatureInvalid : .tokenInvalid }

  fileprivate init(
    of device: DeviceCredentials, bySignatureWith secret: AuthenticationService.Secret, at time: Timestamp,
    standing: RateLimit.Standing?, requestID: String
  ) {
    self.standing = standing
    deviceID = device.deviceID
    clientID = device.clientID
    self.requestID = requestID
    serverKey = secret.verifier.serverKey
    state = State(endsAt: secret.endsAt, tradingMode: device.access.tradingMode, terminal: device.terminal)
    refusal = device.access.refusal(at: time)
    hmacKeyHash = secret.verifier.hmacKeyHash
    usesNextSecret = secret.isNext
    tokenHash = nil
  }

  fileprivate init(
    of token: TokenCredentials, hash: TokenHash, standing: RateLimit.Standing?, requestID: String
  ) {
    self.standing = standing
    deviceID = token.device.deviceID
    clientID = token.device.clientID
    self.requestID = requestID
    serverKey = nil
    state = State(
      endsAt: token.endsAt, tradingMode: token.device.access.tradingMode, terminal: token.device.terminal)
    refusal = nil
    hmacKeyHash = token.device.current.hmacKeyHash
    usesNextSecret = false
    tokenHash = hash
  }
}

extension DeviceSession {
  /// A change that the device makes in this request.
  func change(at time: Timestamp) -> Change { Change(by: .device(deviceID), at: time, requestID: requestID) }
}

extension DeviceSession: CustomStringConvertible, CustomReflectable {
  /// Omits the keys.
  public var description: String { "session of \(deviceID)" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
