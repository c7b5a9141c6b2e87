import Foundation
import TestSupport
import Testing

@testable import JSONWebToken

/// A local HTTPS server under a certificate of its own.
private final class HTTPSServer {
  let folder = FileManager.default.temporaryDirectory.appending(path: "key-set-\(UUID().uuidString)")
  let port: Int
  private let server: Program

  var certificate: String { folder.appending(path: "server.pem").path }

  init(keySet: [UInt8], host: String = "localhost") async throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data(keySet).write(to: folder.appending(path: "keys.json"))
    try Data(Self.program.utf8).write(to: folder.appending(path: "server.py"))
    let made = try await Program.run(
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=\(host)", "-addext", "subjectAltName=DNS:\(host)",
        "-keyout", folder.appending(path: "key.pem").path, "-out", folder.appending(path: "server.pem").path,
      ], executable: "/usr/bin/openssl")
    try #require(made.status == 0, "\(made.errors)")
    server = try Program(
      ["python3", folder.appending(path: "server.py").path], ["PATH=/usr/local/bin:/usr/bin:/bin"],
      executable: "/usr/bin/env")
    port = try #require(Int(await server.outputLine()))
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func fetch(
    _ path: String, trusting certificate: String? = nil, totalTimeoutMilliseconds: Int = 30_000
  ) async throws -> Result<FetchedKeySet, JWKSetError> {
    var download = try KeySetDownload(
      url: "https://localhost:\(port)/\(path)", certificateFile: certificate ?? self.certificate)
    download.totalTimeoutMilliseconds = totalTimeoutMilliseconds
    return await onOwnThread { [download] in download.fetch() }
  }

  /// Each path is a way of answering.
  private static let program = """
    import http.server, os, ssl, sys, threading
    os.chdir(os.path.dirname(sys.argv[0]))
    keys = open("keys.json", "rb").read()
    fields = {
      "/max-age": [("Cache-Control", "public"), ("Cache-Control", "max-age=77"), ("Age", "7")],
      "/expires": [("Date", "Tue, 01 Jan 2030 00:00:00 GMT"), ("Expires", "Tue, 01 Jan 2030 00:02:00 GMT")],
      "/expired": [("Expires", "0")],
      "/redirect": [("Location", "/keys")],
    }
    class Handler(http.server.BaseHTTPRequestHandler):
      def send_response(self, code, message=None):
        self.send_response_only(code)
      def do_GET(self):
        if self.path == "/slow":
          self.rfile.read(1)
          return
        self.send_response({"/redirect": 302, "/absent": 404}.get(self.path, 200))
        for name, value in fields.get(self.path, []):
          self.send_header(name, value)
        self.end_headers()
        self.wfile.write({"/large": b" " * 300000, "/broken": b"<html>", "/withdrawn": b'{"keys": []}'}.get(self.path, keys))
    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("server.pem", "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()
    """
}

@Suite("Keys from a URL: the request", .serialized)
struct KeySetDownloadTests {
  @Test("Keys come with their lifetime, and every other answer is refused")
  func answers() async throws {
    let server = try await HTTPSServer(keySet: keySet(TestKey.p256.jwk()))
    let lifetimes = [("keys", 300), ("max-age", 70), ("expires", 120), ("expired", 10)]
    for (path, seconds) in lifetimes {
      let fetched = try await server.fetch(path).get()
      #expect(fetched.keys.count == 1 && fetched.lifetimeSeconds == seconds, "\(path)")
    }
    expect(try await server.fetch("redirect"), .notFetched(reason: "the answer was 302, not 200"))
    expect(try await server.fetch("absent"), .notFetched(reason: "the answer was 404, not 200"))
    expect(try await server.fetch("large"), .tooLarge)
    expect(try await server.fetch("broken"), .notAKeySet)
    #expect(try await server.fetch("withdrawn").get().keys.count == 0)
    expect(
      try await server.fetch("slow", totalTimeoutMilliseconds: 200), .notFetched(reason: "Timeout was reached"))
  }

  @Test("A certificate that is not trusted, or is another host's, ends it")
  func certificates() async throws {
    let server = try await HTTPSServer(keySet: keySet(TestKey.p256.jwk()))
    let other = try await HTTPSServer(keySet: keySet(TestKey.p256.jwk()), host: "elsewhere.example")
    let refused = JWKSetError.notFetched(reason: "SSL peer certificate or SSH remote key was not OK")
    expect(try await server.fetch("keys", trusting: other.certificate), refused)
    expect(try await other.fetch("keys"), refused)
    let download = try KeySetDownload(url: "https://localhost:\(server.port)/keys", certificateFile: nil)
    expect(await onOwnThread { download.fetch() }, refused)
    await #expect(throws: JWKSetError.self) { try await server.fetch("keys", trusting: "/nowhere.pem").get() }
  }

  @Test("Tokens verify under keys that were fetched")
  func verifies() async throws {
    let server = try await HTTPSServer(keySet: keySet(TestKey.p256.jwk(#""kid":"a""#)))
    let keys = try RemoteJWKSet(
      url: "https://localhost:\(server.port)/keys", certificateFile: server.certificate, blocking: Threads(),
      monotonicMilliseconds: { 0 }, report: { _ in })
    let verifier = TokenVerifier(secret: nil, remoteKeys: keys)
    let verified = try await verifier.verify(token(.p256, "ES256", kid: "a"), nowMilliseconds: now * 1000)
    #expect(verified.subject == "client-1")
  }

  @Test("Only https will do", arguments: ["http://localhost/keys", "file:///etc/passwd", "", "localhost"])
  func httpsOnly(url: String) {
    #expect(throws: JWKSetError.notHTTPS) { try KeySetDownload(url: url, certificateFile: nil) }
  }

  private func expect(
    _ result: Result<FetchedKeySet, JWKSetError>, _ error: JWKSetError,
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(throws: error, sourceLocation: location) { try result.get() }
  }
}
