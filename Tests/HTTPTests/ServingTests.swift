import EventLoop
import Foundation
@testable import HTTP
import TestSupport
import Testing

@Suite("The HTTP server")
struct ServingTests {
  @Test
  func `answers requests with and without a body`() async throws {
    try await TestServer.run { server in
      let get = try await server.client.send("GET", "/a?b=c", fields: [("X-Test", "1"), ("X-Test", "2")])
      #expect(get.status == 200)
      #expect(get.text == "GET /a?b=c 0")
      #expect(get.value(of: "X-Echo") == "1, 2")
      #expect(get.value(of: "Cache-Control") == "no-store")
      let post = try await server.client.send("POST", "/a", body: Array("hello".utf8))
      #expect(post.text == "POST /a 5")
      #expect(try await server.client.send("GET", "/empty").status == 204)
    }
  }

  @Test
  func `keeps a connection for the next request, and answers pipelined ones in their order`() async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write(
          "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        var text = try socket.read(until: "POST /2 2")
        socket.write("GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text += try socket.readToEnd()
        return text
      }
      let first = try #require(text.range(of: "GET /1 0"))
      let second = try #require(text.range(of: "POST /2 2"))
      let third = try #require(text.range(of: "GET /3 0"))
      #expect(first.lowerBound < second.lowerBound && second.lowerBound < third.lowerBound)
    }
  }

  @Test
  func `takes a field with white space around its value, and one without a value`() async throws {
    try await TestServer.run { server in
      for value in ["b", " b", "\t  b", "b \t", "  b  "] {
        let text = try await server.connect { socket in
          socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Test:\(value)\r\nX-Empty:\r\nConnection: close\r\n\r\n")
          return try socket.readToEnd()
        }
        #expect(text.hasPrefix("HTTP/1.1 200 "))
        #expect(text.contains("X-Echo: b\r\n"))
      }
    }
  }

  @Test
  func `answers HEAD without a body`() async throws {
    try await TestServer.run { server in
      let answer = try await server.client.send("HEAD", "/a")
      #expect(answer.status == 200)
      #expect(answer.text.isEmpty)
      #expect(answer.value(of: "Content-Length") == "9")
    }
  }

  @Test
  func `sends a large answer whole`() async throws {
    try await TestServer.run { server in
      let answer = try await server.client.send("GET", "/large")
      #expect(answer.body.count == 5 * 1024 * 1024)
      #expect(answer.text.hasSuffix("0123456789abcdef"))
    }
  }

  @Test
  func `takes a chunked body, and one that waits for 100 Continue`() async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write(
          "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        var text = try socket.read(until: "POST /c 5")
        socket.write(
          "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        text += try socket.read(until: "100 Continue")
        socket.write("abc")
        return text + (try socket.readToEnd())
      }
      #expect(text.contains("POST /c 5"))
      #expect(text.contains("100 Continue"))
      #expect(text.contains("POST /e 3"))
    }
  }

  @Test
  func `answers many that wait, all at once, and others meanwhile`() async throws {
    try await TestServer.run { server in
      try await withThrowingTaskGroup { group in
        for _ in 0..<100 { group.addTask { try await server.client.send("GET", "/wait").status } }
        await server.gate.untilHolding(100)
        #expect(try await server.client.send("GET", "/other").status == 200)
        server.gate.open()
        for try await status in group { #expect(status == 200) }
      }
    }
  }

  @Test
  func `takes over a proper X-Request-Id, and makes one up for any other`() async throws {
    try await TestServer.run { server in
      let longest = String(repeating: "x", count: 128)
      for id in ["abc", longest, "~!@#$%^&*()"] {
        let answer = try await server.client.send("GET", "/", fields: [("X-Request-Id", id)])
        #expect(answer.value(of: "X-Request-Id") == id)
      }
      var made: Set<String> = []
      for fields in [[], [("X-Request-Id", longest + "x")], [("X-Request-Id", "a b")], [("X-Request-Id", "é")]]
      {
        let answer = try await server.client.send("GET", "/", fields: fields)
        let id = try #require(answer.value(of: "X-Request-Id"))
        #expect(id.count == 16)
        made.insert(id)
      }
      #expect(made.count == 4)
    }
  }

  @Test
  func `finishes what is in flight before it stops, and ends the connection with it`() async throws {
    try await TestServer.run { server in
      async let answer = server.client.sendRaw(
        Array("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n".utf8), methods: ["GET"])
      await server.gate.untilHolding(1)
      async let stopped: Void = server.loop.run { await server.http.shutDown(timeoutMilliseconds: 20_000) }
      // Nobody listens any more, as soon as the loop has begun to stop.
      while (try? await server.connect({ _ in })) != nil {}
      server.gate.open()
      let first = try await answer[0]
      #expect(first.status == 200)
      #expect(first.value(of: "Connection")?.lowercased() == "close")
      await stopped
    }
  }

  @Test
  func `answers 503 when what is in flight takes too long`() async throws {
    try await TestServer.run { server in
      async let answer = server.client.send("GET", "/wait")
      await server.gate.untilHolding(1)
      await server.loop.run { await server.http.shutDown(timeoutMilliseconds: 10) }
      let status = try await answer.status
      #expect(status == 503)
    }
  }

  @Test
  func `says what listens where it should`() async throws {
    let first = try Listener(host: "localhost", port: 0, count: 2, backlog: 8)
    #expect(first.descriptors.count == 2 && first.port > 0 && first.addresses.contains("127.0.0.1"))
    let error = #expect(throws: ListenerError.self) {
      try Listener(host: "localhost", port: first.port, count: 1, backlog: 8)
    }
    #expect(error?.description.contains("LISTEN") == true)
    #expect(throws: ListenerError.self) {
      try Listener(host: "no.such.host.invalid", port: 0, count: 1, backlog: 8)
    }
    #expect(throws: ListenerError.self) { try Listener(host: "192.0.2.1", port: 1, count: 1, backlog: 8) }
    for descriptor in first.descriptors.joined() { close(descriptor) }
  }

  @Test(arguments: [["127.0.0.2", "192.0.2.1", "127.0.0.3", "127.0.0.2"], ["::1", "127.0.0.6"]])
  func `serves all addresses of a host that this machine has, at one port`(hosts: [String]) async throws {
    let expected = Set(hosts).subtracting(Self.hasVersion6 ? ["192.0.2.1"] : ["192.0.2.1", "::1"])
    let listener = try Listener(hosts: hosts, port: 0, count: 1, backlog: 8)
    #expect(Set(listener.addresses) == expected && listener.addresses.count == expected.count)
    var limits = HTTPLimits()
    limits.maximumConnectionsPerLoop = 1
    try await TestServer.run(at: listener, limits: limits) { server in
      // It leaves no room for the others until it ends.
      async let first = server.client(at: listener.addresses[0]).send("GET", "/wait")
      await server.gate.untilHolding(1)
      async let second = server.client(at: listener.addresses.last!).send("GET", "/empty")
      server.gate.open()
      let statuses = try await (first.status, second.status)
      #expect(statuses == (200, 204))
      for address in listener.addresses {
        #expect(try await server.client(at: address).send("GET", "/empty").status == 204)
      }
    }
    // No socket is left.
    let again = try Listener(hosts: listener.addresses, port: listener.port, count: 2, backlog: 8)
    #expect(again.addresses == listener.addresses && again.port == listener.port)
    for descriptor in again.descriptors.joined() { close(descriptor) }
  }

  private static let hasVersion6: Bool = {
    guard let listener = try? Listener(host: "::1", port: 0, count: 1, backlog: 1) else { return false }
    for descriptor in listener.descriptors.joined() { close(descriptor) }
    return true
  }()

  @Test
  func `listens at no address of a host if the port is in use at one, and says at which`() throws {
    let first = try Listener(host: "127.0.0.5", port: 0, count: 1, backlog: 8)
    let error = #expect(throws: ListenerError.self) {
      try Listener(hosts: ["127.0.0.4", "127.0.0.5"], port: first.port, count: 1, backlog: 8)
    }
    #expect(error?.description.contains("127.0.0.5:\(first.port): Address already in use") == true)
    let other = try Listener(host: "127.0.0.4", port: first.port, count: 1, backlog: 8)
    for descriptor in (first.descriptors + other.descriptors).joined() { close(descriptor) }
  }
}
