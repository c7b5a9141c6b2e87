import Foundation
import RequestSignature
import Synchronization
import TestSupport
import Testing

/// Two services on one database and one Redis, as far as they know two processes.
private struct TwoRegistries: Sendable {
  let left: TestRegistry
  let right: TestRegistry
  let redis: RedisServer
  let owner: TestOwner

  static func with(_ kind: DatabaseKind, _ body: (TwoRegistries) async throws -> Void) async throws {
    try await RedisServer.with { redis in
      let database = await TestDatabase(kind)
      let settings = ["REPLAY_STORE": "redis://127.0.0.1:\(redis.port)/0"]
      try await TestRegistry.with(database, settings: settings) { left in
        try await TestRegistry.with(database, settings: settings) { right in
          try await body(
            TwoRegistries(left: left, right: right, redis: redis, owner: try await left.newOwner()))
        }
      }
    }
  }
}

/// What two clocks' readings are apart, in milliseconds.
private func milliseconds(since start: ContinuousClock.Instant) -> Double {
  (ContinuousClock.now - start) / .milliseconds(1)
}

/// Told at the end of a test, for those who measure: `LATENCY_TRIALS=100 swift test --filter SeveralProcesses`.
private struct Latencies {
  /// On a busy machine two processors serve all tests at once: no more than a bound that shows that it was not a
  /// time-out that helped. What a quiet machine takes is measured.
  static let bound = 5000.0
  static let trials = ProcessInfo.processInfo.environment["LATENCY_TRIALS"].flatMap(Int.init) ?? 3

  private var milliseconds: [Double] = []

  mutating func add(_ latency: Double) { milliseconds.append(latency) }

  func report(_ what: String) {
    let sorted = milliseconds.sorted()
    #expect(sorted.last! < Self.bound)
    guard Self.trials > 3 else { return }
    let (median, worst) = (sorted[sorted.count / 2], sorted.last!)
    print("\(what): median \(median) ms, worst \(worst) ms of \(sorted.count)")
  }
}

/// What the writers and readers of a feed share.
private final class FeedTally: Sendable {
  let writes = Mutex(0)
  let isOver = Mutex(false)
}

