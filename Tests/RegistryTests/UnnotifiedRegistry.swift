import EventLoop
import Registry
import SQLiteStore
import Synchronization
import TestSupport

/// The registry's services on a SQLite database, in a process that trusts its cache and is not notified of
/// changes in the database: a cached value stays unless the operation removes it.
final class UnnotifiedRegistry: Sendable {
  static let owner = ClientID("alice")!
  /// Changes made here are those of another process.
  let database: any RegistryStore
  /// The same database, for the services.
  let store: InterruptibleStore
  let live: LiveDevices
  let clock: SetClock
  /// The events of the services.
  let events = RecordedEvents()
  private let services: Services
  private let monotonicMilliseconds: MonotonicTime
  private let nonces = Atomic(0)

  private final class MonotonicTime: Sendable {
    let milliseconds = Atomic<Int64>(0)
  }

  /// Passes a registry with one client to the body, which runs on its loop.
  static func with(_ body: @escaping @Sendable (UnnotifiedRegistry) async throws -> Void) async throws {
    let directory = TemporaryDirectory()
    let path = "\(directory.path)/registry.db"
    _ = try await onOwnThread { try SQLiteMigrator.migrate(path: path) }
    let loop = try EventLoop(name: "test")
    defer { loop.stop() }
    let database = try SQLiteDatabase(path: path)
    defer { database.close() }
    let store = try SQLiteStore(database: database, loop: loop)
    let result: Result<Void, any Error>
    do {
      try await loop.run {
        let registry = UnnotifiedRegistry(store)
        // A poll that is parked by mistake must not outlive the test.
        defer { registry.live.parked.close() }
        _ = try await registry.clients.createClient(
          id: owner, email: nil, telegramID: nil, change: registry.change)
        try await body(registry)
      }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    await store.close()
    try result.get()
  }

  private init(_ sqlite: SQLiteStore) {
    let (store, clock, time) = (InterruptibleStore(sqlite), SetClock(), MonotonicTime())
    let (random, hasher) = (DifferentBytes(), LegibleHasher())
    let now = { @Sendable in time.milliseconds.load(ordering: .relaxed) }
    let (live, limits) = (
      LiveDevices(monotonicMilliseconds: now),
      RateLimits(RateLimits.Settings(), random: random, monotonicMilliseconds: now)
    )
    live.trust(untilMilliseconds: .max)
    let replay = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300)
    replay.hold(since: nil)
    database = sqlite
    self.store = store
    self.clock = clock
    self.live = live
    monotonicMilliseconds = time
    services = Services(
      store: store, live: live, replay: replay, hasher: hasher, limits: limits, clock: clock, random: random,
      observer: events, skewSeconds: 300, maxDevicesPerClient: 10)
  }

  var authentication: AuthenticationService { services.authentication }
  var devices: DeviceService { services.devices }
  var clients: ClientService { services.clients }
  var tokens: TokenService { services.tokens }
  var signals: SignalService { services.signals }

  /// A change that the owner makes now.
  var change: Change { Change(by: .owner(Self.owner.text), at: clock.now(), requestID: "owner's request") }

  /// Moves both clocks.
  func advance(seconds: Int64) {
    clock.advance(milliseconds: seconds * 1000)
    monotonicMilliseconds.milliseconds.add(seconds * 1000, ordering: .relaxed)
  }

  // MARK: What owners and devices do

  func newDevice(_ name: String = "EA") async throws -> RegisteredDevice {
    try await devices.createDevice(clientID: Self.owner, deviceName: DeviceName(name), change: change)
  }

  /// Rotates the device's secret and returns the new one.
  func rotate(_ id: DeviceID, graceSeconds: Int) async throws(RegistryError) -> DeviceSecret {
    try await devices.rotateSecret(of: id, owner: Self.owner, graceSeconds: graceSeconds, change: change)
      .registered.secret
  }

  /// Sends a request that is signed with the secret.
  func session(of id: DeviceID, signedWith secret: DeviceSecret) async throws(RegistryError) -> DeviceSession {
    let nonce = "nonce-\(nonces.add(1, ordering: .relaxed).newValue)"
    return try await authentication.authenticate(
      id, nonce: nonce, created: clock.now().millisecondsSince1970 / 1000,
      from: CallerAddress(high: 0, low: 1), requestID: "device's request",
      isSigned: LegibleHasher().storedKeyTest(of: secret))
  }

