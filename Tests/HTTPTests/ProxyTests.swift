import Foundation
import Glibc
import HTTP
import TestSupport
import Testing

@Suite("Behind nginx", .timeLimit(.minutes(2)), .serialized)
struct ProxyTests {
  /// How nginx hands requests on.
  enum Way: String, CaseIterable {
    case keepsConnections = "proxy_http_version 1.1; proxy_set_header Connection \"\";"
    /// nginx's default.
    case http10 = ""
    case unbuffered = """
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off;
      """
  }

  private static func run(
    _ way: Way, limits: HTTPLimits = HTTPLimits(), _ body: @Sendable (TestServer, Nginx) async throws -> Void
  ) async throws {
    try await TestServer.run(limits: limits) { server in
      try await Nginx.with(handingOnTo: server.port, settings: way.rawValue) { nginx in
        try await body(server, nginx)
      }
    }
  }

  private static func file(of count: Int, in directory: TemporaryDirectory) throws -> String {
    let path = "\(directory.path)/\(count)"
    try String(repeating: "c", count: count).write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  @Test(arguments: Way.allCases)
  func `requests with and without content are answered, one after another`(way: Way) async throws {
    try await Self.run(way) { server, nginx in
      let directory = TemporaryDirectory()
      let file = try Self.file(of: 60_000, in: directory)
      for _ in 0..<3 {
        #expect(try await nginx.curl("/a?b=c").output == "GET /a?b=c 0")
        #expect(try await nginx.curl("/a", "-d", "abc").output == "POST /a 3")
        #expect(try await nginx.curl("/a", "--data-binary", "@\(file)").output == "POST /a 60000")
        let chunked = try await nginx.curl(
          "/a", "-H", "Transfer-Encoding: chunked", "--data-binary", "@\(file)")
        #expect(chunked.output == "POST /a 60000")
        let expected = try await nginx.curl(
          "/a", "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-d", "abc")
        #expect(expected.output == "POST /a 3")
        #expect(try await nginx.curl("/empty", "-w", "%{http_code}").output == "204")
        #expect(try await nginx.curl("/a", "-I").output.hasPrefix("HTTP/1.1 200 "))
      }
      // What was kept of connections is used again.
      if way != .http10 { #expect(server.http.connectionCount == 1) }
    }
  }

  @Test(arguments: Way.allCases)
  func `large answers arrive whole, many of them at once`(way: Way) async throws {
    try await Self.run(way) { _, nginx in
      try await withThrowingTaskGroup { group in
        for path in ["/large", "/large", "/page", "/page", "/page", "/"] {
          group.addTask { (path, try await nginx.curl(path).output.utf8.count) }
        }
        for try await (path, count) in group {
          #expect(count == ["/large": 5 * 1024 * 1024, "/page": 20_000, "/": 7][path])
        }
      }
    }
  }

  @Test(arguments: Way.allCases)
  func `content that is too large is 413, whatever its framing`(way: Way) async throws {
    try await Self.run(way) { _, nginx in
      let directory = TemporaryDirectory()
      for count in [70_000, 900_000, 5_000_000] {
        let file = try Self.file(of: count, in: directory)
        for framing in ["X-Test: a", "Transfer-Encoding: chunked"] {
          let result = try await nginx.curl(
            "/a", "-H", framing, "--data-binary", "@\(file)", "-w", " %{http_code}")
          #expect(result.output == "tooLarge 413", "\(count) \(framing): \(result.output)")
        }
      }
      #expect(try await nginx.curl("/a").output == "GET /a 0")
    }
  }

  @Test(arguments: Way.allCases)
  func `a handler that waits is answered`(way: Way) async throws {
    try await Self.run(way) { server, nginx in
      async let waiting = nginx.curl("/wait", "-d", "abc")
      await server.gate.untilHolding(1)
      #expect(try await nginx.curl("/other").output == "GET /other 0")
      server.gate.open()
      let output = try await waiting.output
      #expect(output == "POST /wait 3")
    }
  }

  @Test(arguments: Way.allCases)
  func `a client that hangs up cancels its handler`(way: Way) async throws {
    try await Self.run(way) { server, nginx in
      let client = try nginx.startCurl("/wait")
      await server.gate.untilHolding(1)
      client.send(SIGKILL)
      try await server.gate.untilCancelled(1)
      server.gate.open()
      _ = await client.end()
      #expect(try await nginx.curl("/a").output == "GET /a 0")
    }
  }

  @Test(arguments: Way.allCases)
  func `a client that hangs up while it is answered, or while it sends, hurts nobody`(way: Way) async throws {
    try await Self.run(way) { server, nginx in
      for _ in 0..<5 {
        let reader = try nginx.startCurl("/large", ["--limit-rate", "1000"])
        let sender = try nginx.startCurl("/a", ["-T", "/dev/zero", "--limit-rate", "100000"])
        #expect(try await nginx.curl("/a").output == "GET /a 0")
        for client in [reader, sender] {
          client.send(SIGKILL)
          _ = await client.end()
        }
      }
      #expect(try await nginx.curl("/a").output == "GET /a 0")
    }
  }

  @Test
  func `connections that the service ends while nginx keeps them are no error for clients`() async throws {
    var limits = HTTPLimits()
    limits.idleTimeoutMilliseconds = 100
    limits.deadlineTickMilliseconds = 10
    try await Self.run(.keepsConnections, limits: limits) { server, nginx in
      for _ in 0..<3 {
        #expect(try await nginx.curl("/a").output == "GET /a 0")
        try await server.untilAllAreClosed()
      }
    }
  }
}