@Suite("Several processes on one database", .timeLimit(.minutes(3))) struct SeveralProcessesTests {
  /// What ends a secret.
  enum End: String, CaseIterable {
    case revocation, suspension, suspensionOfClient, deletion, rotation, removalOfClient

    /// What the device learns then.
    var kind: String {
      switch self {
      case .revocation: "device-revoked"
      case .suspension: "device-suspended"
      case .suspensionOfClient: "client-suspended"
      case .deletion, .rotation, .removalOfClient: "signature-invalid"
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases, End.allCases)
  func `What ends a secret at one is in force at the other`(_ kind: DatabaseKind, _ end: End) async throws {
    try await TwoRegistries.with(kind) { two in
      var latencies = Latencies()
      for _ in 0..<Latencies.trials {
        let owner = try await two.left.newOwner()
        let device = try await two.left.newSignedDevice(of: owner)
        // Now the other one knows it by heart.
        for _ in 0..<2 { #expect(try await two.right.poll(device).status == 200) }
        switch end {
        case .revocation:
          let answer = try await two.left.ask("POST", "/api/v1/devices/\(device.id)/revoke", as: owner)
          #expect(answer.status == 204)
        case .suspension:
          let answer = try await two.left.ask("POST", "/api/v1/devices/\(device.id)/suspend", as: owner)
          #expect(answer.status == 200)
        case .suspensionOfClient:
          let answer = try await two.left.ask(
            "POST", "/api/v1/clients/\(owner.id)/suspend", token: TestRegistry.administrator)
          #expect(answer.status == 200)
        case .deletion:
          try await two.left.revoke(device, of: owner)
          let answer = try await two.left.ask("DELETE", "/api/v1/devices/\(device.id)", as: owner)
          #expect(answer.status == 204)
        case .rotation:
          let answer = try await two.left.ask(
            "POST", "/api/v1/devices/\(device.id)/rotate", as: owner, json: ["grace_seconds": 0])
          #expect(answer.status == 200)
        case .removalOfClient:
          let answer = try await two.left.ask(
            "DELETE", "/api/v1/clients/\(owner.id)", token: TestRegistry.administrator)
          #expect(answer.status == 204)
        }
        let start = ContinuousClock.now
        var answer: HTTPAnswer
        repeat {
          answer = try await two.right.send(.init("GET", "/api/v1/device/poll"), as: device)
        } while try TestRegistry.kind(answer) != end.kind && milliseconds(since: start) < 2 * Latencies.bound
        latencies.add(milliseconds(since: start))
        #expect(try TestRegistry.kind(answer) == end.kind)
      }
      latencies.report("\(end) on \(kind), until the other process refuses")
    }
  }

  @Test(arguments: DatabaseKind.allCases, [false, true])
  func `A suspension at one ends the poll that is parked at the other, and a client's shuts out its owner too`(
    _ kind: DatabaseKind, _ isOfClient: Bool
  ) async throws {
    try await TwoRegistries.with(kind) { two in
      var latencies = Latencies()
      for _ in 0..<Latencies.trials {
        let owner = try await two.left.newOwner()
        let device = try await two.left.newSignedDevice(of: owner)
        #expect(try await two.right.ask("GET", "/api/v1/devices", as: owner).status == 200)
        async let poll = Self.timed { try await two.right.poll(device, query: "?wait=30") }
        try await wait { try await two.right.askAdmin("GET", "/metrics").text.contains("\nparked_polls 1\n") }
        let (path, token) =
          isOfClient
          ? ("clients/\(owner.id)", TestRegistry.administrator) : ("devices/\(device.id)", owner.token)
        #expect(try await two.left.ask("POST", "/api/v1/\(path)/suspend", token: token).status == 200)
        let suspended = ContinuousClock.now
        let (answer, arrived) = try await poll
        #expect(answer.status == 403)
        #expect(try TestRegistry.kind(answer) == (isOfClient ? "client-suspended" : "device-suspended"))
        latencies.add(max(0, (arrived - suspended) / .milliseconds(1)))
        try await two.right.until("the owner is refused, if its client is suspended") {
          let status = try await two.right.ask("GET", "/api/v1/devices", as: owner).status
          return status == (isOfClient ? 403 : 200)
        }
      }
      latencies.report("a suspension on \(kind), until the parked poll at the other process is refused")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Of two terminals at two processes one polls, and a takeover at one ends the poll at the other`(
    _ kind: DatabaseKind
  ) async throws {
    try await TwoRegistries.with(kind) { two in
      let device = try await two.left.newSignedDevice(of: two.owner)
      #expect(try await two.left.poll(device, query: "?instance=terminal-1").status == 200)
      let refused = try await two.right.poll(device, query: "?instance=terminal-2")
      #expect(try TestRegistry.kind(refused) == "device-in-use")
      async let parked = two.left.poll(device, query: "?instance=terminal-1&wait=30")
      try await two.left.untilParked(1)
      #expect(try await two.right.poll(device, query: "?instance=terminal-2&takeover=1").status == 200)
      #expect(try await parked.status == 409)
      #expect(try await two.left.poll(device, query: "?instance=terminal-1").status == 409)
      #expect(try await two.right.poll(device, query: "?instance=terminal-2").status == 200)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A signal that one accepted wakes the poll that is parked at the other`(_ kind: DatabaseKind)
    async throws
  {
    try await TwoRegistries.with(kind) { two in
      let device = try await two.left.newSignedDevice(of: two.owner)
      var latencies = Latencies()
      for _ in 0..<Latencies.trials {
        async let poll = Self.timed { try await two.left.polledIDs(device, query: "?wait=30") }
        try await wait { try await two.left.askAdmin("GET", "/metrics").text.contains("\nparked_polls 1\n") }
        let id = try await two.right.newSignal(of: two.owner, to: [device])
        let sent = ContinuousClock.now
        let (ids, arrived) = try await poll
        #expect(ids == [id])
        latencies.add(max(0, (arrived - sent) / .milliseconds(1)))
        #expect(try await two.left.ack(device, [["signal_id": id, "status": "placed"]]).status == 200)
      }
      latencies.report("wake-up on \(kind), from the answer to the owner to the answer to the device")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A halt at one ends the poll that is parked at the other`(_ kind: DatabaseKind) async throws {
    try await TwoRegistries.with(kind) { two in
      let device = try await two.left.newSignedDevice(of: two.owner)
      var latencies = Latencies()
      for number in 0..<Latencies.trials {
        async let poll = Self.timed { try await two.left.poll(device, query: "?wait=30") }
        try await wait { try await two.left.askAdmin("GET", "/metrics").text.contains("\nparked_polls 1\n") }
        let name = number.isMultiple(of: 2) ? "halted" : "normal"
        let json: [String: Any] = [
          "action": "set_trading_mode", "select": ["all": true], "trading_mode": name,
        ]
        let answer = try await two.right.ask("POST", "/api/v1/devices/bulk", as: two.owner, json: json)
        #expect(answer.status == 200)
        let sent = ContinuousClock.now
        let (told, arrived) = try await poll
        #expect((try told.object()["trading_mode"] as? [String: Any])?["mode"] as? String == name)
        latencies.add(max(0, (arrived - sent) / .milliseconds(1)))
      }
      latencies.report("a halt on \(kind), from the answer to the owner to the answer to the device")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Of sixteen requests with one idempotency key at two, one creates, and the others do nothing`(
    _ kind: DatabaseKind
  ) async throws {
    try await TwoRegistries.with(kind) { two in
      let device = try await two.left.newSignedDevice(of: two.owner)
      let answers = try await Self.sendSixteenTimes(two)
      let created = answers.filter { $0.status == 201 }
      #expect(created.count { $0.value(of: "idempotency-replayed") == nil } == 1)
      #expect(Set(created.map(\.text)).count == 1)
      #expect(answers.allSatisfy { $0.status == 201 || $0.text.contains("/idempotency-in-progress") })
      #expect(try await two.left.polledIDs(device).count == 1)
    }
  }

  /// Sends a signal to all sixteen times at once, with the same key and body.
  private static func sendSixteenTimes(_ two: TwoRegistries) async throws -> [HTTPAnswer] {
    let fields = [
      ("Authorization", "Bearer \(two.owner.token)"), ("Content-Type", "application/json"),
      ("Idempotency-Key", "one"),
    ]
    let registries = (0..<16).map { $0.isMultiple(of: 2) ? two.left : two.right }
    return try await withThrowingTaskGroup { group in
      for registry in registries {
        group.addTask {
          try await registry.client.send(
            "POST", "/api/v1/signals", fields: fields, body: Array(#"{"payload": {"a": 1}, "all": true}"#.utf8))
        }
      }
      return try await group.reduce(into: [HTTPAnswer]()) { $0.append($1) }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `An event that one recorded wakes the reader that waits at the other`(_ kind: DatabaseKind) async throws
  {
    try await TwoRegistries.with(kind) { two in
      var next = try await two.left.feed(of: two.owner, count: 1).next
      var latencies = Latencies()
      for _ in 0..<Latencies.trials {
        let start = next
        async let page = Self.timed { try await two.left.feed(of: two.owner, after: start, "wait=30") }
        try await wait { try await two.left.metric("parked_readers") == 1 }
        _ = try await two.right.newSignedDevice(of: two.owner)
        let registered = ContinuousClock.now
        let (read, arrived) = try await page
        #expect(read.types == ["device.registered"])
        next = read.next
        latencies.add(max(0, (arrived - registered) / .milliseconds(1)))
      }
      latencies.report("wake-up on \(kind), from the answer to the owner to the event")
    }
  }

  /// `FEED_SECONDS=30 swift test --filter SeveralProcesses` writes for that long.
  private static let feedSeconds =
    ProcessInfo.processInfo.environment["FEED_SECONDS"].flatMap(Int.init) ?? 3

  @Test(arguments: DatabaseKind.allCases)
  func `Eight writers at two, three readers: each reads each event once, in the same order`(
    _ kind: DatabaseKind
  )
    async throws
  {
    try await TwoRegistries.with(kind) { two in
      var devices: [TestDevice] = []
      for _ in 0..<8 { devices.append(try await two.left.newSignedDevice(of: two.owner)) }
      let start = try await two.left.feed(of: two.owner, "limit=1000", count: 9).next
      let end = ContinuousClock.now + .seconds(Self.feedSeconds)
      let tally = FeedTally()
      let feeds = try await withThrowingTaskGroup(of: [String]?.self) { group in
        for (index, device) in devices.enumerated() {
          let registry = index.isMultiple(of: 2) ? two.left : two.right
          group.addTask {
            var number = 0
            while ContinuousClock.now < end {
              let answer = try await registry.ask(
                "PATCH", "/api/v1/devices/\(device.id)", as: two.owner,
                json: ["device_name": "\(index) \(number)"])
              if answer.status == 200 { tally.writes.withLock { $0 += 1 } }
              number += 1
            }
            return nil
          }
        }
        for index in 0..<3 {
          let registry = index.isMultiple(of: 2) ? two.right : two.left
          group.addTask {
            var (ids, next): ([String], String) = ([], start)
            while true {
              let wasOver = tally.isOver.withLock { $0 }
              let page = try await registry.feed(of: two.owner, after: next, "wait=1&limit=\(100 + index)")
              ids += page.events.compactMap { $0["id"] as? String }
              next = page.next
              // The writers had ended, and nothing came for a second.
              if wasOver, page.events.isEmpty { return ids }
            }
          }
        }
        var feeds: [[String]] = []
        var writers = devices.count
        for try await feed in group {
          if let feed { feeds.append(feed) } else { writers -= 1 }
          if writers == 0 { tally.isOver.withLock { $0 = true } }
        }
        return feeds
      }
      let count = tally.writes.withLock { $0 }
      #expect(count > 0)
      for feed in feeds { #expect(feed.count == count && Set(feed).count == count) }
      #expect(feeds[0] == feeds[1] && feeds[1] == feeds[2])
    }
  }

  private static func timed<Value: Sendable>(
    _ body: @Sendable () async throws -> Value
  ) async throws -> (Value, ContinuousClock.Instant) {
    let value = try await body()
    return (value, .now)
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A nonce counts once, at whichever of the two, and of sixteen at once one wins`(_ kind: DatabaseKind)
    async throws
  {
    try await TwoRegistries.with(kind) { two in
      let device = try await two.left.newSignedDevice(of: two.owner)
      // The port is not covered, so the same bytes are good at both.
      func request() throws -> [(String, String)] {
        try device.fields(of: .init("GET", "/api/v1/device"), port: 1).map { ($0.name, $0.value) }
      }
      @Sendable func kind(_ fields: [(String, String)], at registry: TestRegistry) async throws -> String {
        let answer = try await registry.client.send("GET", "/api/v1/device", fields: fields)
        return answer.status == 200 ? "accepted" : try TestRegistry.kind(answer)
      }
      for (first, second) in [(two.left, two.right), (two.right, two.left)] {
        let fields = try request()
        #expect(try await kind(fields, at: first) == "accepted")
        #expect(try await kind(fields, at: second) == "replayed")
        #expect(try await kind(fields, at: first) == "replayed")
      }
      for _ in 0..<5 {
        let fields = try request()
        let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
          for index in 0..<16 {
            group.addTask { try await kind(fields, at: index.isMultiple(of: 2) ? two.left : two.right) }
          }
          return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(outcomes == ["accepted": 1, "replayed": 15])
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `What a device did at both is counted together, and that it came online is one event`(
    _ kind: DatabaseKind
  ) async throws {
    try await TwoRegistries.with(kind) { two in
      let device = try await two.left.newSignedDevice(of: two.owner)
      for registry in [two.left, two.right, two.left] {
        #expect(try await registry.poll(device).status == 200)
      }
      for registry in [two.left, two.right] {
        try await registry.until("all is counted") {
          let hours = try await registry.ask("GET", "/api/v1/devices/\(device.id)/stats", as: two.owner).array()
          return hours.reduce(0) { $0 + ($1["polls"] as? Int ?? 0) } == 3
        }
      }
      try await two.right.until("it is online") {
        try await Self.events("device.online", two.right, two.owner).count > 0
      }
      #expect(try await two.right.poll(device).status == 200)
      try await two.right.until("the fourth poll is counted") {
        let day = try await two.right.ask("GET", "/api/v1/stats?step=day", as: two.owner).array()
        return day.reduce(0) { $0 + ($1["polls"] as? Int ?? 0) } == 4
      }
      #expect(try await Self.events("device.online", two.left, two.owner).count == 1)
    }
  }

  private static func events(
    _ type: String, _ registry: TestRegistry, _ owner: TestOwner
  ) async throws -> [[String: Any]] {
    let page = try await registry.ask("GET", "/api/v1/events?types=\(type)", as: owner).object()
    return try #require(page["events"] as? [[String: Any]])
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The new secret of a rotation may be used at both at once, and ends the old one`(_ kind: DatabaseKind)
    async throws
  {
    try await TwoRegistries.with(kind) { two in
      for _ in 0..<3 {
        let old = try await two.left.newSignedDevice(of: two.owner)
        for registry in [two.left, two.right] { #expect(try await registry.poll(old).status == 200) }
        let rotated = try await two.left.ask("POST", "/api/v1/devices/\(old.id)/rotate", as: two.owner)
        let new = TestDevice(id: old.id, secret: try #require(try rotated.string("secret")))
        #expect(try await two.right.poll(old).status == 200)
        async let left = two.left.poll(new)
        async let right = two.right.poll(new)
        let statuses = [try await left.status, try await right.status]
        #expect(statuses == [200, 200])
        for registry in [two.left, two.right] {
          try await wait {
            try await registry.send(.init("GET", "/api/v1/device/poll"), as: old).status == 401
          }
          #expect(try await registry.poll(new).status == 200)
        }
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Without Redis signed requests get 503, tokens work, and with it everything works again`(
    _ kind: DatabaseKind
  ) async throws {
    try await TwoRegistries.with(kind) { two in
      let device = try await two.left.newSignedDevice(of: two.owner)
      let form = "grant_type=client_credentials&client_id=\(device.id)&client_secret=\(device.secret)"
      let answer = try await two.left.client.send(
        "POST", "/api/v1/device/token", fields: [("Content-Type", "application/x-www-form-urlencoded")],
        body: Array(form.utf8))
      let token = try #require(try answer.string("access_token"))
      #expect(try await two.left.poll(device).status == 200)

      await two.redis.stop()
      for registry in [two.left, two.right] {
        let refused = try await registry.send(.init("GET", "/api/v1/device/poll"), as: device)
        #expect(refused.status == 503)
        #expect(refused.value(of: "retry-after").flatMap(Int.init).map { (1...10).contains($0) } == true)
        #expect(refused.value(of: "signature") == nil)
        #expect(try await registry.ask("GET", "/api/v1/device/poll", token: token).status == 200)
        #expect(try await registry.ask("GET", "/readyz").status == 200)
      }

      await two.redis.start()
      for registry in [two.left, two.right] {
        // It starts again, and accepts only what is signed more than 5 s after that, as this device never signed further ahead.
        try await wait {
          var request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
          request.created += 4
          return try await registry.send(request, as: device).status == 200
        }
      }
    }
  }
}

@Suite("A process that remembers nonces itself", .timeLimit(.minutes(3))) struct LoneProcessTests {
  @Test(arguments: DatabaseKind.allCases)
  func `is alone on its database: a second one does not start, and names REPLAY_STORE`(_ kind: DatabaseKind)
    async throws
  {
    let database = await TestDatabase(kind)
    try await TestRegistry.with(database) { _ in
      try await RedisServer.with { redis in
        for store in ["memory", "redis://127.0.0.1:\(redis.port)/0"] {
          let second = try await Program.run(
            ["serve"],
            [
              "DATABASE_URL=\(database.url)", "JWT_SECRET=\(TestRegistry.secret)", "LISTEN=127.0.0.1:0",
              "ADMIN_LISTEN=", "REPLAY_STORE=\(store)",
            ])
          #expect(second.status == 1)
          #expect(
            second.errors.contains("another process") && second.errors.contains("REPLAY_STORE"),
            "\(second.errors)")
        }
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A start after a stop accepts what was signed before it, and nothing twice`(_ kind: DatabaseKind)
    async throws
  {
    let database = await TestDatabase(kind)
    let settings = ["STATE_DIRECTORY": database.directory.path]
    var sent: [TestDevice.SignedRequest] = []
    let device = try await TestRegistry.with(database, settings: settings) { registry in
      try await registry.newSignedDevice(of: registry.newOwner())
    }
    // Also what was accepted in the term before the last one.
    for secondsAgo: Int64 in [0, 60, 120] {
      try await TestRegistry.with(database, settings: settings) { registry in
        for request in sent {
          let again = try await registry.send(request, as: device)
          #expect(again.status == 401)
        }
        var request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
        request.created -= secondsAgo
        #expect(try await registry.send(request, as: device).status == 200)
        sent.append(request)
      }
    }
  }

  /// What may be wrong with the nonces that the last process left.
  enum Leftover: CaseIterable {
    case none, ofAnEarlierStop, cut, readByOthers
    /// Another process served the database meanwhile, and was killed.
    case andAnotherTerm
  }

  @Test(arguments: DatabaseKind.allCases, Leftover.allCases)
  func `A start without all nonces of the process before accepts only what is signed later than it`(
    _ kind: DatabaseKind, _ leftover: Leftover
  ) async throws {
    let database = await TestDatabase(kind)
    let settings = ["STATE_DIRECTORY": database.directory.path]
    let file = database.directory.path + "/nonces"
    let device = try await TestRegistry.with(database, settings: settings) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      // At the very first start nobody can have signed anything before.
      #expect(try await registry.poll(device).status == 200)
      return device
    }
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    switch leftover {
    case .none: try FileManager.default.removeItem(atPath: file)
    case .ofAnEarlierStop:
      try await TestRegistry.with(database, settings: settings) { _ in
        #expect(!FileManager.default.fileExists(atPath: file))
      }
      try bytes.write(to: URL(fileURLWithPath: file))
    case .cut: try bytes.dropLast().write(to: URL(fileURLWithPath: file))
    case .readByOthers:
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
    case .andAnotherTerm: _ = try await database.first("UPDATE serving_term SET term = 'other' RETURNING term")
    }
    if leftover != .readByOthers, leftover != .none {
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
    }
    try await TestRegistry.with(database, settings: settings) { registry in
      try await Self.expectNewStart(of: registry, by: device)
    }
  }

  @Test
  func `If another process took the lock, signed requests get 503 until it is held again, and then work again`()
    async throws
  {
    let database = await TestDatabase(.postgres)
    try await TestRegistry.with(database) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      #expect(try await registry.poll(device).status == 200)

      let other = await PostgresLockTaker(database.url)
      try await other.takeFromHolder()
      try await wait {
        try await registry.send(.init("GET", "/api/v1/device/poll"), as: device).status == 503
      }
      var ahead = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
      ahead.created += 4
      let refused = try await registry.send(ahead, as: device)
      #expect(refused.status == 503 && refused.value(of: "retry-after") != nil)
      try await other.release()
      try await Self.expectNewStart(of: registry, by: device)
    }
  }

  @Test
  func
    `After a lost connection to the database, what was signed before is accepted if no other process served it`()
    async throws
  {
    let database = await TestDatabase(.postgres)
    try await TestRegistry.with(database) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let used = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
      #expect(try await registry.send(used, as: device).status == 200)
      try await PostgresLockTaker(database.url).cutHolder()
      try await registry.until("the lock is lost") {
        try await registry.send(.init("GET", "/api/v1/device/poll"), as: device).status == 503
      }
      try await registry.until("the lock is held again") {
        var request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
        request.created -= 60
        return try await registry.send(request, as: device).status == 200
      }
      #expect(try await registry.send(used, as: device).status == 401)
    }
  }

  /// What was signed before gets 503, and what is signed as far ahead as may be is accepted soon.
  private static func expectNewStart(of registry: TestRegistry, by device: TestDevice) async throws {
    var request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
    request.created -= 60
    let old = try await registry.send(request, as: device)
    #expect(old.status == 503)
    #expect(old.value(of: "retry-after").flatMap(Int.init).map { (1...8).contains($0) } == true)
    try await wait {
      var request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
      request.created += 4
      return try await registry.send(request, as: device).status == 200
    }
  }

  @Test
  func `What is fetched while a change passes by is not remembered`() async throws {
    let database = await TestDatabase(.postgres)
    try await TestRegistry.with(database) { registry in
      func remembered(_ count: Int) async throws -> Bool {
        try await registry.askAdmin("GET", "/metrics").text.contains("\nverifier_cache_entries \(count)\n")
      }
      let owner = try await registry.newOwner()
      let witness = try await registry.newSignedDevice(of: owner)
      let device = try await registry.newSignedDevice(of: owner)
      #expect(try await registry.poll(witness).status == 200)
      #expect(try await remembered(1))

      let other = await PostgresLockTaker(database.url)
      try await other.run("BEGIN; LOCK TABLE devices IN ACCESS EXCLUSIVE MODE")
      async let poll = registry.send(.init("GET", "/api/v1/device"), as: device)
      let watcher = await PostgresLockTaker(database.url)
      try await watcher.waitForBlocked("SELECT%stored_key%")
      // Both are notified together: when the witness is dropped, the other one was notified too.
      try await watcher.run("SELECT pg_notify('device_registry_credentials', '\(device.id),\(witness.id)')")
      try await wait { try await remembered(0) }
      try await other.run("COMMIT")
      #expect(try await poll.status == 200)
      #expect(try await remembered(0))
      #expect(try await registry.poll(device).status == 200)
      #expect(try await remembered(1))
    }
  }
}
