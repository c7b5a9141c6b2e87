import EventLoop
import Foundation
import Glibc
import HTTP
import TestSupport
import Testing

/// What is specific to TLS. Clients are OpenSSL, curl, and sockets that do not speak it.
@Suite("The HTTP server with TLS", .timeLimit(.minutes(2)))
struct TLSServingTests {
  // MARK: What is agreed on

  @Test
  func `speaks http/1.1 by ALPN, and with clients that do not name a protocol`() async throws {
    try await TLSTestServer.run { server in
      for version in ["-tls1_2", "-tls1_3"] {
        let both = try await server.openSSL(version, "-alpn", "h2,http/1.1")
        #expect(both.output.contains("ALPN protocol: http/1.1"), "\(both.output)")
        let unnamed = try await server.openSSL(version)
        #expect(unnamed.status == 0 && unnamed.output.contains("No ALPN negotiated"))
      }
    }
  }

  @Test(arguments: ["-tls1_2", "-tls1_3"])
  func `refuses a client that speaks h2 alone`(version: String) async throws {
    try await TLSTestServer.run { server in
      let result = try await server.openSSL(version, "-alpn", "h2")
      #expect(result.status != 0)
      #expect(result.errors.contains("alert no application protocol"), "\(result.errors)")
      #expect(try await server.curl("/").output == "GET / 0")
    }
  }

  @Test(arguments: ["-tls1_2", "-tls1_3"])
  func `resumes a session by its ticket, but not once another certificate is shown`(version: String)
    async throws
  {
    try await TLSTestServer.run { server in
      let session = server.directory.path + "/session"
      let first = try await server.openSSL(version, "-sess_out", session)
      #expect(first.output.contains("New, TLSv1."), "\(first.output)")
      let second = try await server.openSSL(version, "-sess_in", session)
      #expect(second.output.contains("Reused, TLSv1."), "\(second.output)")

      let identity = try await TLSTestServer.makeIdentity(in: server.directory)
      await server.plain.loop.run { server.plain.http.present(identity) }
      let third = try await server.openSSL(version, "-sess_in", session)
      #expect(third.output.contains("New, TLSv1."), "\(third.output)")
    }
  }

  // MARK: What is sent

  @Test(arguments: ["--tlsv1.2", "--tlsv1.3"])
  func `sends large answers whole, and takes large content`(version: String) async throws {
    try await TLSTestServer.run { server in
      let file = server.directory.path + "/content"
      try String(repeating: "c", count: HTTPLimits().maximumBodyBytes)
        .write(toFile: file, atomically: true, encoding: .utf8)
      let large = try await server.curl("/large", version)
      #expect(large.output.utf8.count == 5 * 1024 * 1024)
      #expect(large.output.hasSuffix("0123456789abcdef"))
      let content = try await server.curl("/content", version, "--data-binary", "@\(file)")
      #expect(content.output == "POST /content \(HTTPLimits().maximumBodyBytes)")
      let expected = try await server.curl(
        "/expected", version, "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-d", "abc")
      #expect(expected.output == "POST /expected 3")
    }
  }

  @Test
  func `tells that it ends the connection, so that nothing can be cut off unseen`() async throws {
    try await TLSTestServer.run { server in
      for path in ["/", "/page", "/large"] {
        let result = try await server.openSSL("-tls1_3", path: path)
        #expect(result.status == 0 && !result.errors.contains("unexpected eof"), "\(result.errors)")
        #expect(result.output.contains("HTTP/1.1 200 OK\r\n"))
      }
    }
  }

  enum End: CaseIterable { case idleness, shutdown, client }

  @Test(arguments: End.allCases)
  func `tells so too where it ends a connection that is kept, and where the client ended its side`(end: End)
    async throws
  {
    var limits = HTTPLimits.impatient
    if end == .idleness { limits.idleTimeoutMilliseconds = 1000 }
    try await TLSTestServer.run(limits: limits) { server in
      async let result = Program.run(
        ["-c", Self.untilTheEnd, String(server.plain.port), end == .client ? "ends" : ""],
        executable: "/usr/bin/python3")
      // The script may fail before it asks.
      try await wait { server.plain.gate.holds }
      if end == .client { try await server.plain.gate.untilCancelled(1) }
      server.plain.gate.open()
      if end == .shutdown {
        let http = server.plain.http
        await server.plain.loop.run { await http.shutDown(timeoutMilliseconds: 5000) }
      }
      let (output, errors) = try await (result.output, result.errors)
      #expect(output == "GET /wait 0, and an end in order\n", "\(output)\(errors)")
    }
  }

