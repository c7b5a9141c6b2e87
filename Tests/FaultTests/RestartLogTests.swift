import Foundation
import TestSupport
import Testing

/// What is logged while something restarts as it should.
@Suite("The log of a planned restart", .timeLimit(.minutes(5))) struct RestartLogTests {
  /// Events of the log with a level, in order.
  private func events(_ service: Service, _ level: String) -> [String] {
    service.log.split(separator: "\n").filter { $0.contains(#""level":"\#(level)""#) }.map(String.init)
  }

  /// Devices that poll, and an owner who reads, until the body returns. Answers how often each status was answered.
  private func load(
    _ service: Service, _ owner: String, _ devices: [FaultDevice], during body: () async throws -> Void
  ) async throws -> [Int: Int] {
    let isOver = Counter()
    return try await withThrowingTaskGroup(of: [Int: Int].self) { group in
      for device in devices {
        group.addTask {
          var statuses: [Int: Int] = [:]
          while isOver.value == 0 {
            let poll = try? await device.poll(of: service).status
            let read = try? await service.ask("GET", "/api/v1/devices", token: owner).status
            for status in [poll, read] { statuses[status ?? 0, default: 0] += 1 }
          }
          return statuses
        }
      }
      do { try await body() } catch {
        isOver.add()
        throw error
      }
      isOver.add()
      return try await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A service that is stopped and started under load logs no error and no warning`(kind: DatabaseKind)
    async throws
  {
    let directory = TemporaryDirectory()
    let url = await kind.newDatabase(in: directory)
    try await BlockingThreads.run {
      let settings = ["STATE_DIRECTORY": directory.path]
      let first = try Service(on: url, logIn: directory, settings: settings)
      let owner = try await first.newOwner()
      let devices = try await (1...4).asyncMap { try await first.newDevice(of: owner, "EA \($0)") }
      let polls = Counter()
      _ = try await load(first, owner, devices) {
        try await untilPolled(first, devices[0], polls)
        #expect(try first.stop() == 0)
      }
      let second = try Service(on: url, logIn: directory, settings: settings)
      let answers = try await load(second, owner, devices) { try await untilPolled(second, devices[0], polls) }
      #expect(answers.keys.allSatisfy { $0 == 200 }, "\(answers)")
      #expect(try second.stop() == 0)
      for service in [first, second] {
        for level in ["error", "warning"] { #expect(events(service, level) == [], "\(level)") }
      }
    }
  }

  /// Waits for some more polls.
  private func untilPolled(_ service: Service, _ device: FaultDevice, _ polls: Counter) async throws {
    for _ in 0..<20 {
      _ = try await device.poll(of: service)
      polls.add()
    }
  }

  @Test func `After a crash, requests that may have been used before are refused in one line`() async throws {
    let directory = TemporaryDirectory()
    let url = "sqlite:\(directory.path)/registry.db"
    try await BlockingThreads.run {
      let first = try Service(on: url, logIn: directory)
      let owner = try await first.newOwner()
      let device = try await first.newDevice(of: owner, "EA")
      #expect(try await device.poll(of: first).status == 200)
      try first.crash()
      let second = try Service(on: url, logIn: directory)
      var refused = 0
      while try await device.poll(of: second).status == 503 { refused += 1 }
      #expect(refused > 0)
      #expect(try second.stop() == 0)
      #expect(events(second, "error") == [])
      // On a busy machine there may be pauses.
      let lines = events(second, "notice").filter { $0.contains("refused after a start") }
      let counts = lines.compactMap { line in
        line.firstMatch(of: /"count":"(\d+)"/).flatMap { Int($0.1) }
      }
      #expect(counts.reduce(0, +) == refused && lines.count < max(refused, 2), "\(lines)")
    }
  }

  @Test func `A PostgreSQL that is restarted under load leaves two lines, and no error or warning`()
    async throws
  {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      try await PostgresCluster.with { cluster in
        let service = try Service(on: await cluster.makeDatabase(), logIn: directory)
        let owner = try await service.newOwner()
        let devices = try await (1...4).asyncMap { try await service.newDevice(of: owner, "EA \($0)") }
        let answers = try await load(service, owner, devices) {
          await cluster.stop()
          try await wait(for: "requests to be refused") {
            try await service.ask("GET", "/api/v1/devices", token: owner).status == 503
          }
          await cluster.start()
          try await wait(for: "service") {
            let read = try await service.ask("GET", "/api/v1/devices", token: owner).status
            let poll = try await devices[0].poll(of: service).status
            return read == 200 && poll == 200
          }
        }
        #expect((answers[503] ?? 0) > 0 && answers.keys.allSatisfy { [200, 503].contains($0) }, "\(answers)")
        try wait(for: "the end of it in the log") { service.log.contains("database back") }
        #expect(try service.stop() == 0)
        for level in ["error", "warning"] { #expect(events(service, level) == [], "\(level)") }
        let notices = events(service, "notice").filter { $0.contains("database ") && !$0.contains("migrated") }
        #expect(notices.count == 2, "\(notices)")
        #expect(notices.first?.contains("57P01") == true)
        #expect(notices.last?.contains(/"requests_refused":"[1-9]/) == true)
      }
    }
  }
}

extension ClosedRange<Int> {
  fileprivate func asyncMap<Value>(_ body: (Int) async throws -> Value) async throws -> [Value] {
    var values: [Value] = []
    for number in self { values.append(try await body(number)) }
    return values
  }
}
