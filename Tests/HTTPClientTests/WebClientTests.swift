import Encoding
import EventLoop
import HTTPClient
import Synchronization
import TestSupport
import Testing

@Suite("The HTTP client")
struct WebClientTests {
  /// Lends a client of a loop, and a server that answers `hello`.
  private func withClient(
    isAllowed: @escaping @Sendable (_ address: IPAddress) -> Bool = { _ in true },
    _ body: (WebClient, HTTPSServer) async throws -> Void
  ) async throws {
    let server = try await HTTPSServer(content: Array("hello".utf8))
    let loop = try EventLoop(name: "test")
    let client = try await loop.run { () throws(FetchError) in try WebClient(on: loop, isAllowed: isAllowed) }
    do {
      try await body(client, server)
    } catch {
      await client.close()
      loop.stop()
      throw error
    }
    await client.close()
    loop.stop()
  }

  private func request(_ path: String, of server: HTTPSServer) -> WebClient.Request {
    var request = WebClient.Request(url: "https://localhost:\(server.port)/\(path)")
    request.certificateFile = server.certificate
    request.totalTimeoutMilliseconds = 30_000
    return request
  }

  private func plainRequest(_ path: String, of server: HTTPSServer) -> WebClient.Request {
    var request = WebClient.Request(url: "http://localhost:\(server.plainPort)/\(path)")
    request.allowsPlainHTTP = true
    request.totalTimeoutMilliseconds = 30_000
    return request
  }

  @Test
  func `answers status, header fields and content`() async throws {
    try await withClient { client, server in
      let answer = try await client.fetch(request("max-age", of: server))
      #expect(answer.status == 200 && answer.body == Array("hello".utf8))
      #expect(answer.values(of: "cache-control") == ["public", "max-age=77"])
      #expect(answer.values(of: "Age") == ["7"] && answer.secondsUntilExpiry == nil)
      let expiring = try await client.fetch(request("expires", of: server))
      #expect(expiring.secondsUntilExpiry == 120)
      let absent = try await client.fetch(request("absent", of: server))
      #expect(absent.status == 404)
    }
  }

  @Test
  func `sends the fields and the content that it is given`() async throws {
    try await withClient { client, server in
      var request = request("echo", of: server)
      request.fields = [("X-One", "1"), ("X-None", "")]
      let got = try await text(client.fetch(request))
      #expect(got.contains("X-One: 1\n") && got.contains("X-None: \n"))
      request.method = .post(body: [0, 1, 255])
      request.fields = [("Content-Type", "application/octet-stream")]
      let answer = try await client.fetch(request)
      #expect(answer.body.suffix(3) == [0, 1, 255])
      #expect(text(answer).contains("Content-Type: application/octet-stream\n"))
      for field in [("", "a"), ("A:B", "c"), ("A", "b\r\nC: d"), ("A", "\0")] {
        request.fields = [field]
        await expect(.malformedField, client, request)
      }
    }
  }

  @Test
  func `follows no redirect`() async throws {
    try await withClient { client, server in
      let answer = try await client.fetch(request("redirect", of: server))
      #expect(answer.status == 302 && answer.values(of: "Location") == ["/keys"])
    }
  }

  @Test
  func `refuses a certificate that it does not trust, and one of another host`() async throws {
    try await withClient { client, server in
      let refused = FetchError.failed(reason: "SSL peer certificate or SSH remote key was not OK")
      var untrusted = request("", of: server)
      untrusted.certificateFile = nil
      await expect(refused, client, untrusted)
      let other = try await HTTPSServer(content: [], host: "elsewhere.example")
      await expect(refused, client, request("", of: other))
    }
  }

  @Test
  func `speaks plain HTTP only where that is allowed by name`() async throws {
    try await withClient { client, server in
      var request = plainRequest("", of: server)
      let answer = try await client.fetch(request)
      #expect(answer.body == Array("hello".utf8))
      request.allowsPlainHTTP = false
      await expect(.notHTTPS, client, request)
      for url in ["file:///etc/passwd", "", "localhost"] {
        request = WebClient.Request(url: url)
        request.allowsPlainHTTP = true
        await expect(.notHTTPS, client, request)
      }
    }
  }

  @Test
  func `refuses content and header sections beyond their bounds`() async throws {
    try await withClient { client, server in
      var request = request("", of: server)
      request.maximumBodyLength = 5
      let answer = try await client.fetch(request)
      #expect(answer.body.count == 5)
      request.maximumBodyLength = 4
      await expect(.tooLarge, client, request)
      await expect(.tooLarge, client, self.request("large-header", of: server))
    }
  }

