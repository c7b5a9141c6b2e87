import EventLoop
import Foundation
import Glibc
import HTTP
import TestSupport
import Testing

@Suite("What is not a proper request")
struct AbuseTests {
  @Test(arguments: [
    ("GET / HTTP/1.1\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "Host"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, "Content-Length"),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc", 400,
      "Content-Length"
    ),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
      "together"
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "coding"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400, "coding"),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400, "coding"
    ),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "coding"),
    ("GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "authority"),
    ("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET /é HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method"),
    ("G<T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\u{1}: b\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{7F}c\r\n\r\n", 400, "field"),
    // Folded lines, and NULs.
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 34\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Lengt: 5\r\n h\r\n\r\nhello", 400, "field"),
    ("GET / HTTP/1.1\r\nHos: x\r\n t\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\u{0} 0\r\n\r\nhello", 400, "number"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\nY: c\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\u{0}Y: b\r\n\r\n", 400, "HTTP"),
    ("GET /a\u{0}/b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chun\u{212A}ed\r\n\r\n", 400, "coding"),
    // A NUL at the end of a value.
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\u{0}\r\n\r\n0\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\u{0}\r\nHost: a\r\n\r\n0\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\u{0}\u{0}\r\n\r\n", 400, "number"),
    ("GET / HTTP/1.1\r\nHost: a\u{0}\r\n\r\n", 400, "field"),
    // Bare LF and bare CR.
    ("GET / HTTP/1.1\nHost: a\n\n", 400, "field"),
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "request line"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, ""),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 400, "field"),
    ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, ""),
    // Lines that are no fields.
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, ""),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 45\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 45\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, ""),
    ("GET / HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n", 400, ""),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\nX: c\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "HTTP"),
    // Transfer codings that are nearly chunked.
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{B}chunked\r\n\r\n0\r\n\r\n", 400, "field"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "coding"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, "coding"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, "coding"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400, "coding"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400, "coding"),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
      400, "coding"
    ),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400,
      "together"
    ),
    // Chunks whose size is no number, or too large for one.
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400, ""),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n", 400, ""),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n", 400, ""),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n", 400, ""),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n", 400, ""),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
      400,
      "chunked"
    ),
    // Targets and versions of other kinds; other protocols.
    ("GET / b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
    ("GET  /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET /\r\n\r\n", 400, ""),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, ""),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, ""),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, ""),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""),
    // Hosts.
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOsT: a\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost: x@a\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host"),
    ("GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505, "HTTP"),
    // Too many bytes by one, by some, by many; too many lines by one.
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \(text("x", 16 * 1024 - 14))\r\n\r\n", 431, "large"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \(text("x", 17 * 1024))\r\n\r\n", 431, "HTTP"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \(text("x", 100 * 1024))\r\n\r\n", 431, "HTTP"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\(text("X: y\r\n", 64))\r\n", 431, "large"),
  ])
  func `is refused, and its connection closed`(request: String, status: Int, reason: String) async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        // Were the refused bytes read on, the second request would be answered.
        socket.write(request + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        return try socket.readToEnd()
      }
      #expect(
        text.hasPrefix("HTTP/1.1 \(status) ") || text.hasPrefix("HTTP/1.0 \(status) "), "\(text.prefix(400))")
      #expect(reason.isEmpty || text.contains(reason), "\(text.prefix(600))")
      #expect(!text.contains("smuggled"))
    }
  }

  @Test
  func `what is unusual but proper is answered, and in whatever pieces it comes`() async throws {
    // As many lines, and with the request line as many bytes, as there may be.
    let header = "Host: a\r\n" + (10..<73).map { "X-Field-\($0): \(text("v", 240))\r\n" }.joined()
    let requests = [
      "GET /\(text("x", 16 * 1024 - 1 - header.utf8.count)) HTTP/1.1\r\n\(header)\r\n",
      "\r\nGET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost:a\r\nX: b \r\nY: é\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nabcde\r\n0\r\nX: trailer\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\u{0}\u{0}\u{0}\u{0}\u{0}",
    ]
    try await TestServer.run { server in
      for size in [1, 7, 1000, 100_000] {
        let text = try await server.connect { socket in
          var rest = Array(requests.joined().utf8)[...]
          while !rest.isEmpty {
            socket.write(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
          }
          socket.write("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
          return try socket.readToEnd()
        }
        #expect(text.components(separatedBy: " 200 OK").count - 1 == requests.count + 1, "\(text)")
        #expect(text.contains("GET /last"))
      }
    }
  }

  @Test(arguments: [
    "", "abc", "+5", "-1", "0x10", "5 5", "5,5", "5, 5", "99999999999999999999", "99999999999999999999999",
  ])
  func `with a Content-Length that is no number is refused`(length: String) async throws {
    try await TestServer.run { server in
      let text = try await server.connect { socket in
        socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\nabcde")
        return try socket.readToEnd()
      }
      #expect(text.hasPrefix("HTTP/1.1 400 "), "\(text.prefix(200))")
      #expect(text.components(separatedBy: "HTTP/1.1 ").count == 2, "one head")
    }
  }

  @Test
  func `a body at the limit is accepted; one byte more is 413, and the connection stays open`() async throws {
    try await TestServer.run { server in
      let most = HTTPLimits().maximumBodyBytes
      let answers = try await server.client.sendRaw(
        Self.post(length: most) + Self.post(length: most + 1) + Self.post(length: 1),
        methods: ["POST", "POST", "POST"])
      #expect(answers.map(\.status) == [200, 413, 200])
    }
  }

  @Test
  func `a chunked body that is too large is 413; one without an end is cut off`() async throws {
    try await TestServer.run { server in
      let chunk = "10000\r\n" + String(repeating: "x", count: 0x10000) + "\r\n"
      let answers = try await server.client.sendRaw(
        Array(
          ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + chunk + "0\r\n\r\n")
            .utf8),
        methods: ["POST"])
      #expect(answers.map(\.status) == [413])

      let text = try await server.connect { socket in
        socket.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<100 { socket.write(chunk) }
        return try socket.readToEnd()
      }
      // The answer is made before the end, and the rest is not waited for.
      #expect(text.hasPrefix("HTTP/1.1 413 "))
    }
  }

  @Test
  func `a body that is announced to be enormous is refused before it comes`() async throws {
    try await TestServer.run { server in
      for length in ["1048577", "9223372036854775807"] {
        let text = try await server.connect { socket in
          socket.write(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\nExpect: 100-continue\r\n\r\n")
          return try socket.readToEnd()
        }
        #expect(text.hasPrefix("HTTP/1.1 413 "))
      }
    }
  }

  @Test(arguments: [
    "GET / HTTP/1.1\r\nHost: a\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n",
  ])
  func `who drips is cut off at the deadline`(beginning: String) async throws {
    try await TestServer.run(limits: .impatient) { server in
      let seconds = try await server.connect { socket in
        let begun = Date()
        socket.write(beginning)
        // A byte every 10 ms: never silent for long.
        while try !socket.isClosed(afterMilliseconds: 10) { socket.write("x") }
        return Date().timeIntervalSince(begun)
      }
      #expect(seconds < 10)
    }
  }

  @Test
  func `who sends half a request and falls silent is cut off, and 200 of them starve nobody`() async throws {
    try await TestServer.run(limits: .impatient) { server in
      try await withThrowingTaskGroup { group in
        for number in 0..<200 {
          group.addTask {
            try await server.connect { socket in
              socket.write(
                number.isMultiple(of: 2)
                  ? "GET / HT" : "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
              return try socket.readToEnd()
            }
          }
        }
        for _ in 0..<20 { #expect(try await server.client.send("GET", "/").status == 200) }
        for try await text in group { #expect(!text.contains(" 200 ")) }
      }
    }
  }

  @Test
  func `who waits for an answer is not cut off`() async throws {
    try await TestServer.run(limits: .impatient) { server in
      async let waiting = server.client.send("GET", "/wait")
      await server.gate.untilHolding(1)
      // By the time that this connection is cut off, the deadline of the other one would have passed as well.
      _ = try await server.connect { socket in
        socket.write("GET / HT")
        return try socket.readToEnd()
      }
      server.gate.open()
      let status = try await waiting.status
      #expect(status == 200)
    }
  }

  @Test
  func `more connections than the server takes wait until one ends`() async throws {
    var limits = HTTPLimits()
    limits.maximumConnectionsPerLoop = 2
    try await TestServer.run(limits: limits) { server in
      async let first = server.client.send("GET", "/wait")
      async let second = server.client.send("GET", "/wait")
      await server.gate.untilHolding(2)
      async let third = server.client.send("GET", "/third")
      #expect(server.http.connectionCount == 2)
      server.gate.open()
      let statuses = try await [first.status, second.status, third.status]
      #expect(statuses == [200, 200, 200])
    }
  }

  private static func post(length: Int) -> [UInt8] {
    Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\n".utf8)
      + [UInt8](repeating: 120, count: length)
  }
}

extension HTTPLimits {
  /// With deadlines that a test can wait for.
  static var impatient: HTTPLimits {
    var limits = HTTPLimits()
    limits.arrivalTimeoutMilliseconds = 300
    limits.deadlineTickMilliseconds = 50
    return limits
  }
}

extension ClientSocket {
  /// Waits so long for the other side to close; false if it has not by then.
  func isClosed(afterMilliseconds milliseconds: Int32) throws -> Bool {
    var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard Glibc.poll(&poll, 1, milliseconds) == 1 else { return false }
    return try read().isEmpty
  }
}

private func text(_ piece: String, _ count: Int) -> String { String(repeating: piece, count: count) }
