private import API
private import Crypto
private import Encoding
private import EventLoop
private import Glibc
private import HTTP
private import JSONWebToken
private import Registry
private import RequestSignature
private import SQLiteStore
private import Server

/// Whole requests, from their head to their answer, on SQLite: a probe, a read by an owner, a signed poll.
struct Requests {
  private static let secret = String(repeating: "5ec1", count: 16)
  private static let owner = ClientID("client-0000001")!

  static func measure() async throws {
    let path = "/tmp/benchmark-micro-requests-\(getpid()).db"
    defer { for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) } }
    _ = try SQLiteMigrator.migrate(path: path)
    let loop = try EventLoop(name: "micro")
    let database = try SQLiteDatabase(path: path)
    let store = try await loop.run { try SQLiteStore(database: database, loop: loop) }
    let (api, registered) = try await loop.run { try await compose(store) }
    let requests = try [
      ("answer a probe", request("/healthz")),
      ("answer a read", request("/api/v1/devices/\(registered.device.id)", ["Authorization": "Bearer x"])),
      ("answer a signed poll", poll(by: registered)),
    ]
    await loop.run {
      for (name, request) in requests {
        guard await api.respond(to: request).status == 200 else { return print("\(name): refused") }
        await Stopwatch.measure(name) { _ = await api.respond(to: request) }
      }
    }
    await store.close()
    database.close()
    loop.stop()
  }

  /// A registry of one device, whose replay protection and tokens accept anything.
  private static func compose(_ store: SQLiteStore) async throws -> (API, RegisteredDevice) {
    let outside = Outside()
    let live = LiveDevices(monotonicMilliseconds: { 0 })
    live.trust(untilMilliseconds: .max)
    let limits = RateLimits(
      .init(client: RateLimit(requests: 1_000_000, windowSeconds: 1)), random: outside,
      monotonicMilliseconds: { 0 })
    let services = Services(
      store: store, live: live, replay: outside, hasher: outside, limits: limits, clock: outside,
      random: outside,
      observer: Unobserved(), skewSeconds: 300, maxDevicesPerClient: 10)
    let change = Change(by: .operator, at: outside.now())
    _ = try await services.clients.createClient(id: owner, email: nil, telegramID: nil, change: change)
    let device = try await services.devices.createDevice(
      clientID: owner, deviceName: DeviceName("EA"), change: change)
    return (
      API(services: services, verifier: outside, origin: SignatureOrigin(scheme: "http")) { _ in }, device
    )
  }

  private static func request(_ target: String, _ fields: [String: String] = [:]) throws -> Request {
    let section = fields.map { "\($0.key): \($0.value)\r\n" }.joined() + "Host: 127.0.0.1\r\n\r\n"
    return Request(
      id: "benchmark", method: "GET", target: target,
      fields: try HeaderFields(Array(section.utf8), maximumLines: fields.count + 1), body: .complete([]),
      client: IPAddress("127.0.0.1")!)
  }

  private static func poll(by registered: RegisteredDevice) throws -> Request {
    let target = API.pollPath
    let view = RequestView(method: "GET", target: target, scheme: "http", authority: "127.0.0.1") { _ in nil }
    let keys = registered.secret.withCharacters { DeviceKeys(secret: $0) }
    let fields = try RequestSigner(keyID: "\(registered.device.id)", keys: keys)
      .sign(view, nonce: "0123456789abcdefghijkl", created: Outside.seconds)
    return try request(
      target, ["Signature-Input": fields.signatureInput, "Signature": fields.signature])
  }
}

/// What the registry needs, without what it protects from.
private struct Outside: PasswordHasher, ReplayStore, Clock, RandomSource, OwnerTokenVerifier {
  static let seconds: Int64 = 1_800_000_000

  let keyGeneration = 0
  func verify(_ token: String, at now: Timestamp) async throws(OwnerTokenError) -> OwnerToken {
    OwnerToken(
      subject: "client-0000001", clientID: ClientID("client-0000001")!, scopes: [], expiresAt: now + 900_000)
  }

  func remember(_ nonce: SignedNonce) async throws(RegistryError) -> Bool { true }

  func verifier(
    for secret: DeviceSecret, of client: ClientID, isRotation: Bool
  ) async throws(RegistryError) -> SecretVerifier {
    secret.withCharacters { characters in
      let keys = ScramKeys(secret: characters)
      return SecretVerifier(
        hmacKeyHash: "$argon2id$", storedKey: keys.storedKey, serverKey: keys.serverKey)
    }
  }
  func storedKeyTest(of secret: DeviceSecret) -> (_ storedKey: [UInt8]) -> Bool { { _ in false } }
  func verify(
    _ secret: DeviceSecret, against hmacKeyHash: String, of client: ClientID
  ) async throws(RegistryError) -> Bool { false }
  func hash(ofToken characters: UnsafeBufferPointer<UInt8>) -> TokenHash { TokenHash(SHA256.hash(characters)) }

  func now() -> Timestamp { Timestamp(millisecondsSince1970: Self.seconds * 1000) }
  func fill(_ buffer: UnsafeMutableRawBufferPointer) { SystemRandom.fill(buffer) }
}
