import Foundation
import Glibc
import HTTP
import TestSupport
import Testing

@Suite("Time", .timeLimit(.minutes(2)))
struct DeadlineTests {
  private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  @Test(arguments: [
    "GET / HT", "\(get)GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
  ])
  func
    `a request that does not arrive in time is answered 408, which the client sees, and its connection ended`(
      half: String
    ) async throws
  {
    try await TestServer.run(limits: .impatient) { server in
      let text = try await server.connect { socket in
        socket.write(half)
        let text = try socket.readToEnd()
        #expect(socket.ending() == nil, "an end in order")
        return text
      }
      let heads = half.hasPrefix(Self.get) ? ["200 OK", "408 Request Timeout"] : ["408 Request Timeout"]
      #expect(text.matches(of: /HTTP\/1.1 ([^\r]*)\r\n/).map { String($0.1) } == heads)
      #expect(text.contains("\r\nConnection: close\r\n"))
      #expect(text.count(of: "X-Request-Id: ") == heads.count)
    }
  }

  @Test
  func `content that was asked for and does not arrive in time is lost to its handler, which answers`()
    async throws
  {
    try await TestServer.run(limits: .impatient) { server in
      let text = try await server.connect { socket in
        socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        return try socket.readToEnd()
      }
      #expect(text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 "))
      #expect(text.hasSuffix("lost"))
    }
  }

  @Test(arguments: ["", "\r\n", get, get + get])
  func `a connection that is idle for too long is ended`(before: String) async throws {
    var limits = HTTPLimits.impatient
    limits.idleTimeoutMilliseconds = 300
    try await TestServer.run(limits: limits) { server in
      let text = try await server.connect { socket in
        let begun = ContinuousClock.now
        socket.write(before)
        let text = try socket.readToEnd()
        #expect(ContinuousClock.now - begun > .milliseconds(290))
        return text
      }
      #expect(text.count(of: "HTTP/1.1 200 ") == before.count(of: "GET"))
      #expect(text.count(of: "HTTP/1.1 ") == before.count(of: "GET"))
    }
  }

  @Test
  func `a client that does not take its answer is not read from, and ended in time`() async throws {
    var limits = HTTPLimits()
    limits.answerTimeoutMilliseconds = 1000
    limits.deadlineTickMilliseconds = 50
    try await TestServer.run(limits: limits) { server in
      let (taken, received) = try await server.connect { socket in
        socket.receiveLittle()
        socket.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        let begun = ContinuousClock.now
        let taken = socket.flood(Self.get)
        let received = try socket.readToEnd().utf8.count
        #expect(ContinuousClock.now - begun < .seconds(stretched(10)))
        return (taken, received)
      }
      // What the buffers of the system take in.
      #expect(taken < 32 * 1024 * 1024)
      #expect(received < 5 * 1024 * 1024)
      try await server.untilAllAreClosed()
    }
  }

  @Test
  func `a client that reads its answers one after another is not ended, however long that takes in all`()
    async throws
  {
    var limits = HTTPLimits.impatient
    limits.answerTimeoutMilliseconds = 300
    limits.idleTimeoutMilliseconds = 300
    try await TestServer.run(limits: limits) { server in
      try await server.connect { socket in
        let begun = ContinuousClock.now
        while ContinuousClock.now - begun < .milliseconds(1000) {
          socket.write(Self.get)
          let answer = try socket.read(until: "GET / 0")
          let isClosed = try socket.isClosed(afterMilliseconds: 50)
          #expect(answer.hasPrefix("HTTP/1.1 200 ") && !isClosed)
        }
      }
    }
  }
}

extension ClientSocket {
  /// Sends again and again, without waiting, until the system takes no more for some time, or the connection has ended.
  /// - Returns: bytes that the system took; at most 64 MiB.
  func flood(_ text: String) -> Int {
    let bytes = Array(String(repeating: text, count: 1000).utf8)
    var taken = 0
    while taken < 64 * 1024 * 1024 {
      let count = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      guard count < 0 else {
        taken += count
        continue
      }
      var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      guard errno == EAGAIN, Glibc.poll(&poll, 1, 200) == 1 else { return taken }
    }
    return taken
  }
}
