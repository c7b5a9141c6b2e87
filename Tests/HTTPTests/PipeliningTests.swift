import Foundation
import TestSupport
import Testing

@Suite("Requests that are sent before the answers are read", .timeLimit(.minutes(2)))
struct PipeliningTests {
  @Test(arguments: ["/", "/page"])
  func `are all answered, in their order`(path: String) async throws {
    try await TestServer.run { server in
      // More than the server keeps; and the answers are more than the system's buffers take.
      let count = 1000
      let requests = (0..<count).map { number in
        "GET \(path) HTTP/1.1\r\nHost: a\r\nX-Test: \(number)\r\nCookie: \(String(repeating: "c", count: 100))\r\n"
      }
      let bytes = Array((requests.joined(separator: "\r\n") + "Connection: close\r\n\r\n").utf8)
      let text = try await server.connect { socket in
        // The system's buffers take in what the server leaves unread until we read.
        socket.write(bytes)
        return try socket.readToEnd()
      }
      let numbers = text.matches(of: /X-Echo: (\d+)\r\n/).map { Int($0.1) }
      #expect(numbers == Array(0..<count))
      #expect(text.count(of: "HTTP/1.1 200 OK\r\n") == count)
    }
  }

  @Test
  func `after an answer that is long, and yet sent in one, are answered at once`() async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write("GET /page HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        var text = try socket.read(until: "GET /second 0")
        socket.write(
          "GET /page HTTP/1.1\r\nHost: a\r\n\r\nGET /page HTTP/1.1\r\nHost: a\r\n\r\n"
            + "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        text += try socket.readToEnd()
        return text
      }
      #expect(text.hasSuffix("GET /last 0"))
      #expect(text.count(of: "HTTP/1.1 200 OK\r\n") == 5)
    }
  }

  @Test
  func `take turns with those of other clients`() async throws {
    try await TestServer.run { server in
      let request = "GET /number HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
      let sockets = try await server.whileBusy {
        try await onOwnThread {
          // Of the first of them, as many as are read at once.
          try [1000, 1000, 1].map { count in
            let socket = try ClientSocket(port: server.port, deadline: Date(timeIntervalSinceNow: 30))
            socket.write(String(repeating: request, count: count))
            return SentSocket(socket: socket)
          }
        }
      }
      let number = try await onOwnThread {
        try sockets[2].socket.read(until: "number ").firstMatch(of: /number (\d+)/).flatMap { Int($0.1) }
      }
      #expect(try #require(number) < 500)
    }
  }

  @Test
  func `after one that ends the connection are not answered`() async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write(
          "GET /first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            + String(repeating: "GET /second HTTP/1.1\r\nHost: a\r\n\r\n", count: 100))
        return try socket.readToEnd()
      }
      #expect(text.hasSuffix("GET /first 0"))
    }
  }

  @Test
  func `wait for the request in progress, whose handler waits, and do not mix with its answer`() async throws {
    try await TestServer.run { server in
      let held = server.gate.untilHolding
      async let text = server.connect { socket in
        socket.write(
          "GET /wait HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        try socket.whileHeld(held) { socket.write("cdGET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") }
        return try socket.readToEnd()
      }
      await server.gate.untilHolding(1)
      // Meanwhile others are answered.
      #expect(try await server.client.send("GET", "/other").status == 200)
      server.gate.open()
      let answers = try await text.matches(of: /(GET|POST) \/\w+ \d/).map { String($0.0) }
      #expect(answers == ["GET /wait 0", "POST /b 4", "GET /c 0"])
    }
  }
}

/// A connection that goes from one thread to another, and is used by one at a time.
private struct SentSocket: @unchecked Sendable {
  let socket: ClientSocket
}
