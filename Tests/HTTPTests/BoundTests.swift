import Encoding
import EventLoop
import Foundation
@testable import HTTP
import TestSupport
import Testing

@Suite("Bounds on connections and unread answers", .timeLimit(.minutes(2)))
struct BoundTests {
  private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
  /// The body of `/large`.
  private static let largeBytes = 5 * 1024 * 1024
  /// What is left of it after one piece was read.
  private static let nearlyAll = largeBytes - 64 * 1024

  // MARK: Connections of an address

  @Test
  func `an address has a maximum of connections; another address is not affected`() async throws {
    var limits = HTTPLimits()
    limits.maximumConnectionsPerAddress = 2
    try await TestServer.run(limits: limits) { server in
      try await server.connect { first in
        let second = try server.socket()
        #expect(try second.answer(to: Self.get).hasPrefix("HTTP/1.1 200 "))
        #expect(try server.socket().readToEnd() == "")
        #expect(try server.socket(from: "127.0.0.2").answer(to: Self.get).hasPrefix("HTTP/1.1 200 "))
        #expect(try first.answer(to: Self.get).hasPrefix("HTTP/1.1 200 "))
      }
      #expect(server.http.ledger.closedConnections(for: .address) == 1)
      try await server.untilAllAreClosed()
      // What ended does not count.
      for _ in 0..<3 { #expect(try await server.client.send("GET", "/").status == 200) }
    }
  }

  @Test
  func `a trusted proxy may have more connections, and its clients are not counted`() async throws {
    var limits = HTTPLimits()
    limits.maximumConnectionsPerAddress = 1
    try await TestServer.run(limits: limits, trustedProxies: TrustedProxies("127.0.0.1")) { server in
      try await server.connect { first in
        let others = try (0..<3).map { _ in try server.socket() }
        for socket in [first] + others {
          let text = try socket.answer(
            to: "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
          #expect(text.hasPrefix("HTTP/1.1 200 "))
        }
      }
    }
  }

  @Test
  func `a /64 of IPv6 is one address`() throws {
    let addresses = try [
      "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1", "192.0.2.1", "192.0.2.2",
    ]
    .map { try #require(IPAddress($0)).network }
    #expect(addresses[0] == addresses[1])
    #expect(Set(addresses).count == 4)
  }

  // MARK: All connections are taken

  @Test
  func `when all connections are taken, a new one replaces the one that has been idle longest`() async throws {
    var limits = HTTPLimits()
    limits.maximumConnectionsPerLoop = 3
    try await TestServer.run(limits: limits) { server in
      try await server.connect { first in
        _ = try first.answer(to: Self.get)
        let (second, third) = (try server.socket(), try server.socket())
        _ = try third.answer(to: Self.get)
        // Now the second one, which has never sent a byte, has been idle longest.
        _ = try first.answer(to: Self.get)
        let fourth = try server.socket()
        #expect(try fourth.answer(to: Self.get).hasPrefix("HTTP/1.1 200 "))
        #expect(try second.readToEnd() == "")
        #expect(second.ending() == nil, "an end in order")
        _ = try first.answer(to: Self.get)
        #expect(try server.socket().answer(to: Self.get).hasPrefix("HTTP/1.1 200 "))
        #expect(try third.readToEnd() == "")
        for socket in [first, fourth] { #expect(try socket.answer(to: Self.get).hasPrefix("HTTP/1.1 200 ")) }
      }
      #expect(server.http.ledger.closedConnections(for: .idle) == 2)
    }
  }

  @Test
  func `an idle connection whose request has arrived is spared`() async throws {
    var limits = HTTPLimits()
    limits.maximumConnectionsPerLoop = 2
    try await TestServer.run(limits: limits) { server in
      let (first, second) = (try server.socket(), try server.socket())
      try await wait { server.http.connectionCount == 2 }
      var third: ClientSocket?
      try await server.whileBusy {
        first.write(Self.get)
        third = try server.socket()
        third?.write(Self.get)
      }
      #expect(try second.readToEnd() == "")
      for socket in [first, try #require(third)] {
        #expect(try socket.read(until: "GET /").hasPrefix("HTTP/1.1 200 "))
      }
    }
  }

  @Test(arguments: ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"])
  func `where no connection is idle, the oldest incomplete request makes room`(half: String) async throws {
    var limits = HTTPLimits()
    limits.maximumConnectionsPerLoop = 2
    try await TestServer.run(limits: limits) { server in
      let (first, second) = (try server.socket(), try server.socket())
      second.write("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
      await server.gate.untilHolding(1)
      first.write(half)
      try await wait { await server.loop.run { server.http.unfinished.oldest != nil } }
      #expect(try await server.client.send("GET", "/").status == 200)
      #expect(try first.readToEnd() == "")
      #expect(server.http.ledger.closedConnections(for: .unfinished) == 1)
      server.gate.open()
      #expect(try second.read(until: "GET /wait").hasPrefix("HTTP/1.1 200 "))
    }
  }

  @Test
  func `while all connections are answered a new one waits, until one is idle`() async throws {
    var limits = HTTPLimits()
    limits.maximumConnectionsPerLoop = 2
    try await TestServer.run(limits: limits) { server in
      let answered = (try server.socket(), try server.socket())
      for socket in [answered.0, answered.1] { socket.write("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n") }
      await server.gate.untilHolding(2)
      let new = try server.socket()
      new.write(Self.get)
      #expect(server.http.connectionCount == 2)
      server.gate.open()
      #expect(try new.read(until: "GET /").hasPrefix("HTTP/1.1 200 "))
      #expect(server.http.ledger.closedConnections(for: .idle) == 1)
    }
  }

  // MARK: Unread answers

  /// With a time that a test can wait for.
  private static var limits: HTTPLimits {
    var limits = HTTPLimits()
    limits.unreadCheckMilliseconds = 100
    limits.deadlineTickMilliseconds = 50
    return limits
  }

  @Test
  func `a party that reads no answers keeps one, and loses its other connections`() async throws {
    try await TestServer.run(limits: Self.limits) { server in
      let ledger = server.http.ledger
      try await server.connect { first in
        let sockets = try [first] + (0..<4).map { _ in try server.socket() }
        for socket in sockets { try socket.ask(for: "/large?party=1") }
        for _ in 0..<10_000 where ledger.closedConnections(for: .unreadOfParty) < 4 { usleep(1000) }
        #expect(ledger.unreadBytes == Self.largeBytes)
        // Another party is not affected.
        let other = try server.socket()
        try other.ask(for: "/large?party=2")
        let sizes = try ([other] + sockets).map { try $0.readToEnd().utf8.count }
        #expect(sizes[0] > Self.nearlyAll)
        #expect(sizes.dropFirst().count { $0 > Self.nearlyAll } == 1, "\(sizes)")
      }
      #expect(ledger.closedConnections(for: .unreadOfParty) == 4)
      try await wait { ledger.unreadBytes == 0 }
    }
  }

  @Test
  func `without a party, the address of the client counts`() async throws {
    try await TestServer.run(limits: Self.limits) { server in
      try await server.connect { first in
        let (second, other) = (try server.socket(), try server.socket(from: "127.0.0.2"))
        for socket in [first, second, other] { try socket.ask(for: "/large") }
        for _ in 0..<10_000 where server.http.ledger.closedConnections(for: .unreadOfParty) < 1 { usleep(1000) }
        #expect(try other.readToEnd().utf8.count > Self.nearlyAll)
        let sizes = try [first, second].map { try $0.readToEnd().utf8.count }
        #expect(sizes.count { $0 > Self.nearlyAll } == 1, "\(sizes)")
      }
    }
  }

  @Test
  func `who reads slowly loses nothing, however much its party has not read`() async throws {
    var limits = Self.limits
    limits.maximumUnreadBytesPerParty = 1
    limits.unreadCheckMilliseconds = 1000
    try await TestServer.run(limits: limits) { server in
      try await server.connect { first in
        let sockets = try [first] + (0..<2).map { _ in try server.socket() }
        for socket in sockets { try socket.ask(for: "/large?party=1") }
        var sizes = [0, 0, 0]
        // For longer than the time between two looks.
        for round in 1...40 {
          for (index, socket) in sockets.enumerated() {
            while sizes[index] < round * 64 * 1024 {
              let count = try socket.read().count
              try #require(count > 0, "the connection was closed")
              sizes[index] += count
            }
          }
          usleep(50_000)
        }
        for (index, socket) in sockets.enumerated() { sizes[index] += try socket.readToEnd().utf8.count }
        #expect(sizes.allSatisfy { $0 > Self.nearlyAll }, "\(sizes)")
      }
      #expect(server.http.ledger.closedConnections(for: .unreadOfParty) == 0)
    }
  }

  @Test
  func `beyond the bound of all parties, the one that has most loses its oldest answer`() async throws {
    var limits = HTTPLimits()
    limits.maximumUnreadBytes = 3 * Self.largeBytes - 1
    try await TestServer.run(limits: limits) { server in
      let ledger = server.http.ledger
      try await server.connect { first in
        let (second, third) = (try server.socket(), try server.socket())
        try first.ask(for: "/large?party=1")
        try second.ask(for: "/large?party=1")
        try third.ask(for: "/large?party=2")
        for _ in 0..<10_000 where ledger.closedConnections(for: .unread) < 1 { usleep(1000) }
        let sizes = try [first, second, third].map { try $0.readToEnd().utf8.count }
        #expect(sizes.map { $0 > Self.nearlyAll } == [false, true, true], "\(sizes)")
      }
      #expect(ledger.closedConnections(for: .unread) == 1)
      try await wait { ledger.unreadBytes == 0 }
    }
  }
}

extension TestServer {
  fileprivate func socket(from address: String? = nil) throws -> ClientSocket {
    try ClientSocket(port: port, from: address, deadline: Date(timeIntervalSinceNow: 30))
  }
}

extension ClientSocket {
  /// The answer to a request to which the server answers with one short piece.
  fileprivate func answer(to request: String) throws -> String {
    write(request)
    return try read(until: "GET /")
  }

  /// Asks for an answer, reads its beginning, and no more.
  fileprivate func ask(for target: String) throws {
    write("GET \(target) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    _ = try read()
  }
}
