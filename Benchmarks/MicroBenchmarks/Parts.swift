private import API
private import Crypto
private import EventLoop
private import Glibc
private import HTTP
private import JSONWebToken
private import PostgresStore
private import Registry
private import RequestSignature
private import SQLiteStore
private import Server

/// The parts of a signed poll and of a read.
struct Parts {
  private static let secret = String(repeating: "5ec1", count: 16)
  private static let keyID = "00000000-0000-7000-8000-000000000001"
  private static let created: Int64 = 1_800_000_000

  private let storedKey: [UInt8]
  private let serverKey: [UInt8]
  private let request: RequestView

  init() throws {
    var secret = Self.secret
    let (keys, deviceKeys) = secret.withUTF8 { (ScramKeys(secret: $0), DeviceKeys(secret: $0)) }
    (storedKey, serverKey) = (keys.storedKey, keys.serverKey)
    var request = RequestView(
      method: "GET", target: "/api/v1/device/poll", scheme: "http", authority: "127.0.0.1:8000"
    ) { _ in nil }
    let fields = try RequestSigner(keyID: Self.keyID, keys: deviceKeys)
      .sign(request, nonce: "0123456789abcdefghijkl", created: Self.created)
    request.value = { name in
      switch name {
      case "signature-input": Array(fields.signatureInput.utf8)
      case "signature": Array(fields.signature.utf8)
      default: nil
      }
    }
    self.request = request
  }

  /// Parsing a signed poll, by llhttp and by us.
  func measureRequests() {
    let lines = [
      ("Host", "127.0.0.1:8000"), ("User-Agent", "MetaTrader 5 Terminal/5.4150 (Windows NT 10.0; x64)"),
      ("Accept", "*/*"),
      ("Signature-Input", String(decoding: request.value("signature-input") ?? [], as: UTF8.self)),
      ("Signature", String(decoding: request.value("signature") ?? [], as: UTF8.self)),
    ].map { "\($0): \($1)\r\n" }
    let bytes = Array("GET \(request.target) HTTP/1.1\r\n\(lines.joined())\r\n".utf8)
    var machine = ConnectionMachine(within: .init(HTTPLimits()))
    bytes.withUnsafeBufferPointer { bytes in
      Stopwatch.measure("parse: llhttp, fields, framing") {
        var rest = bytes
        guard case .request = machine.next(&rest) else { fatalError("no request") }
        machine.answered(closes: false)
      }
    }
    let router = Router(API.routes)
    for path in [request.target, "/api/v1/devices/\(Self.keyID)"] {
      Stopwatch.measure("route \(path == request.target ? "a poll" : "a read")") {
        guard case .found = router.match(method: "GET", path: path[...]) else { fatalError("no route") }
      }
    }
  }

