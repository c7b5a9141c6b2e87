import Foundation
import TestSupport
import Testing

/// HTTPS with real certificates, and real clients.
@Suite struct TLS {
  private static let ok = #"{"status":"ok"}"#

  @Test func `SIGHUP shows new connections the new certificate, and old ones continue`() async throws {
    let service = try await TLSService()
    let old = try service.connect(trusting: "first")
    #expect(try await old.ask("/healthz").hasSuffix(Self.ok))
    try await service.makeCertificate("second")
    try service.put("second.pem", "second.key")
    let line = try await service.reload(until: "certificate reloaded")
    #expect(line.contains(/"expires_at":"20\d\d-/))
    let new = try service.connect(trusting: "second")
    #expect(try await new.ask("/healthz").hasSuffix(Self.ok))
    // A client that trusts only the old certificate gets another one.
    #expect(try await service.curl("/healthz", trusting: "first").status == 60)
    #expect(try await old.ask("/healthz").hasSuffix(Self.ok))
    old.close()
    new.close()
    await service.stop()
  }

  @Test func `Of files that cannot be used the log says why, and the old certificate stays in force`()
    async throws
  {
    let service = try await TLSService()
    try await service.makeCertificate("second")
    try service.write("nonsense", to: "nonsense.pem")
    let reasons = [
      ("first.pem", "second.key", "is not the private key of the certificate"),
      ("nonsense.pem", "second.key", "is not a certificate"),
      ("first.pem", "nonsense.pem", "is not a private key"),
    ]
    for (certificate, key, reason) in reasons {
      try service.put(certificate, key)
      let line = try await service.reload(until: reason)
      #expect(line.contains(#""level":"error","event":"certificate not reloaded","cause":"TLS_"#), "\(line)")
    }
    try service.remove()
    _ = try await service.reload(until: "cannot read")
    #expect(try await service.curl("/healthz", trusting: "first").output == Self.ok)
    // And once they are right, they count.
    try service.put("second.pem", "second.key")
    _ = try await service.reload(until: "certificate reloaded")
    #expect(try await service.curl("/healthz", trusting: "second").output == Self.ok)
    await service.stop()
  }

  @Test func `TLS 1.2 and 1.3 are spoken, and nothing older`() async throws {
    let service = try await TLSService()
    for version in ["1.2", "1.3"] {
      let answer = try await service.curl(
        "/healthz", trusting: "first", "--tlsv\(version)", "--tls-max", version)
      #expect(answer.output == Self.ok)
    }
    for (version, isSpoken) in [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true)] {
      let handshake = try await Program.run(
        ["s_client", "-connect", service.address, version, "-cipher", "DEFAULT@SECLEVEL=0"],
        executable: "/usr/bin/openssl")
      #expect((handshake.status == 0) == isSpoken, "\(version)")
      // It is the service that hangs up, and not the client that cannot.
      let isRefused =
        handshake.errors.contains("unexpected eof") || handshake.errors.contains("alert protocol version")
      #expect(isRefused == !isSpoken, "\(handshake.errors)")
    }
    await service.stop()
  }

  @Test
  func `The device command names the certificate, and does not ask to try again, where it is not trusted`()
    async throws
  {
    let service = try await TLSService()
    let result = try await service.device("whoami")
    #expect(result.status == 1)
    #expect(result.errors.contains("the server's certificate") && !result.errors.contains("try again"))
    await service.stop()
  }

  @Test func `Every answer over TLS tells clients to stay with it`() async throws {
    let service = try await TLSService()
    for path in ["/healthz", "/coffee", "/api/v1/device/poll"] {
      let answer = try await service.curl(path, trusting: "first", "-i").output
      #expect(answer.contains("Strict-Transport-Security: max-age=31536000\r\n"))
    }
    await service.stop()
  }

  @Test(arguments: [
    ("https://registry.example.com", true), ("http://registry.example.com", false), ("", false),
  ])
  func `Behind a proxy that has TLS, so does every answer, and without TLS none`(
    _ publicURL: String, _ isStrict: Bool
  ) async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite), settings: ["PUBLIC_URL": publicURL]) { registry in
      for path in ["/healthz", "/coffee"] {
        let answer = try await registry.ask("GET", path)
        #expect((answer.value(of: "Strict-Transport-Security") == "max-age=31536000") == isStrict)
      }
      let refused = try await registry.client.sendRaw(Array("GET / HTTP/1.1\r\n\r\n".utf8), methods: ["GET"])
      #expect((refused[0].value(of: "Strict-Transport-Security") != nil) == isStrict)
    }
  }

  @Test func `Without TLS, SIGHUP changes nothing`() async throws {
    let directory = TemporaryDirectory()
    let service = try Program(["serve"], TLSService.environment(directory))
    let line = try await service.errorLine(containing: #""event":"listening""#)
    service.send(SIGHUP)
    let told = try await service.errorLine(containing: "nothing to reload")
    #expect(told.contains(#""level":"notice""#))
    let port = try #require(line.firstMatch(of: /"address":"127.0.0.1:(\d+)"/).flatMap { UInt16($0.1) })
    #expect(try await HTTPClient(port: port).send("GET", "/healthz").text == Self.ok)
    service.send(SIGTERM)
    await service.expectEnd()
  }

  @Test(arguments: [
    ("first.pem", "second.key", "TLS_KEY_FILE", "is not the private key of the certificate"),
    ("first.key", "first.key", "TLS_CERT_FILE", "is not a certificate"),
    ("first.pem", "first.pem", "TLS_KEY_FILE", "is not a private key"),
    ("first.pem", "none", "TLS_KEY_FILE", "cannot read"),
  ])
  func `A certificate and a key that do not fit stop the start`(
    _ certificate: String, _ key: String, _ setting: String, _ reason: String
  ) async throws {
    let directory = TemporaryDirectory()
    for name in ["first", "second"] { try await TLSService.makeCertificate(name, in: directory) }
    let files = ["TLS_CERT_FILE=\(directory.path)/\(certificate)", "TLS_KEY_FILE=\(directory.path)/\(key)"]
    let result = try await Program.run(["serve"], TLSService.environment(directory) + files)
    #expect(result.status == 2)
    #expect(result.errors.contains(setting) && result.errors.contains(reason), "\(result.errors)")
  }
}

