import Foundation
import HTTP
import TestSupport
import Testing

@Suite("The content of a request", .timeLimit(.minutes(2)))
struct ContentTests {
  private static func expecting(_ path: String, length: Int = 3) -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\nExpect: 100-continue\r\n\r\n"
  }

  @Test
  func `is requested when its handler needs it, and the connection stays open`() async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write(Self.expecting("/a"))
        var text = try socket.read(until: "\r\n\r\n")
        socket.write("abc" + Self.expecting("/b"))
        text += try socket.read(until: "100 Continue\r\n\r\n")
        if text.count(of: "100 Continue") == 1 { text += try socket.read(until: "100 Continue\r\n\r\n") }
        socket.write("def")
        text += try socket.read(until: "POST /b 3")
        return text
      }
      #expect(text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
      #expect(text.count(of: "100 Continue") == 2)
      #expect(text.contains("POST /a 3"))
    }
  }

  @Test(arguments: [3, 100_000])
  func `is not sent for where the answer needs none: then the connection ends`(length: Int) async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write(Self.expecting("/forbidden", length: length))
        let text = try socket.readToEnd()
        #expect(socket.ending() == nil)
        return text
      }
      #expect(text.hasPrefix("HTTP/1.1 403 "))
      #expect(text.contains("\r\nConnection: close\r\n"))
      #expect(text.count(of: "HTTP/1.1 ") == 1)
    }
  }

  @Test
  func `that is not waited for, and comes all the same, is no request`() async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write(Self.expecting("/forbidden", length: 41))
        var text = try socket.read(until: "\r\n\r\n")
        socket.write("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        text += try socket.readToEnd()
        return text
      }
      #expect(text.count(of: "HTTP/1.1 ") == 1)
    }
  }

  @Test
  func `that is too large is 413, which a client that is still sending sees; the connection ends in order`()
    async throws
  {
    try await TestServer.run { server in
      for framing in ["Content-Length: 10000000", "Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let text = try await server.connect { socket in
          socket.write("POST / HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n")
          let piece = "8000\r\n\(String(repeating: "x", count: 0x8000))\r\n"
          var text = ""
          // Less than the discard limit.
          for _ in 0..<20 { socket.write(piece) }
          text = try socket.read(until: "tooLarge")
          for _ in 0..<5 { socket.write(piece) }
          socket.endWriting()
          text += try socket.readToEnd()
          #expect(socket.ending() == nil, "\(framing)")
          return text
        }
        #expect(text.hasPrefix("HTTP/1.1 413 "))
        #expect(text.count(of: "HTTP/1.1 ") == 1)
      }
      try await server.untilAllAreClosed()
    }
  }

  @Test(arguments: ["Content-Length: 1000000000", "Transfer-Encoding: chunked"])
  func `without an end is not read on, and its client sees the answer and an end in order`(framing: String)
    async throws
  {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write("POST / HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n")
        let taken = socket.flood("64\r\n\(String(repeating: "x", count: 100))\r\n")
        #expect(taken < 32 * 1024 * 1024)
        let text = try socket.readToEnd()
        #expect(socket.ending() == nil)
        return text
      }
      #expect(text.hasPrefix("HTTP/1.1 413 "))
      #expect(text.count(of: "HTTP/1.1 ") == 1)
      try await server.untilAllAreClosed()
    }
  }

  @Test
  func `refused by an early answer, and read to its end, leaves the connection to the next request`()
    async throws
  {
    try await TestServer.run { server in
      let content = String(repeating: "x", count: 500_000)
      let text = try await server.connect { socket in
        socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
        var text = try socket.read(until: "tooLarge")
        socket.write(content + "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        text += try socket.readToEnd()
        return text
      }
      #expect(text.count(of: "HTTP/1.1 ") == 2)
      #expect(text.hasSuffix("GET /next 0"))
    }
  }
}