  /// Answers as JSON.
  func measureAnswers() {
    let time = Timestamp(millisecondsSince1970: Self.created * 1000)
    for count in [1, 10, 100] {
      let devices = (1...count).map { number in
        Device(
          registered: DeviceID(high: 0x7000, low: 0x8000_0000_0000_0000 + UInt64(number)),
          clientID: ClientID("client-0000001")!, deviceName: DeviceName(stored: "EA-\(number)"),
          at: Timestamp(millisecondsSince1970: Self.created * 1000))
      }
      Stopwatch.measure("encode devices: \(count)") { _ = API.answer(listing: devices, at: time) }
    }
    for count in [0, 10] {
      let signals = (0..<count).map { number in
        Signal(
          id: SignalID(high: 0x7000, low: 0x8000_0000_0000_0000 + UInt64(number)),
          clientID: ClientID("client-0000001")!,
          payload: Array(#"{"symbol":"EURUSD","side":"buy","volume":0.1}"#.utf8), createdAt: time,
          expiresAt: time + 3_600_000)
      }
      Stopwatch.measure("encode a poll: \(count) signals") { _ = API.answer(polled: signals, at: time) }
    }
  }

  func measureSignatures() {
    guard let proof = try? RequestProof(request) else { return print("no proof") }
    Stopwatch.measure("read the signature, build its base") { _ = try? RequestProof(request) }
    Stopwatch.measure("verify the proof") { _ = proof.verify(storedKey: storedKey) }
    let body = Array(#"{"signals":[],"server_time":"2026-01-01T00:00:00.000Z"}"#.utf8)
    Stopwatch.measure("sign the answer") {
      _ = ResponseSigner.sign(
        status: 200, body: body, created: Self.created, keyID: Self.keyID, nonce: proof.nonce,
        serverKey: serverKey)
    }
    Stopwatch.measure("HMAC-SHA-256 of 160 bytes") {
      _ = HMACSHA256.authenticate(key: serverKey, message: Self.message)
    }
  }

  private static let message = [UInt8](repeating: 7, count: 160)

  func measureTokens() async {
    let key = TokenSecret(Array(String(repeating: "benchmark", count: 4).utf8))!
    let now = Int64(time(nil))
    guard
      let token = TokenSigner(secret: key).sign(subject: "client", issuedAtSeconds: now, lifetimeSeconds: 900)
    else { return }
    let verifier = TokenVerifier(secret: key)
    await Stopwatch.measure("verify a JWT, HS256, not remembered") {
      _ = try? await verifier.verify(token, nowMilliseconds: now * 1000)
    }
    guard let loop = try? EventLoop(name: "micro") else { return }
    await loop.run {
      let limits = RateLimits(.init(), random: RealRandom(), monotonicMilliseconds: { 0 })
      let tokens = OwnerTokens(verifier: JWTVerifier(verifier), limits: limits, clock: RealClock())
      await Stopwatch.measure("verify a JWT, remembered") {
        _ = try? await tokens.verify(token, from: CallerAddress(high: 0, low: 0))
      }
    }
    loop.stop()
  }

  func measureReplay() async {
    let memory = ReplayMemory(clock: RealClock(), hash: NonceSipHash(), skewSeconds: 300)
    memory.hold(since: nil)
    let created = RealClock().now()
    var number = 0
    await Stopwatch.measure("remember a nonce") {
      number += 1
      _ = try? await memory.remember(
        SignedNonce(
          "0123456789-\(number)", of: DeviceID(high: 1, low: 2), created: created, leadMilliseconds: 5000,
          expiry: created + 300_000))
    }
  }

  func measureStatements() async throws {
    let path = "/tmp/benchmark-micro-\(getpid()).db"
    defer { for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) } }
    _ = try SQLiteMigrator.migrate(path: path)
    let loop = try EventLoop(name: "micro")
    let database = try SQLiteDatabase(path: path)
    let sqlite = try await loop.run { try SQLiteStore(database: database, loop: loop) }
    await loop.run {
      await Stopwatch.measure("SQLite: one row that is not there") {
        _ = try? await sqlite.device(DeviceID(high: 1, low: 2))
      }
    }
    await sqlite.close()
    database.close()
    if let url = getenv("DATABASE_URL").map({ String(cString: $0) }) {
      let postgres = try await loop.run {
        let store = try PostgresStore(url: url, loop: loop, loops: 1)
        store.start()
        return store
      }
      await loop.run {
        await Stopwatch.measure("PostgreSQL: one row, there and back", repetitions: 2000) {
          _ = try? await postgres.device(DeviceID(high: 0x7000, low: 0x8000_0000_0000_0001))
        }
      }
      await postgres.close()
    }
    loop.stop()
  }
}

private struct RealClock: Clock {
  func now() -> Timestamp { Timestamp(millisecondsSince1970: Int64(time(nil)) * 1000) }
}

private struct RealRandom: RandomSource {
  func fill(_ buffer: UnsafeMutableRawBufferPointer) { SystemRandom.fill(buffer) }
}

private struct NonceSipHash: NonceHash {
  private let hash = SipHash(key: Array(0..<16))
  var key: [UInt8] { hash.key }
  func callAsFunction(_ message: UnsafeRawBufferPointer) -> UInt64 { hash(message) }
}
