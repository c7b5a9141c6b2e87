import EventLoop
import HTTPClient
import Synchronization
import TestSupport
import Testing

@testable import JSONWebToken
@testable import Server

/// A local HTTPS server that publishes a key set, and a client.
private final class KeyServer: Sendable {
  private let server: HTTPSServer
  private let loop: EventLoop
  private let client: WebClient
  private let isClosed = Atomic(false)

  var certificate: String { server.certificate }

  private init(_ keySet: [UInt8], _ host: String) async throws {
    server = try await HTTPSServer(content: keySet, host: host)
    let loop = try EventLoop(name: "test")
    self.loop = loop
    client = try await loop.run { () throws(FetchError) in try WebClient(on: loop) }
  }

  static func with(
    keySet: [UInt8], host: String = "localhost", _ body: (KeyServer) async throws -> Void
  ) async throws {
    let server = try await KeyServer(keySet, host)
    do {
      try await body(server)
    } catch {
      await server.close()
      throw error
    }
    await server.close()
  }

  func close() async {
    guard !isClosed.exchange(true, ordering: .relaxed) else { return }
    await client.close()
    loop.stop()
  }

  /// Trusts only the server's certificate.
  func request(_ path: String) -> WebClient.Request {
    var request = WebClient.Request(url: "https://localhost:\(server.port)/\(path)")
    request.certificateFile = certificate
    request.totalTimeoutMilliseconds = 30_000
    return request
  }

  func fetch(_ request: WebClient.Request) async throws(JWKSetError) -> FetchedKeySet {
    try await client.keySet(request)
  }

  func fetch(_ path: String) async throws(JWKSetError) -> FetchedKeySet { try await fetch(request(path)) }

  func expect(
    _ error: JWKSetError, _ request: WebClient.Request, at location: SourceLocation = #_sourceLocation
  ) async {
    await #expect(throws: error, sourceLocation: location) { try await fetch(request) }
  }
}

@Suite("Keys from a URL: the request", .serialized)
struct KeySetDownloadTests {
  private let keys = keySet(TestKey.p256.jwk(#""kid":"a""#))

  @Test
  func `A response has keys and a lifetime, and every other response is refused`() async throws {
    try await KeyServer.with(keySet: keys) { server in
      let lifetimes = [("keys", 300), ("max-age", 70), ("expires", 120), ("expired", 10)]
      for (path, seconds) in lifetimes {
        let fetched = try await server.fetch(path)
        #expect(fetched.keys.count == 1 && fetched.lifetimeSeconds == seconds, "\(path)")
      }
      await server.expect(.notFetched(reason: "the answer was 302, not 200"), server.request("redirect"))
      await server.expect(.notFetched(reason: "the answer was 404, not 200"), server.request("absent"))
      await server.expect(.tooLarge, server.request("large"))
      await server.expect(.notAKeySet, server.request("broken"))
      await server.expect(.noUsableKey(refusals: []), server.request("withdrawn"))
      var slow = server.request("slow")
      slow.totalTimeoutMilliseconds = 200
      await server.expect(.notFetched(reason: "Timeout was reached"), slow)
    }
  }

  @Test
  func `An untrusted certificate, or one of another host, is refused`() async throws {
    try await KeyServer.with(keySet: keys) { server in
      try await KeyServer.with(keySet: keys, host: "elsewhere.example") { other in
        let refused = JWKSetError.notFetched(reason: "SSL peer certificate or SSH remote key was not OK")
        var request = server.request("keys")
        request.certificateFile = other.certificate
        await server.expect(refused, request)
        await other.expect(refused, other.request("keys"))
        request.certificateFile = nil
        await server.expect(refused, request)
        request.certificateFile = "/nowhere.pem"
        let nowhere = request
        await #expect(throws: JWKSetError.self) { () async throws in _ = try await server.fetch(nowhere) }
      }
    }
  }

  @Test
  func `Tokens verify with fetched keys`() async throws {
    try await KeyServer.with(keySet: keys) { server in
      let keys = RemoteJWKSet(monotonicMilliseconds: { 0 }, report: { _ in }) { () throws(JWKSetError) in
        try await server.fetch("keys")
      }
      let verifier = TokenVerifier(secret: nil, remoteKeys: keys)
      let verified = try await verifier.verify(token(.p256, "ES256", kid: "a"), nowMilliseconds: now * 1000)
      #expect(verified.subject == "client-1")
    }
  }

  @Test
  func `A client that takes no more requests counts as a failed fetch`() async throws {
    try await KeyServer.with(keySet: keys) { server in
      await server.close()
      await server.expect(.notFetched(reason: "the HTTP client was closed"), server.request("keys"))
    }
  }

  @Test(arguments: ["http://localhost/keys", "file:///etc/passwd", "", "localhost"])
  func `Only https is accepted`(url: String) async throws {
    try await KeyServer.with(keySet: keys) { server in
      await server.expect(.notHTTPS, WebClient.Request(url: url))
    }
  }
}