  @Test
  func `gives up at the timeout`() async throws {
    try await withClient { client, server in
      var request = plainRequest("slow", of: server)
      request.totalTimeoutMilliseconds = 200
      await expect(.failed(reason: "Timeout was reached"), client, request)
    }
  }

  @Test
  func `asks for each address before it connects, and connects to none that is refused`() async throws {
    let asked = Mutex<Set<String>>([])
    try await withClient(isAllowed: { address in
      asked.withLock { _ = $0.insert(address.description) }
      return false
    }) { client, server in
      await expect(.addressRefused, client, request("", of: server))
      #expect(asked.withLock { $0.contains("127.0.0.1") })
      var request = plainRequest("", of: server)
      request.url = "http://[::1]:\(server.plainPort)/"
      await expect(.addressRefused, client, request)
      #expect(asked.withLock { $0.contains("::1") })
    }
  }

  @Test(arguments: [
    "localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0", "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254",
    "[fe80::1]",
    "[fd00:ec2::254]", "10.0.0.1", "100.100.100.200",
  ])
  func `connects to no private address, in whichever form the URL names it`(host: String) async throws {
    try await withClient(isAllowed: \.isPublic) { client, server in
      var request = plainRequest("", of: server)
      request.url = "http://\(host):\(server.plainPort)/"
      await expect(.addressRefused, client, request)
    }
  }

  @Test
  func `connects to the address that was allowed, not to another one of the same name`() async throws {
    let asked = Mutex<[String]>([])
    // A name whose first answer is refused: nothing is looked up again.
    try await withClient(isAllowed: { address in
      asked.withLock { $0.append(address.description) }
      return address.description == "127.0.0.1"
    }) { client, server in
      let answer = try await client.fetch(plainRequest("", of: server))
      #expect(answer.status == 200 && asked.withLock { $0.last } == "127.0.0.1")
    }
  }

  @Test
  func `keeps a connection for later requests only where the request asks for it`() async throws {
    let connections = Atomic(0)
    try await withClient(isAllowed: { address in
      if address.isVersion4 { connections.add(1, ordering: .relaxed) }
      return address.isVersion4
    }) { client, server in
      var request = plainRequest("kept", of: server)
      for _ in 0..<2 { _ = try await client.fetch(request) }
      #expect(connections.load(ordering: .relaxed) == 2)
      request.keepsConnection = true
      for _ in 0..<3 { _ = try await client.fetch(request) }
      #expect(connections.load(ordering: .relaxed) == 3)
    }
  }

  @Test
  func `reads no more than an excerpt where one is enough`() async throws {
    try await withClient { client, server in
      var request = plainRequest("large", of: server)
      (request.maximumBodyLength, request.needsOnlyExcerpt) = (1000, true)
      let answer = try await client.fetch(request)
      #expect(answer.status == 200 && answer.body == Array(repeating: UInt8(ascii: " "), count: 1000))
      request.url = plainRequest("", of: server).url
      let short = try await client.fetch(request)
      #expect(text(short) == "hello")
    }
  }

  @Test
  func `ends the transfer of a cancelled task, and connects to nothing for one that was cancelled before`()
    async throws
  {
    try await withClient { client, server in
      let slow = plainRequest("slow", of: server)
      let task = Task { try await client.fetch(slow) }
      #expect(await server.nextLine() == "waiting")
      task.cancel()
      #expect(await server.nextLine() == "gone")
      await #expect(throws: FetchError.cancelled) { try await task.value }
      let early = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return try await client.fetch(slow)
      }
      await #expect(throws: FetchError.cancelled) { try await early.value }
    }
  }

  @Test
  func `has a bound of transfers, and ends all of them when it is closed`() async throws {
    try await withClient { client, server in
      let slow = plainRequest("slow", of: server)
      try await withThrowingTaskGroup { group in
        for _ in 0..<WebClient.maximumTransfers {
          group.addTask { await expect(.closed, client, slow) }
        }
        for _ in 0..<WebClient.maximumTransfers { #expect(await server.nextLine() == "waiting") }
        await expect(.tooManyTransfers, client, slow)
        await client.close()
        try await group.waitForAll()
      }
      await expect(.closed, client, slow)
    }
  }

  private func text(_ answer: WebClient.Answer) -> String { String(decoding: answer.body, as: UTF8.self) }

  private func expect(
    _ error: FetchError, _ client: WebClient, _ request: WebClient.Request,
    at location: SourceLocation = #_sourceLocation
  ) async {
    await #expect(throws: error, sourceLocation: location) { try await client.fetch(request) }
  }
}