  /// Sends a request, ends its side if asked to, and reads until the other side ends.
  private static let untilTheEnd = """
    import socket, ssl, sys
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sent, received = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, sent)
    peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
    def send():
        if sent.pending:
            peer.sendall(sent.read())
    def until_done(step):
        while True:
            try:
                return step()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                send()
                piece = peer.recv(65536)
                received.write(piece) if piece else received.write_eof()
            finally:
                send()
    until_done(tls.do_handshake)
    tls.write(b"GET /wait HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    if sys.argv[2]:
        send()
        try:
            tls.unwrap()
        except ssl.SSLWantReadError:
            send()
            peer.shutdown(socket.SHUT_WR)
    text = b""
    while not text.endswith(b"GET /wait 0"):
        text += until_done(lambda: tls.read(65536))
    # Without the other side's word, this is an SSLEOFError.
    assert until_done(lambda: tls.read(65536)) == b""
    print("GET /wait 0, and an end in order")
    """

  @Test
  func `answers many requests that are sent at once, in their order`() async throws {
    try await TLSTestServer.run { server in
      let requests = (0..<500).map { "GET /page HTTP/1.1\r\nHost: a\r\nX-Test: \($0)\r\n\r\n" }.joined()
      let result = try await server.openSSL("-tls1_3", path: "/last", before: requests)
      let numbers = result.output.matches(of: /X-Echo: (\d+)\r\n/).map { Int($0.1) }
      #expect(numbers == Array(0..<500))
      #expect(result.output.contains("GET /last 0"))
    }
  }

  // MARK: What is not TLS

  @Test(arguments: [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n", String(repeating: "\u{16}\u{3}", count: 10_000),
    "\u{16}\u{3}\u{1}\u{0}\u{0}", "\u{17}\u{3}\u{3}\u{0}\u{1}x", "\u{15}\u{3}\u{3}\u{0}\u{2}\u{1}\u{0}",
  ])
  func `survives what is not TLS, and bytes in the middle of it`(bytes: String) async throws {
    try await TLSTestServer.run { server in
      let kept = try server.keptConnection()
      _ = try await kept.ask("/first", end: "GET /first 0")
      for _ in 0..<20 {
        try await server.plain.connect { socket in
          socket.write(bytes)
          socket.endWriting()
          let text = try socket.readToEnd()
          // An alert at most.
          #expect(text.utf8.count < 16)
        }
      }
      _ = try await kept.ask("/second", end: "GET /second 0")
      #expect(try await server.curl("/").output == "GET / 0")
      kept.close()
    }
  }

