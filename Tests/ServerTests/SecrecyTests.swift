import Crypto
import Foundation
import Server
import TestSupport
import Testing

/// What a thief of the database, of the log or of the metrics finds.
@Suite("What is kept and told holds no secret", .serialized) struct SecrecyTests {
  /// Bytes that nobody may find, and what they are.
  private struct Secret {
    let name: String
    let bytes: [UInt8]

    init(_ name: String, _ bytes: some Sequence<UInt8>) { (self.name, self.bytes) = (name, Array(bytes)) }

    /// As they are, and as they may be written.
    var forms: [(name: String, bytes: Data)] {
      let hex = bytes.map { String(format: "%02x", $0) }.joined()
      let base64 = Data(bytes).base64EncodedString().replacing("=", with: "")
      let url = base64.replacing("+", with: "-").replacing("/", with: "_")
      return [("raw", Data(bytes))]
        + [("hex", hex), ("HEX", hex.uppercased()), ("base64", base64), ("base64url", url)]
        .map { ($0.0, Data($0.1.utf8)) }
    }

    func found(in place: Data) -> [String] {
      forms.filter { place.range(of: $0.bytes) != nil }.map { "\(name) as \($0.name)" }
    }
  }

  /// The forms of a secret of 64 digits: the text, its 32 bytes, and the key that signs.
  private static func secrets(of device: TestDevice, _ name: String) -> [Secret] {
    let clientKey = HMACSHA256.authenticate(key: Array(device.secret.utf8), message: Array("Client Key".utf8))
    return [
      Secret("secret \(name)", device.secret.utf8),
      Secret("bytes of secret \(name)", bytes(ofHex: device.secret)),
      Secret("secret \(name) in capitals", device.secret.uppercased().utf8),
      Secret("ClientKey \(name)", clientKey),
    ]
  }

  private static func bytes(ofHex text: String) -> [UInt8] {
    stride(from: 0, to: text.count, by: 2).map { UInt8(text.dropFirst($0).prefix(2), radix: 16)! }
  }

  private static func secrets(ofToken token: String) -> [Secret] {
    let base64 = String(token.dropFirst("drt_".count)).replacing("-", with: "+").replacing("_", with: "/")
    return [Secret("token", token.utf8), Secret("bytes of token", Data(base64Encoded: base64 + "=")!)]
  }

  private static func signature(_ lines: [(name: String, value: String)]) -> Secret {
    let value = lines.first { $0.name.lowercased() == "signature" }!.value
    return Secret("Signature", Data(base64Encoded: String(value.split(separator: ":")[1]))!)
  }

