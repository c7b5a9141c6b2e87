import Foundation
import TestSupport
import Testing

@Suite("Webhooks of a process that is killed", .timeLimit(.minutes(10))) struct WebhookCrashTests {
  /// How often; `FAULT_KILLS` asks for more.
  static let kills = ProcessInfo.processInfo.environment["FAULT_KILLS"].flatMap { Int($0) } ?? 12

  private static func settings(in directory: TemporaryDirectory) throws -> [String: String] {
    let path = "\(directory.path)/sealing-key"
    try String(repeating: "5a", count: 32).write(toFile: path, atomically: true, encoding: .utf8)
    return ["SEALING_KEY_FILE": path, "WEBHOOK_ALLOW_PRIVATE": "true"]
  }

  private func newDatabase(_ kind: DatabaseKind, in directory: TemporaryDirectory) async -> String {
    kind == .postgres ? await PostgresCluster.quiet.makeDatabase() : await kind.newDatabase(in: directory)
  }

  /// The ids of the owner's events on devices, in the order of the feed.
  private func feed(_ owner: String, at service: Service) async throws -> [String] {
    var (ids, cursor): ([String], String?) = ([], nil)
    while true {
      let query = cursor.map { "&after=\($0)" } ?? ""
      let target = "/api/v1/events?limit=200&types=device.*\(query)"
      let answer = try await service.ask("GET", target, token: owner)
      // On a busy machine a read may take longer than one may.
      guard answer.status != 503 else { continue }
      let page = try answer.object()
      let events = page["events"] as! [[String: Any]]
      guard !events.isEmpty else { return ids }
      ids += events.map { $0["id"] as! String }
      cursor = page["next"] as? String
    }
  }

  /// The first arrival of each.
  private func firsts(_ ids: [String]) -> [String] {
    var seen: Set<String> = []
    return ids.filter { seen.insert($0).inserted }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `get every event at least once, and in order`(kind: DatabaseKind) async throws {
    let directory = TemporaryDirectory()
    let url = await newDatabase(kind, in: directory)
    let settings = try Self.settings(in: directory)
    // Some answers are lost, as the process may be killed before it reads them.
    try await WebhookReceiver.with { receiver in
      try await BlockingThreads.run {
        let first = try Service(on: url, logIn: directory, settings: settings)
        let owner = try await first.newOwner()
        _ = try await first.demand(
          201, "POST", "/api/v1/webhooks", token: owner, json: ["url": receiver.url(), "types": ["device.*"]])
        try first.crash()
        for _ in 1...Self.kills {
          let service = try Service(on: url, logIn: directory, settings: settings)
          let before = receiver.count
          async let working: Void = makeEvents(of: owner, at: service)
          // In the middle of the deliveries, never at the same place.
          try wait(for: "deliveries") { receiver.count >= before + 5 }
          usleep(UInt32.random(in: 0..<30_000))
          try service.crash()
          await working
        }
        let last = try Service(on: url, logIn: directory, settings: settings)
        let expected = try await feed(owner, at: last)
        try wait(for: "all deliveries") { Set(receiver.received.map(\.id)).count >= expected.count }
        let received = receiver.received.map(\.id)
        #expect(firsts(received) == expected)
        // Between two repetitions, too, nothing is left out: each arrival is followed by the next event, or by one that
        // was there before.
        let places = Dictionary(uniqueKeysWithValues: expected.enumerated().map { ($1, $0) })
        for (one, next) in zip(received, received.dropFirst()) {
          #expect(places[next]! <= places[one]! + 1)
        }
        print("\(kind): \(Self.kills) kills, \(expected.count) events, \(received.count) deliveries")
        #expect(try last.stop() == 0)
      }
    }
  }

  /// Until the service is gone.
  private func makeEvents(of owner: String, at service: Service) async {
    while service.process.isRunning {
      let json = ["device_name": UUID().uuidString]
      guard (try? await service.ask("POST", "/api/v1/devices", token: owner, json: json)) != nil else { return }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `continue at another process`(kind: DatabaseKind) async throws {
    let directory = TemporaryDirectory()
    let url = await newDatabase(kind, in: directory)
    try await RedisServer.with { redis in
      let settings = try Self.settings(in: directory).merging([
        "REPLAY_STORE": "redis://127.0.0.1:\(redis.port)/0"
      ]) { $1 }
      try await WebhookReceiver.with { receiver in
        try await BlockingThreads.run {
          let first = try Service(on: url, logIn: directory, settings: settings)
          try await wait(until: { try await first.metric("webhook_delivery_active") == 1 })
          let second = try Service(on: url, logIn: directory, settings: settings)
          let owner = try await second.newOwner()
          _ = try await second.demand(
            201, "POST", "/api/v1/webhooks", token: owner, json: ["url": receiver.url(), "types": ["device.*"]])
          _ = try await second.newDevice(of: owner, "before")
          try wait(for: "deliveries of the first") { receiver.count >= 1 }
          #expect(try await second.metric("webhook_delivery_active") == 0)
          try first.crash()
          _ = try await second.newDevice(of: owner, "after")
          try wait(for: "deliveries of the second") { Set(receiver.received.map(\.id)).count >= 2 }
          #expect(firsts(receiver.received.map(\.id)) == (try await feed(owner, at: second)))
          #expect(try await second.metric("webhook_delivery_active") == 1)
          #expect(try second.stop() == 0)
        }
      }
    }
  }

  /// The variables would send the deliveries to a port where nobody listens.
  @Test func `are called directly, whatever proxy the environment names`() async throws {
    let directory = TemporaryDirectory()
    let proxy = "http://127.0.0.1:1"
    let settings = try Self.settings(in: directory).merging([
      "http_proxy": proxy, "https_proxy": proxy, "all_proxy": proxy, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy,
    ]) { $1 }
    try await WebhookReceiver.with { receiver in
      let service = try await BlockingThreads.run {
        let service = try Service(
          on: "sqlite:\(directory.path)/registry.db", logIn: directory, settings: settings)
        let owner = try await service.newOwner()
        _ = try await service.demand(
          201, "POST", "/api/v1/webhooks", token: owner, json: ["url": receiver.url(), "types": ["device.*"]])
        _ = try await service.newDevice(of: owner, "one")
        try wait(for: "the delivery") { receiver.count >= 1 }
        return service
      }
      _ = try await BlockingThreads.run { try service.stop() }
    }
  }

  /// In the service's own time: others may use the processors meanwhile.
  @Test(arguments: DatabaseKind.allCases)
  func `get ten thousand events in less than ten seconds`(kind: DatabaseKind) async throws {
    let directory = TemporaryDirectory()
    let url = await newDatabase(kind, in: directory)
    let settings = try Self.settings(in: directory)
    try await WebhookReceiver.with { receiver in
      try await BlockingThreads.run {
        let service = try Service(on: url, logIn: directory, settings: settings)
        let owner = try await service.newOwner()
        _ = try await service.demand(
          201, "POST", "/api/v1/webhooks", token: owner, json: ["url": receiver.url(), "types": ["device.*"]])
        let count = 10_000
        try Self.insertEvents(count - 1, into: url)
        let (usedBefore, start) = (service.process.processorSeconds, ContinuousClock.now)
        // PostgreSQL notifies nobody of hand-written events.
        _ = try await service.newDevice(of: owner, "last")
        try wait(for: "all deliveries", upToSeconds: 120) {
          guard service.process.isRunning else { throw Unmet("the service ended: \(service.log.suffix(2000))") }
          return receiver.count >= count
        }
        let used = service.process.processorSeconds - usedBefore
        print("\(kind): \(count) deliveries in \(ContinuousClock.now - start), \(used) s of a processor")
        #expect(used < 10 * Double(stretched(1)))
        #expect(receiver.received.map(\.id) == (try await feed(owner, at: service)))
        #expect(try service.stop() == 0)
      }
    }
  }

  /// Inserts events of the only client.
  private static func insertEvents(_ count: Int, into url: String) throws {
    let numbers =
      url.hasPrefix("sqlite:")
      ? "(WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < \(count)) SELECT n FROM number)"
      : "generate_series(1, \(count))"
    let time = url.hasPrefix("sqlite:") ? "1770000000000" : "now()"
    _ = try Database.column(
      url,
      """
      INSERT INTO events (type, at, client_id, actor_kind)
      SELECT 'device.updated', \(time), (SELECT id FROM clients), 'owner' FROM \(numbers) AS numbers
      """)
  }
}