  func session(token: String) async throws(RegistryError) -> DeviceSession {
    try await authentication.authenticate(
      token: token, from: CallerAddress(high: 0, low: 1), requestID: "device's request")
  }

  func token(of id: DeviceID, for secret: DeviceSecret) async throws(RegistryError) -> String {
    try await tokens.issueToken(
      to: id, secret: secret, requestID: "device's request"
    ).token
      .withCharacters { String(decoding: $0, as: UTF8.self) }
  }

  func send(to selector: DeviceSelector) async throws(RegistryError) -> SignalID {
    try await signals.createSignal(
      clientID: Self.owner, payload: Array("{}".utf8), to: selector, lifetimeSeconds: 3600, change: change
    ).id
  }
}

/// The two ways in which a device authenticates.
enum Proof: CaseIterable {
  case signature, token

  /// The error for an invalid proof.
  var refusal: RegistryError { self == .signature ? .signatureInvalid : .tokenInvalid }

  /// The error after a secret ended: a device that signs learns the truth.
  func refusal(after end: SecretEnd) -> RegistryError {
    if self == .signature, let truth = end.truth { .refused(truth) } else { refusal }
  }
}

/// A device that authenticates in one of the ways.
struct ProvingDevice: Sendable {
  let registry: UnnotifiedRegistry
  let id: DeviceID
  let secret: DeviceSecret
  private let token: String?

  init(_ device: RegisteredDevice, by proof: Proof, in registry: UnnotifiedRegistry) async throws {
    self.registry = registry
    id = device.device.id
    secret = device.secret
    token = proof == .token ? try await registry.token(of: id, for: secret) : nil
  }

  func session() async throws(RegistryError) -> DeviceSession {
    if let token { return try await registry.session(token: token) }
    let session = try await registry.session(of: id, signedWith: secret)
    if let refusal = session.refusal { throw .refused(refusal) }
    return session
  }

  /// Authenticates until the process has cached the device, and returns the last session.
  @discardableResult
  func remembered() async throws -> DeviceSession {
    _ = try await session()
    let hits = registry.live.cacheLookups.hits
    let session = try await session()
    guard registry.live.cacheLookups.hits > hits else { throw NotRemembered() }
    return session
  }

  private struct NotRemembered: Error {}
}

/// Different bytes at each call: each byte is one more than the one before, and so is the first one of a call.
private final class DifferentBytes: RandomSource {
  private let calls = Atomic(0)

  func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    CountingRandom(start: UInt8(truncatingIfNeeded: calls.add(1, ordering: .relaxed).newValue)).fill(buffer)
  }
}

/// A hasher without cryptography: the first half of a secret is its stored key.
private struct LegibleHasher: PasswordHasher {
  func verifier(
    for secret: DeviceSecret, of client: ClientID, isRotation: Bool
  ) async throws(RegistryError) -> SecretVerifier {
    let characters = secret.withCharacters(Array.init)
    return SecretVerifier(
      hmacKeyHash: "$argon2id$" + String(decoding: characters, as: UTF8.self),
      storedKey: Array(characters.prefix(SecretVerifier.keyLength)),
      serverKey: Array(characters.suffix(SecretVerifier.keyLength)))
  }

  func storedKeyTest(of secret: DeviceSecret) -> (_ storedKey: [UInt8]) -> Bool {
    { storedKey in secret.withCharacters { storedKey.elementsEqual($0.prefix(SecretVerifier.keyLength)) } }
  }

  func verify(
    _ secret: DeviceSecret, against hmacKeyHash: String, of client: ClientID
  ) async throws(RegistryError) -> Bool {
    secret.withCharacters { hmacKeyHash.utf8.suffix(DeviceSecret.textLength).elementsEqual($0) }
  }

  func hash(ofToken characters: UnsafeBufferPointer<UInt8>) -> TokenHash {
    TokenHash(Array(characters.suffix(TokenHash.length)))
  }
}
