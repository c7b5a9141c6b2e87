import Foundation
import HTTP
import TestSupport
import Testing

@Suite("Messages of HTTP/1.1 and 1.0", .timeLimit(.minutes(2)))
struct MessageTests {
  private static func exchange(_ server: TestServer, _ request: String) async throws -> String {
    try await server.connect { socket in
      socket.write(request)
      let text = try socket.readToEnd()
      #expect(socket.ending() == nil)
      return text
    }
  }

  @Test(arguments: ["0", "5;a"])
  func `a chunk's size line of 22,000 bytes is refused at once, and others are answered meanwhile`(
    beginning: String
  ) async throws {
    try await TestServer.run { server in
      let line = beginning + String(repeating: beginning == "0" ? "0" : "a", count: 22_000)
      let text = try await server.connect { socket in
        socket.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(line)")
        // It is not closed here: nothing but the line itself ends the waiting.
        return try socket.readToEnd()
      }
      #expect(text.hasPrefix("HTTP/1.1 400 "))
      #expect(text.count(of: "HTTP/1.1 ") == 1)
      #expect(try await server.client.send("GET", "/").status == 200)
    }
  }

  @Test(arguments: ["chunked ", " chunked ", "Chunked  "])
  func `the coding 'chunked' is taken with blanks around it`(coding: String) async throws {
    try await TestServer.run { server in
      let text = try await Self.exchange(
        server,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\(coding)\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      )
      #expect(text.hasSuffix("POST / 3"))
    }
  }

  @Test
  func `180 cookies, and 298 parameters of a query, are taken`() async throws {
    try await TestServer.run { server in
      let cookies = (0..<180).map { "name-of-\($0)=value-of-the-\($0)" }.joined(separator: "; ")
      #expect(cookies.utf8.count > 4800)
      let query = (0..<298).map { "p\($0)=\($0)" }.joined(separator: "&")
      let answer = try await server.client.send("GET", "/?\(query)", fields: [("Cookie", cookies)])
      #expect(answer.text == "GET /?\(query) 0")
    }
  }

  @Test
  func `1,000 cookies are too large a header: 431`() async throws {
    try await TestServer.run { server in
      let cookies = (0..<1000).map { "name-of-\($0)=value-of-\($0)" }.joined(separator: "; ")
      let text = try await Self.exchange(
        server, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nCookie: \(cookies)\r\n\r\n")
      #expect(text.hasPrefix("HTTP/1.1 431 "))
      #expect(text.count(of: "HTTP/1.1 ") == 1)
      // The id is a new one: a field of what is refused was not read.
      #expect(text.count(of: "\r\nX-Request-Id: ") == 1 && !text.contains("X-Request-Id: mine"))
    }
  }

  @Test
  func `our own authority may stand in the target; OPTIONS may ask about the server`() async throws {
    try await TestServer.run { server in
      let text = try await Self.exchange(
        server,
        "GET http://a:80/b?c HTTP/1.1\r\nHost: A:80\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
          + "GET /page HTTP/1.0\r\n\r\n")
      #expect(text.contains("GET http://a:80/b?c 0"))
      #expect(text.contains("OPTIONS * 0"))
      #expect(text.count(of: "HTTP/1.1 200 ") == 3)
    }
  }

  @Test
  func `a connection of HTTP/1.0 ends with its answer, unless the client asks to keep it`() async throws {
    try await TestServer.run { server in
      let once = try await Self.exchange(server, "GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n")
      #expect(once.count(of: "HTTP/1.1 200 ") == 1)
      #expect(once.contains("\r\nConnection: close\r\n"))
      let twice = try await Self.exchange(
        server, "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n")
      #expect(twice.count(of: "HTTP/1.1 200 ") == 2)
      #expect(twice.count(of: "\r\nConnection: keep-alive\r\n") == 1)
      #expect(twice.count(of: "\r\nConnection: close\r\n") == 1)
    }
  }

  @Test
  func `an answer to HEAD, and one of 204, has no content: the next one follows at once`() async throws {
    try await TestServer.run { server in
      let text = try await Self.exchange(
        server,
        "HEAD /large HTTP/1.1\r\nHost: a\r\n\r\nGET /empty HTTP/1.1\r\nHost: a\r\n\r\n"
          + "HEAD /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
      let heads = text.components(separatedBy: "\r\n\r\n")
      #expect(heads.count == 4 && heads[3].isEmpty)
      #expect(heads[0].contains("\r\nContent-Length: 5242880"))
      for head in heads[1...2] { #expect(head.hasPrefix("HTTP/1.1 204 ") && !head.contains("Content-Length")) }
    }
  }
}
