import EventLoop
import Foundation
import HTTP
import TestSupport
import Testing

@Suite("A client that hangs up", .timeLimit(.minutes(2)))
struct HangUpTests {
  private static let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
  private static let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

  /// More than is kept after a request in progress, plus the buffers of the system.
  private static let flood = String(repeating: next, count: 4000)

  @Test(arguments: ["", next, flood], [false, true])
  func `cancels its handler, also while further requests wait unread`(unread: String, resets: Bool) async throws
  {
    try await TestServer.run { server in
      let (held, cancelled) = (server.gate.untilHolding, server.gate.untilCancelled)
      try await server.connect { socket in
        socket.write(Self.wait)
        try socket.whileHeld(held) { socket.write(unread) }
        if resets { socket.reset() }
      }
      try await cancelled(1)
      server.gate.open()
      try await server.untilAllAreClosed()
      #expect(try await server.client.send("GET", "/").status == 200)
    }
  }

  @Test(arguments: [1, 2])
  func `cancels its handler where the request and the end of its connection come at once`(count: Int)
    async throws
  {
    try await TestServer.run { server in
      try await server.whileBusy {
        try await server.connect { socket in
          socket.write(String(repeating: Self.wait, count: count))
          socket.reset()
        }
      }
      try await server.gate.untilCancelled(1)
      server.gate.open()
      try await server.untilAllAreClosed()
    }
  }

  @Test
  func `between two requests does not keep the server from stopping`() async throws {
    try await TestServer.run { server in
      for _ in 0..<10 {
        try await server.whileBusy {
          try await server.connect { socket in
            socket.write(Self.next + Self.next)
            socket.reset()
          }
        }
        try await server.untilAllAreClosed()
      }
      let begun = ContinuousClock.now
      await server.loop.run { await server.http.shutDown(timeoutMilliseconds: 20_000) }
      #expect(ContinuousClock.now - begun < .seconds(10))
    }
  }

  @Test(arguments: ["/large", "/page", "/"])
  func `while it is answered hurts nobody`(path: String) async throws {
    try await TestServer.run { server in
      for number in 0..<30 {
        try await server.connect { socket in
          socket.write(String(repeating: "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n", count: 3))
          if number.isMultiple(of: 2) { _ = try socket.read() }
          socket.reset()
        }
      }
      #expect(try await server.client.send("GET", "/").status == 200)
      try await server.untilAllAreClosed()
    }
  }

  @Test(arguments: ["/", "/page", "/large", "/wait"])
  func `halfway, after its request, is answered`(path: String) async throws {
    try await TestServer.run { server in
      if path != "/wait" { server.gate.open() }
      async let text = server.connect { socket in
        socket.write("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
        socket.endWriting()
        let text = try socket.readToEnd()
        #expect(socket.ending() == nil)
        return text
      }
      if path == "/wait" {
        try await server.gate.untilCancelled(1)
        server.gate.open()
      }
      #expect(try await text.hasPrefix("HTTP/1.1 200 "))
      try await server.untilAllAreClosed()
    }
  }

  @Test(arguments: ["/large", "/wait"])
  func `halfway, after many requests, is answered all of them`(first: String) async throws {
    try await TestServer.run { server in
      let (requests, held) = ("GET \(first) HTTP/1.1\r\nHost: a\r\n\r\n" + Self.flood, server.gate.untilHolding)
      async let text = server.connect { socket in
        if first == "/wait" {
          socket.write(Self.wait)
          try socket.whileHeld(held) { socket.write(Self.flood) }
        } else {
          socket.write(requests)
        }
        socket.endWriting()
        let text = try socket.readToEnd()
        #expect(socket.ending() == nil)
        return text
      }
      if first == "/wait" {
        try await server.gate.untilCancelled(1)
        server.gate.open()
      }
      let received = try await text
      #expect(received.count(of: "HTTP/1.1 200 ") == 4001)
      try await server.untilAllAreClosed()
    }
  }

  @Test
  func `halfway, in the middle of a request, is not answered`() async throws {
    try await TestServer.run { server in
      for half in ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"] {
        let text = try await server.connect { socket in
          socket.write(Self.next + half)
          socket.endWriting()
          return try socket.readToEnd()
        }
        #expect(text.count(of: "HTTP/1.1 ") == 1)
      }
    }
  }

  @Test
  func `halfway, with its content sent unasked, is answered`() async throws {
    try await TestServer.run { server in
      let held = server.gate.untilHolding
      async let text = server.connect { socket in
        socket.write(
          "POST /wait-first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        try socket.whileHeld(held) { socket.write("abc") }
        socket.endWriting()
        return try socket.readToEnd()
      }
      try await server.gate.untilCancelled(1)
      server.gate.open()
      #expect(try await text.hasSuffix("POST /wait-first 3"))
    }
  }
}

extension ClientSocket {
  /// Runs the body once a handler is held, on this thread, which may block.
  func whileHeld(_ isHeld: @escaping @Sendable (Int) async -> Void, _ body: () -> Void) throws {
    let begun = DispatchSemaphore(value: 0)
    Task {
      await isHeld(1)
      begun.signal()
    }
    begun.wait()
    body()
  }
}