  @Test(arguments: ["", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"])
  func `cuts off who connects and does not shake hands in time`(beginning: String) async throws {
    var limits = HTTPLimits()
    limits.handshakeTimeoutMilliseconds = 300
    limits.deadlineTickMilliseconds = 50
    try await TLSTestServer.run(limits: limits) { server in
      try await server.plain.connect { socket in
        socket.write(beginning)
        let text = try socket.readToEnd()
        #expect(text.isEmpty)
      }
      #expect(try await server.curl("/").output == "GET / 0")
    }
  }

  @Test(arguments: [0, 5])
  func `ends the oldest handshake where there are too many, also after some that failed`(failures: Int)
    async throws
  {
    var limits = HTTPLimits()
    limits.maximumHandshakesPerLoop = 2
    try await TLSTestServer.run(limits: limits) { server in
      for _ in 0..<failures {
        try await server.plain.connect { socket in
          socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
          _ = try socket.readToEnd()
        }
      }
      let port = server.plain.port
      try await onOwnThread {
        let silent = try (0..<4).map { _ in
          try ClientSocket(port: port, deadline: Date(timeIntervalSinceNow: 5))
        }
        for oldest in silent[..<2] {
          let text = try oldest.readToEnd()
          #expect(text.isEmpty)
        }
        for younger in silent[2...] {
          let isClosed = try younger.isClosed(afterMilliseconds: 20)
          #expect(!isClosed)
        }
      }
      #expect(try await server.curl("/").output == "GET / 0")
    }
  }

  @Test(arguments: [false, true])
  func `a client that drips the bytes of a record does not hold its connection for longer`(hasAsked: Bool)
    async throws
  {
    var limits = HTTPLimits.impatient
    limits.idleTimeoutMilliseconds = 500
    try await TLSTestServer.run(limits: limits) { server in
      let result = try await Program.run(
        ["-c", Self.drip, String(server.plain.port), hasAsked ? "GET / HTTP/1.1\r\nHost: a\r\n\r\n" : ""],
        executable: "/usr/bin/python3")
      #expect(result.status == 0 && result.output == "ended\n", "\(result.output)\(result.errors)")
    }
  }

  /// Completes the handshake, sends a request, then a byte of a record every 50 ms, for at most 10 s.
  private static let drip = """
    import select, socket, ssl, sys, time
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sent, received = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, sent)
    peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
    def until_done(step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                peer.sendall(sent.read())
                received.write(peer.recv(65536))
            finally:
                peer.sendall(sent.read())
    until_done(tls.do_handshake)
    if sys.argv[2]:
        tls.write(sys.argv[2].encode())
        until_done(lambda: tls.read(65536))
    tls.write(b"GET /" + b"x" * 10000)
    begun = time.monotonic()
    try:
        for byte in sent.read():
            if time.monotonic() - begun > 10:
                sys.exit("was not ended")
            peer.sendall(bytes([byte]))
            while select.select([peer], [], [], 0.05)[0]:
                if not peer.recv(65536):
                    raise ConnectionError
    except ConnectionError:
        print("ended")
    """
}

/// A `TestServer` with TLS and a certificate that vouches for itself.
struct TLSTestServer: Sendable {
  let plain: TestServer
  let directory: TemporaryDirectory

  static func run(
    limits: HTTPLimits = HTTPLimits(), _ body: @Sendable (TLSTestServer) async throws -> Void
  ) async throws {
    let directory = TemporaryDirectory()
    let identity = try await makeIdentity(in: directory)
    try await TestServer.run(limits: limits, tls: identity) { plain in
      try await body(TLSTestServer(plain: plain, directory: directory))
    }
  }

  static func makeIdentity(in directory: TemporaryDirectory) async throws -> TLSIdentity {
    let (certificate, key) = ("\(directory.path)/certificate.pem", "\(directory.path)/key.pem")
    let made = try await Program.run(
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
        "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
      ], executable: "/usr/bin/openssl")
    try #require(made.status == 0, "\(made.errors)")
    return try TLSIdentity(
      certificate: Array(Data(contentsOf: URL(fileURLWithPath: certificate))),
      privateKey: Array(Data(contentsOf: URL(fileURLWithPath: key))))
  }

  /// Asks with curl, which trusts the certificate.
  func curl(_ path: String, _ arguments: String...) async throws -> Program.Result {
    try await Program.run(
      ["-sS", "--max-time", "30", "--cacert", "\(directory.path)/certificate.pem"] + arguments
        + ["https://127.0.0.1:\(plain.port)\(path)"], executable: "/usr/bin/curl")
  }

  /// Asks with `openssl s_client`, which stays until the server ends the connection.
  /// - Parameter before: requests before the last one.
  func openSSL(
    _ arguments: String..., path: String = "/", before: String = ""
  ) async throws -> Program.Result {
    let file = "\(directory.path)/\(UUID().uuidString)"
    try "\(before)GET \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      .write(toFile: file, atomically: true, encoding: .utf8)
    return try await Program.run(
      ["-c", #"exec "$@" <"$0""#, file, "/usr/bin/openssl", "s_client", "-ign_eof", "-connect"]
        + ["127.0.0.1:\(plain.port)"] + arguments, executable: "/bin/sh")
  }

  /// A connection that stays open.
  func keptConnection() throws -> TLSConnection {
    try TLSConnection(to: "127.0.0.1:\(plain.port)", trusting: "\(directory.path)/certificate.pem")
  }
}