  /// All that is done with a secret, done well and badly; answers everything that must stay secret.
  private static func use(_ registry: TestRegistry, _ owner: TestOwner) async throws -> [Secret] {
    var secrets: [Secret] = [Secret("JWT of the owner", owner.token.utf8)]
    func signed(_ device: TestDevice, _ request: TestDevice.SignedRequest) async throws {
      let lines = try device.fields(of: request, port: registry.client.port)
      secrets.append(signature(lines))
      let fields = lines.map { ($0.name, $0.value) } + [("Content-Type", "application/json")]
      let answer = try await registry.client.send(
        request.method, request.target, fields: fields, body: request.body)
      if answer.value(of: "signature") != nil { secrets.append(signature(answer.fields)) }
    }
    let device = try await registry.newSignedDevice(of: owner)
    let wrong = TestDevice(id: device.id, secret: String(repeating: "0123456789abcdef", count: 4))
    secrets += Self.secrets(of: device, "first") + Self.secrets(of: wrong, "wrong")
    _ = try await registry.newSignal(of: owner)
    for sender in [device, wrong] {
      let poll = try registry.request("GET", "/api/v1/device/poll?wait=31")
      for _ in 0..<2 { try await signed(sender, poll) }
      try await signed(sender, registry.request("GET", "/api/v1/device/poll"))
      try await signed(sender, registry.request("POST", "/api/v1/device/ack", json: ["acks": [1]]))
      try await signed(sender, registry.request("GET", "/api/v1/device/none"))
      let answer = try await registry.askToken(sender)
      guard let token = try answer.string("access_token") else { continue }
      secrets += Self.secrets(ofToken: token)
      _ = try await registry.ask("GET", "/api/v1/device", token: token)
      _ = try await registry.ask("GET", "/api/v1/device", token: token + "0")
      _ = try await registry.ask("GET", "/api/v1/devices", token: token)
    }
    // A request that an owner asks about.
    let captured = try registry.request("GET", "/api/v1/device")
    for sender in [device, wrong] {
      let lines = try sender.fields(of: captured, port: registry.client.port)
      secrets.append(signature(lines))
      _ = try await registry.ask(
        "POST", "/api/v1/devices/\(device.id)/diagnose", as: owner,
        json: ["method": "GET", "target": "/api/v1/device", "headers": lines.map { [$0.name, $0.value] }])
    }
    // Codes that were used, and that were not; and secrets that came of them.
    var codes: [String] = []
    for _ in 0..<2 { codes.append(try await registry.newCode(of: owner)) }
    let enrolled = try await registry.enrol(codes[0], key: "k")
    secrets += Self.secrets(
      of: TestDevice(id: try enrolled.string("id")!, secret: try enrolled.string("secret")!), "enrolled")
    for code in [codes[0], codes[1] + "A", codes[1].lowercased() + "-"] {
      for name in ["EA", " "] { _ = try await registry.enrol(code, named: name, key: "k") }
    }
    for code in codes {
      let plain = code.replacing("-", with: "")
      secrets += [Secret("code", code.utf8), Secret("code without hyphens", plain.utf8)]
      secrets.append(Secret("code in small letters", plain.lowercased().utf8))
    }
    let next = try await registry.rotate(device, of: owner).device
    let new = try await registry.rotate(device, of: owner).device
    secrets += Self.secrets(of: next, "never used") + Self.secrets(of: new, "new")
    for sender in [device, next, new] { try await signed(sender, registry.request("GET", "/api/v1/device")) }
    let basic = Data("\(new.id):\(new.secret)".utf8).base64EncodedString()
    secrets.append(Secret("Basic", basic.utf8))
    for form in ["grant_type=client_credentials", "grant_type=password", "x"] {
      let answer = try await registry.client.send(
        "POST", "/api/v1/device/token",
        fields: [
          ("Authorization", "Basic \(basic)"), ("Content-Type", "application/x-www-form-urlencoded"),
        ], body: Array(form.utf8))
      if let token = try answer.string("access_token") { secrets += Self.secrets(ofToken: token) }
    }
    return secrets
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A dump of the database, the log with all its detail and the metrics have none in any form`(
    _ kind: DatabaseKind
  ) async throws {
    let database = await TestDatabase(kind)
    let log = LogFile()
    let (secrets, metrics, stored) = try await TestRegistry.with(
      database, settings: ["LOG_LEVEL": "debug"], bounds: { $0.maximumReplayNonces = 64 }, log: log
    ) { registry in
      let owner = try await registry.newOwner()
      let secrets = try await Self.use(registry, owner)
      // What fails for a reason of the service's own is in the log.
      let device = try await registry.newSignedDevice(of: owner)
      var failure: HTTPAnswer?
      for _ in 0..<64 where failure?.status != 503 {
        failure = try await registry.send(registry.request("GET", "/api/v1/device"), as: device)
      }
      #expect(failure?.status == 503)
      // While it runs, a part of it is in SQLite's other files.
      let stored = try await database.dump()
      return (
        secrets + Self.secrets(of: device, "of the last"),
        Data(try await registry.askAdmin("GET", "/metrics").body), stored
      )
    }
    let afterwards = try await database.dump()
    let lines = try #require(FileManager.default.contents(atPath: log.path))
    #expect(secrets.count > 40)
    for (place, data) in [("dump", stored), ("dump at rest", afterwards), ("log", lines), ("metrics", metrics)]
    {
      for secret in secrets { #expect(secret.found(in: data) == [], "in the \(place)") }
    }
    // It would be found if it was there: what may be stored is.
    let hex = try await database.first(
      kind == .sqlite
        ? "SELECT lower(hex(stored_key)) FROM devices" : "SELECT encode(stored_key, 'hex') FROM devices")
    let storedKey = Secret("StoredKey", Self.bytes(ofHex: try #require(hex)))
    #expect(storedKey.found(in: afterwards).count == 1)
    #expect(String(decoding: lines, as: UTF8.self).contains(#""level":"error","event":"request""#))
    #expect(String(decoding: metrics, as: UTF8.self).contains("http_requests_total"))
  }
}

extension TestDatabase {
  /// All that is in it: of PostgreSQL what `pg_dump` writes, of SQLite the bytes of its files.
  fileprivate func dump() async throws -> Data {
    switch kind {
    case .postgres:
      return Data(
        try await Program.run(["--dbname", url], executable: "/usr/bin/pg_dump").output.utf8)
    case .sqlite:
      let files = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        .filter { $0.hasPrefix("registry.db") }
      return try files.reduce(into: Data()) { dump, name in
        dump += try #require(FileManager.default.contents(atPath: "\(directory.path)/\(name)"))
      }
    }
  }
}
