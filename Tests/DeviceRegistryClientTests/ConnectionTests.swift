import DeviceRegistryClient
import Glibc
import TestSupport
import Testing

/// The library and the command, and the real service at addresses and with certificates of several kinds.
@Suite("Connections to the running service")
struct ConnectionTests {
  private let directory = TemporaryDirectory()

  /// Registers a device; whoami of the library and of the command.
  private func expectUse(
    of registry: RunningRegistry, caFile: String? = nil, flags: [String] = [], environment: [String] = []
  ) async throws {
    let owner = try OwnerClient(url: registry.url, token: try await registry.token("alice"), caFile: caFile)
    let registered = try await owner.register(name: "EA-Main")
    let device = try DeviceClient(
      url: registry.url, credentials: try registered.credentials(), caFile: caFile)
    #expect(try await device.whoami().device.id == registered.device.id)
    let result = try await whoami(registry, registered.device.id, registered.secret, flags, environment)
    #expect(result.status == 0 && result.output.contains(registered.device.id), "\(result.errors)")
  }

  private func whoami(
    _ registry: RunningRegistry, _ id: String = StandInDevices.id, _ secret: String = StandInDevices.secret,
    _ flags: [String] = [], _ environment: [String] = []
  ) async throws -> Program.Result {
    let place = ["--id", id, "--secret-file", try secretFile(secret, in: directory), "--url", registry.url]
    return try await Program.run(["device", "whoami"] + place + flags, environment)
  }

  private static let hasIPv6: Bool = {
    let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_addr = in6addr_loopback
    return withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
      }
    }
  }()

  @Test(.enabled(if: hasIPv6, "this machine has no IPv6 loopback address"))
  func `The URL may have an IPv6 address`() async throws {
    let registry = try await RunningRegistry.start(clients: ["alice"], listen: "[::1]:0", in: directory)
    #expect(registry.url.hasPrefix("http://[::1]:"))
    try await expectUse(of: registry)
  }

  @Test(.enabled(if: hasIPv6, "this machine has no IPv6 loopback address"))
  func `So may one with https`() async throws {
    let files = try await CertificateFiles.make(in: directory)
    let registry = try await RunningRegistry.start(
      clients: ["alice"], listen: "[::1]:0", certificate: files, in: directory)
    try await expectUse(of: registry, caFile: files.certificate, flags: ["--ca-file", files.certificate])
  }

  @Test
  func `A certificate is trusted if its issuer is in the file of --ca-file, or else in that of SSL_CERT_FILE`()
    async throws
  {
    let files = try await CertificateFiles.make(in: directory)
    let other = try await CertificateFiles.make(in: directory)
    let registry = try await RunningRegistry.start(clients: ["alice"], certificate: files, in: directory)
    try await expectUse(
      of: registry, caFile: files.certificate, environment: ["SSL_CERT_FILE=\(files.certificate)"])
    for (flags, environment) in [
      ([], []), ([], ["SSL_CERT_FILE="]), ([], ["SSL_CERT_FILE=\(other.certificate)"]),
      (["--ca-file", other.certificate], ["SSL_CERT_FILE=\(files.certificate)"]),
      (["--ca-file", "/none"], ["SSL_CERT_FILE=\(files.certificate)"]),
    ] {
      let refused = try await whoami(registry, StandInDevices.id, StandInDevices.secret, flags, environment)
      #expect(refused.status == 1 && refused.output.isEmpty)
      #expect(refused.errors.contains("the server's certificate is not trusted ("), "\(refused.errors)")
    }
    let stranger = try OwnerClient(url: registry.url, token: "t", caFile: other.certificate)
    let error = await failure { () throws(RegistryClientError) in try await stranger.listDevices() }
    guard case .untrusted = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test
  func `A certificate for another host is not trusted`() async throws {
    let files = try await CertificateFiles.make(for: "DNS:registry.example.com", in: directory)
    let registry = try await RunningRegistry.start(clients: [], certificate: files, in: directory)
    let refused = try await whoami(
      registry, StandInDevices.id, StandInDevices.secret, ["--ca-file", files.certificate])
    #expect(refused.status == 1)
    #expect(refused.errors.contains("the server's certificate is not trusted ("), "\(refused.errors)")
  }

  @Test
  func `Plain HTTP to this machine goes through no proxy, and https goes through that of the environment`()
    async throws
  {
    let (plain, secure) = (TemporaryDirectory(), TemporaryDirectory())
    let proxies = ["http_proxy=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1"]
    try await expectUse(
      of: try await RunningRegistry.start(clients: ["alice"], in: plain), environment: proxies)
    let files = try await CertificateFiles.make(in: secure)
    let registry = try await RunningRegistry.start(clients: ["alice"], certificate: files, in: secure)
    let flags = ["--ca-file", files.certificate]
    let refused = try await whoami(registry, StandInDevices.id, StandInDevices.secret, flags, proxies)
    #expect(refused.status == 1 && refused.errors.contains("cannot reach the registry"), "\(refused.errors)")
    try await expectUse(
      of: registry, caFile: files.certificate, flags: flags, environment: proxies + ["no_proxy=127.0.0.1"])
  }
}

/// A certificate that is its own issuer, and its key.
struct CertificateFiles {
  let certificate: String
  let key: String

  /// - Parameter host: the subject's alternative name (RFC 5280, section 4.2.1.6), as OpenSSL writes it.
  static func make(
    for host: String = "IP:127.0.0.1,IP:::1", in directory: TemporaryDirectory
  ) async throws -> CertificateFiles {
    let name = "\(directory.path)/\(UInt64.random(in: 0 ... .max))"
    let files = CertificateFiles(certificate: "\(name).pem", key: "\(name).key")
    let made = try await Program.run(
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
        "/CN=registry", "-addext", "subjectAltName=\(host)", "-keyout", files.key, "-out", files.certificate,
      ], executable: "/usr/bin/openssl")
    try #require(made.status == 0, "\(made.errors)")
    return files
  }
}