/// The program, with a certificate that its test can replace.
private struct TLSService {
  private let directory: TemporaryDirectory
  private let program: Program
  let address: String

  /// With a certificate named `first`.
  init() async throws {
    directory = TemporaryDirectory()
    try await Self.makeCertificate("first", in: directory)
    let (certificate, key) = ("\(directory.path)/certificate.pem", "\(directory.path)/certificate.key")
    try FileManager.default.copyItem(atPath: "\(directory.path)/first.pem", toPath: certificate)
    try FileManager.default.copyItem(atPath: "\(directory.path)/first.key", toPath: key)
    program = try Program(
      ["serve"],
      Self.environment(directory) + ["TLS_CERT_FILE=\(certificate)", "TLS_KEY_FILE=\(key)"])
    let line = try await program.errorLine(containing: #""event":"listening""#)
    address = String(try #require(line.firstMatch(of: /"address":"(127.0.0.1:\d+)"/)).1)
  }

  static func environment(_ directory: TemporaryDirectory) -> [String] {
    [
      "JWT_SECRET=0123456789abcdef0123456789abcdef", "DATABASE_URL=sqlite:\(directory.path)/registry.db",
      "LISTEN=127.0.0.1:0", "ADMIN_LISTEN=",
    ]
  }

  /// A certificate for this machine, which vouches for itself, in `NAME.pem`, and its key in `NAME.key`.
  static func makeCertificate(_ name: String, in directory: TemporaryDirectory) async throws {
    let made = try await Program.run(
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
        "/CN=\(name)", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "\(directory.path)/\(name).key",
        "-out", "\(directory.path)/\(name).pem",
      ], executable: "/usr/bin/openssl")
    try #require(made.status == 0, "\(made.errors)")
  }

  func makeCertificate(_ name: String) async throws { try await Self.makeCertificate(name, in: directory) }

  func write(_ text: String, to name: String) throws {
    try text.write(toFile: "\(directory.path)/\(name)", atomically: true, encoding: .utf8)
  }

  /// Puts files in the place of the service's.
  func put(_ certificate: String, _ key: String) throws {
    for (name, place) in [(certificate, "certificate.pem"), (key, "certificate.key")] {
      try write(String(contentsOfFile: "\(directory.path)/\(name)", encoding: .utf8), to: place)
    }
  }

  func remove() throws { try FileManager.default.removeItem(atPath: "\(directory.path)/certificate.pem") }

  /// Sends SIGHUP, and waits for the line that answers it.
  func reload(until text: String) async throws -> String {
    program.send(SIGHUP)
    return try await program.errorLine(containing: text)
  }

  /// A connection that stays open.
  func connect(trusting name: String) throws -> TLSConnection {
    try TLSConnection(to: address, trusting: "\(directory.path)/\(name).pem")
  }

  func curl(_ path: String, trusting name: String, _ arguments: String...) async throws -> Program.Result {
    try await Program.run(
      ["-s", "--cacert", "\(directory.path)/\(name).pem"] + arguments + ["https://\(address)\(path)"],
      executable: "/usr/bin/curl")
  }

  /// The device command, to which this service is a stranger.
  func device(_ action: String) async throws -> Program.Result {
    let secret = "\(directory.path)/secret"
    _ = FileManager.default.createFile(
      atPath: secret, contents: Data(String(repeating: "0", count: 64).utf8),
      attributes: [.posixPermissions: 0o600])
    return try await Program.run([
      "device", action, "--id", UUID().uuidString.lowercased(), "--secret-file", secret, "--url",
      "https://\(address)",
    ])
  }

  /// Ends it, which is to be a good end.
  func stop(at location: SourceLocation = #_sourceLocation) async {
    program.send(SIGTERM)
    await program.expectEnd(at: location)
  }
}
