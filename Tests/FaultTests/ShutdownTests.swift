import Foundation
import Glibc
import TestSupport
import Testing

@Suite("A service that is stopped under load", .timeLimit(.minutes(5))) struct ShutdownTests {
  @Test(arguments: DatabaseKind.allCases)
  func `answers everything that is in flight, writes presence, and exits with 0`(kind: DatabaseKind)
    async throws
  {
    let directory = TemporaryDirectory()
    let url = await kind.newDatabase(in: directory)
    try await BlockingThreads.run {
      // Hashes that cost something, so that registrations queue up; but all of them far less than 10 s.
      let service = try Service(
        on: url, logIn: directory, settings: ["ARGON2_MEMORY_KIB": "8192", "ARGON2_TIME": "2"])
      let owner = try await service.newOwner()
      var devices: [FaultDevice] = []
      for number in 1...10 { devices.append(try await service.newDevice(of: owner, "EA \(number)")) }

      try await withThrowingTaskGroup(of: HTTPAnswer.self) { group in
        for device in devices { group.addTask { try await device.poll("?wait=30", of: service) } }
        try await wait(for: "parked polls") { try await service.metric("parked_polls") == 10 }
        let registrations = try (1...16).map { number in
          try SentRegistration(to: service, owner: owner, name: "EA of \(number)", isHalf: number <= 4)
        }
        service.process.send(SIGTERM)
        let begun = ContinuousClock.now
        try wait(for: "it to stop") { service.log.contains(#""stopping""#) }
        for registration in registrations { registration.sendRest() }
        var registered = 0
        for registration in registrations {
          let answer = try registration.answer()
          // A database that is too slow for it, on a busy machine, is an answer as well.
          let isAnswer = answer.hasPrefix("HTTP/1.1 201 ") || answer.hasPrefix("HTTP/1.1 503 ")
          #expect(isAnswer, "\(answer)\n\(service.log.suffix(2000))")
          if answer.hasPrefix("HTTP/1.1 201 ") { registered += 1 }
        }
        #expect(registered > 0)
        for try await poll in group {
          #expect(poll.status == 200)
          #expect((try poll.object()["signals"] as? [Any])?.isEmpty == true)
        }
        #expect(try service.process.wait() == 0)
        let elapsed = (ContinuousClock.now - begun) / .milliseconds(1)
        #expect(elapsed < 10_000 + stretched(5000))
        let stored = try Database.column(url, "SELECT count(*) FROM devices").first.flatMap { Int($0) }
        #expect((devices.count + registered...26).contains(stored ?? 0))
        print("\(kind): stopped after \(Int(elapsed)) ms, all answered, \(registered) of 16 with 201")
      }
      #expect(try Database.column(url, "SELECT count(*) FROM devices WHERE last_poll IS NOT NULL") == ["10"])
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `writes the presence of a device that polled right before`(kind: DatabaseKind) async throws {
    let directory = TemporaryDirectory()
    let url = await kind.newDatabase(in: directory)
    try await BlockingThreads.run {
      let service = try Service(on: url, logIn: directory)
      let owner = try await service.newOwner()
      let (early, latest) = (
        try await service.newDevice(of: owner, "early"), try await service.newDevice(of: owner, "latest")
      )
      _ = try await early.poll(of: service)
      // Presence is written again in a second, and the service is stopped before that.
      try await wait(for: "presence to be written") { try await service.metric("presence_pending") == 0 }
      #expect(try await latest.poll(of: service).status == 200)
      #expect(try service.stop() == 0)
      #expect(try Database.column(url, "SELECT count(*) FROM devices WHERE last_poll IS NOT NULL") == ["2"])
    }
  }

  @Test
  func `resets no connection that it took, and refuses the rest`() async throws {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      let service = try Service(on: "sqlite:\(directory.path)/registry.db", logIn: directory)
      let owner = try await service.newOwner()
      let outcomes = try await withThrowingTaskGroup(of: [Visit: Int].self) { group in
        let visits = Counter()
        for _ in 0..<8 { group.addTask { visit(service, owner: owner, visits) } }
        try wait(for: "visits") { visits.value >= 400 }
        #expect(try service.stop() == 0)
        return try await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
      }
      let answered = outcomes[.answered, default: 0]
      #expect(outcomes[.reset, default: 0] == 0)
      #expect(answered >= 400)
      print("visits until the service was gone: \(answered) answered")
    }
  }

  private enum Visit: Hashable { case answered, reset, refused }

  /// One connection after another, each with one request, until none is taken any more.
  private func visit(_ service: Service, owner: String, _ visits: Counter) -> [Visit: Int] {
    var outcomes: [Visit: Int] = [:]
    let request =
      "GET /api/v1/devices HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer \(owner)\r\n\r\n"
    while outcomes[.refused] == nil, !Task.isCancelled {
      let outcome: Visit
      if let socket = try? ClientSocket(port: service.client.port, deadline: Date(timeIntervalSinceNow: 30)) {
        socket.write(Array(request.utf8))
        outcome = (try? socket.read()).map { $0.isEmpty ? .reset : .answered } ?? .reset
      } else {
        outcome = .refused
      }
      outcomes[outcome, default: 0] += 1
      visits.add()
    }
    return outcomes
  }
}

/// A registration that was sent, all of it or half of its body.
private struct SentRegistration {
  private let socket: ClientSocket
  private let rest: [UInt8]

  init(to service: Service, owner: String, name: String, isHalf: Bool) throws {
    let body = Array(#"{"device_name": "\#(name)"}"#.utf8)
    let lines = [
      "POST /api/v1/devices HTTP/1.1", "Host: a", "Authorization: Bearer \(owner)",
      "Content-Type: application/json", "Content-Length: \(body.count)", "", "",
    ]
    let sent = isHalf ? 5 : body.count
    socket = try ClientSocket(port: service.client.port, deadline: Date(timeIntervalSinceNow: 60))
    socket.write(Array(lines.joined(separator: "\r\n").utf8) + body.prefix(sent))
    rest = Array(body.dropFirst(sent))
  }

  func sendRest() { socket.write(rest) }

  /// The answer; empty where there is none.
  func answer() throws -> String { String(decoding: try socket.read(), as: UTF8.self) }
}
