import Crypto
import Encoding
import Foundation
import Synchronization
import TestSupport
import Testing

/// A service whose webhooks may call this machine, and a client of it.
private struct Hooks: Sendable {
  let registry: TestRegistry
  let owner: TestOwner

  static let sealingKey = String(repeating: "5a", count: 32)

  static func with(
    _ database: TestDatabase, settings: [String: String] = [:], clock: TestClock = TestClock(),
    log: LogFile? = nil,
    _ body: (Hooks) async throws -> Void
  ) async throws {
    let directory = TemporaryDirectory()
    try sealingKey.write(toFile: "\(directory.path)/key", atomically: true, encoding: .utf8)
    let settings = ["SEALING_KEY_FILE": "\(directory.path)/key", "WEBHOOK_ALLOW_PRIVATE": "true"].merging(
      settings
    ) { $1 }
    try await TestRegistry.with(database, settings: settings, clock: clock, log: log) { registry in
      try await body(Hooks(registry: registry, owner: try await registry.newOwner()))
    }
  }

  static func with(
    _ kind: DatabaseKind, settings: [String: String] = [:], clock: TestClock = TestClock(), log: LogFile? = nil,
    _ body: (Hooks) async throws -> Void
  ) async throws {
    try await with(await TestDatabase(forEvents: kind), settings: settings, clock: clock, log: log, body)
  }

  func ask(_ method: String, _ target: String, json: Any? = nil, as owner: TestOwner? = nil) async throws
    -> HTTPAnswer
  {
    try await registry.ask(method, "/api/v1\(target)", as: owner ?? self.owner, json: json)
  }

  /// Creates a webhook, which must succeed.
  func create(_ url: String, types: [String]? = nil, of owner: TestOwner? = nil) async throws -> CreatedHook {
    var json: [String: Any] = ["url": url]
    json["types"] = types
    let answer = try await ask("POST", "/webhooks", json: json, as: owner)
    try #require(answer.status == 201, "\(answer.text)")
    let object = try answer.object()
    return CreatedHook(id: object["id"] as! String, secret: object["secret"] as! String)
  }

  func show(_ hook: CreatedHook) async throws -> [String: Any] {
    try await ask("GET", "/webhooks/\(hook.id)").object()
  }

  func deliveries(of hook: CreatedHook) async throws -> [[String: Any]] {
    try await ask("GET", "/webhooks/\(hook.id)/deliveries").array()
  }

  /// Registers devices, each of which is an event.
  func makeEvents(_ count: Int, of owner: TestOwner? = nil) async throws {
    for _ in 0..<count { _ = try await registry.newDevice(of: owner ?? self.owner, UUID().uuidString) }
  }

  /// The ids of the client's events, in the order of the feed.
  func feed(types: String? = nil) async throws -> (ids: [String], next: String) {
    let query = types.map { "&types=\($0)" } ?? ""
    let page = try await ask("GET", "/events?limit=1000\(query)").object()
    return ((page["events"] as! [[String: Any]]).map { $0["id"] as! String }, page["next"] as! String)
  }

  func untilReceived(_ count: Int, at path: String = "/", by receiver: WebhookReceiver) async throws {
    try await registry.until("\(count) events arrive at \(path)") { receiver.received(at: path).count >= count }
  }
}

private struct CreatedHook {
  let id: String
  let secret: String
}

extension WebhookReceiver.Received {
  fileprivate var object: [String: Any] {
    get throws { try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] ?? [:] }
  }
  fileprivate var type: String { get throws { try object["type"] as? String ?? "" } }

  /// Whether the secret signed it.
  fileprivate func isSigned(with secret: String) -> Bool {
    guard let key = Base64.decode(String(secret.dropFirst("whsec_".count))) else { return false }
    let code = HMACSHA256.authenticate(key: key, message: Array("\(id).\(timestamp).".utf8) + body)
    return signature == "v1,\(Base64.encode(code))"
  }
}

@Suite("Webhooks", .timeLimit(.minutes(3))) struct WebhookTests {
  // MARK: Deliveries

  @Test(arguments: DatabaseKind.allCases)
  func `A webhook gets the events of its client in their order, signed, as the feed has them`(
    _ kind: DatabaseKind
  )
    async throws
  {
    try await WebhookReceiver.with { receiver in
      try await Hooks.with(kind) { hooks in
        let stranger = try await hooks.registry.newOwner()
        let hook = try await hooks.create(receiver.url(), types: ["device.*", "webhook.*"])
        try await hooks.makeEvents(3)
        try await hooks.makeEvents(1, of: stranger)
        try await hooks.makeEvents(2)
        try await hooks.untilReceived(6, by: receiver)
        let received = receiver.received
        let page =
          try await hooks.ask("GET", "/events?limit=1000&types=device.*,webhook.*").object()["events"]
          as! [[String: Any]]
        #expect(received.map(\.id) == page.map { $0["id"] as! String })
        for (delivery, event) in zip(received, page) {
          #expect(try delivery.object as NSDictionary == event as NSDictionary)
          #expect(delivery.isSigned(with: hook.secret))
          #expect(abs(Int64(delivery.timestamp)! - hooks.registry.clock.secondsSince1970) < 60)
        }
        #expect(
          try received.map { try $0.type } == ["webhook.created"]
            + Array(repeating: "device.registered", count: 5))
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A webhook gets only the types that it asks for`(_ kind: DatabaseKind) async throws {
    try await WebhookReceiver.with { receiver in
      try await Hooks.with(kind) { hooks in
        _ = try await hooks.create(receiver.url("/revoked"), types: ["device.revoked"])
        let all = try await hooks.create(receiver.url("/devices"), types: ["device.*"])
        let device = try await hooks.registry.newDevice(of: hooks.owner)
        _ = try await hooks.ask("POST", "/devices/\(device["id"]!)/revoke")
        try await hooks.untilReceived(1, at: "/revoked", by: receiver)
        try await hooks.untilReceived(2, at: "/devices", by: receiver)
        #expect(try receiver.received(at: "/revoked").map { try $0.type } == ["device.revoked"])
        #expect(
          try receiver.received(at: "/devices").map { try $0.type } == ["device.registered", "device.revoked"])
        let changed = try await hooks.ask("PATCH", "/webhooks/\(all.id)", json: ["types": NSNull()])
        #expect(try changed.object()["types"] is NSNull)
        try await hooks.untilReceived(3, at: "/devices", by: receiver)
        #expect(try receiver.received(at: "/devices").last?.type == "webhook.updated")
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The log shows each attempt, newest first, with status and the beginning of the answer`(
    _ kind: DatabaseKind
  )
    async throws
  {
    let answer = String(repeating: "é", count: 50_000)
    try await WebhookReceiver.with(answer: {
      $0.text.contains("device.registered") ? (200, answer) : (201, "made")
    }) {
      receiver in
      try await Hooks.with(kind) { hooks in
        let hook = try await hooks.create(receiver.url(), types: ["device.*", "webhook.*"])
        try await hooks.makeEvents(1)
        try await hooks.registry.until("both are logged") { try await hooks.deliveries(of: hook).count == 2 }
        let log = try await hooks.deliveries(of: hook)
        #expect(log.map { $0["event_id"] as? String } == receiver.received.map(\.id).reversed())
        #expect(log.map { $0["type"] as? String } == ["device.registered", "webhook.created"])
        #expect(log.map { $0["status"] as? Int } == [200, 201])
        #expect(log.map { $0["response"] as? String } == [String(repeating: "é", count: 100), "made"])
        #expect(
          log.allSatisfy {
            $0["delivered"] as? Bool == true && $0["attempt"] as? Int == 1 && $0["error"] is NSNull
          })
        let page = try await hooks.ask("GET", "/webhooks/\(hook.id)/deliveries?limit=1")
        #expect(try page.array().count == 1)
        let link = try #require(page.value(of: "link")).dropFirst("<".count).prefix { $0 != ">" }
        let next = try await hooks.registry.ask("GET", String(link), as: hooks.owner).array()
        #expect(next.map { $0["status"] as? Int } == [201])
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `What fails is tried again after the delays of the schedule, and delays what follows`(
    _ kind: DatabaseKind
  )
    async throws
  {
    let clock = TestClock()
    let failures = Failures(2)
    try await WebhookReceiver.with(answer: { _ in failures.next() ? (500, "broken") : (204, "") }) { receiver in
      try await Hooks.with(kind, clock: clock) { hooks in
        clock.stop()
        let hook = try await hooks.create(receiver.url(), types: ["device.*"])
        try await hooks.makeEvents(2)
        try await hooks.registry.until("it fails") {
          try await hooks.show(hook)["status"] as? String == "failing"
        }
        clock.advance(milliseconds: 4999)
        try await hooks.makeEvents(1)
        #expect(receiver.received.count == 1)
        clock.advance(milliseconds: 502)
        try await hooks.registry.until("it fails again") { try await hooks.show(hook)["failures"] as? Int == 2 }
        let shown = try await hooks.show(hook)
        let next = try #require(shown.milliseconds("next_attempt_at"))
        #expect(30_000..<33_000 ~= next - clock.millisecondsSince1970)
        clock.advance(seconds: 34)
        try await hooks.untilReceived(5, by: receiver)
        let ids = receiver.received.map(\.id)
        let feed = try await hooks.feed(types: "device.*").ids
        #expect(ids == [feed[0], feed[0]] + feed)
        try await hooks.registry.until("it recovered") {
          try await hooks.show(hook)["status"] as? String == "active"
        }
        let log = try await hooks.deliveries(of: hook)
        #expect(log.suffix(3).map { $0["attempt"] as? Int } == [3, 2, 1])
        #expect(log.last?["response"] as? String == "broken" && log.last?["delivered"] as? Bool == false)
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `After the last retry a webhook is disabled with an event, and continues when its owner enables it`(
    _ kind: DatabaseKind
  ) async throws {
    let clock = TestClock()
    let failures = Failures(2)
    try await WebhookReceiver.with(answer: { $0.path == "/" && failures.next() ? (503, "") : (204, "") }) {
      receiver in
      let database = await TestDatabase(forEvents: kind)
      try await Hooks.with(database, clock: clock) { hooks in
        _ = try await hooks.create(receiver.url("/other"), types: ["webhook.disabled"])
        let hook = try await hooks.create(receiver.url(), types: ["device.*"])
        try await hooks.makeEvents(1)
        try await hooks.registry.until("it fails") {
          try await hooks.show(hook)["status"] as? String == "failing"
        }
        // Three days of failures.
        _ = try await database.first(
          "UPDATE webhooks SET failures = 77, version = version + 1 WHERE id = '\(hook.id)' RETURNING 1")
        clock.advance(seconds: 6)
        try await hooks.registry.until("it is disabled") {
          try await hooks.show(hook)["status"] as? String == "disabled"
        }
        let shown = try await hooks.show(hook)
        #expect(shown["disabled_because"] as? String == "failing" && shown["failures"] as? Int == 78)
        try await hooks.untilReceived(1, at: "/other", by: receiver)
        let event = try #require(receiver.received(at: "/other").first).object
        #expect(event["reason"] as? String == "the last retry failed")
        #expect((event["changes"] as? [String: Any])?["webhook_id"] as? [String] == [hook.id, hook.id])
        clock.advance(seconds: 100_000)
        try await hooks.makeEvents(1)
        let enabled = try await hooks.ask("PATCH", "/webhooks/\(hook.id)", json: ["enabled": true])
        #expect(try enabled.object()["status"] as? String == "active")
        try await hooks.untilReceived(4, by: receiver)
        let feed = try await hooks.feed(types: "device.*").ids
        #expect(receiver.received(at: "/").map(\.id) == [feed[0], feed[0]] + feed)
      }
    }
  }

  @Test func `A receiver that answers 410 gets no more`() async throws {
    try await WebhookReceiver.with(answer: { _ in (410, "") }) { receiver in
      try await Hooks.with(.sqlite) { hooks in
        let hook = try await hooks.create(receiver.url())
        try await hooks.registry.until("it is disabled") {
          try await hooks.show(hook)["status"] as? String == "disabled"
        }
        #expect(try await hooks.show(hook)["disabled_because"] as? String == "gone")
        #expect(receiver.received.count == 1)
      }
    }
  }

  @Test func `A redirect is a failure, and is not followed`() async throws {
    try await WebhookReceiver.with(answer: { _ in (302, "") }) { receiver in
      try await Hooks.with(.sqlite) { hooks in
        let hook = try await hooks.create(receiver.url())
        try await hooks.registry.until("it fails") {
          try await hooks.show(hook)["status"] as? String == "failing"
        }
        #expect(receiver.received.map(\.path) == ["/"])
        #expect(try await hooks.deliveries(of: hook).map { $0["status"] as? Int } == [302])
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A receiver that does not answer holds up nobody else`(_ kind: DatabaseKind) async throws {
    try await WebhookReceiver.with(answer: { $0.path == "/silent" ? nil : (204, "") }) { receiver in
      try await Hooks.with(kind) { hooks in
        let other = try await hooks.registry.newOwner()
        for _ in 0..<5 { _ = try await hooks.create(receiver.url("/silent")) }
        try await hooks.untilReceived(5, at: "/silent", by: receiver)
        _ = try await hooks.create(receiver.url("/own"), types: ["device.*"])
        _ = try await hooks.create(receiver.url("/other"), types: ["device.*"], of: other)
        let start = ContinuousClock.now
        try await hooks.makeEvents(3)
        try await hooks.makeEvents(3, of: other)
        try await hooks.untilReceived(3, at: "/own", by: receiver)
        try await hooks.untilReceived(3, at: "/other", by: receiver)
        #expect(ContinuousClock.now - start < .seconds(10))
        #expect(Set(receiver.received(at: "/silent").map(\.id)).count <= 5)
      }
    }
  }

  // MARK: Owners

  @Test(arguments: DatabaseKind.allCases)
  func `Redelivery repeats what follows a position, in order`(_ kind: DatabaseKind) async throws {
    try await WebhookReceiver.with { receiver in
      try await Hooks.with(kind) { hooks in
        let hook = try await hooks.create(receiver.url(), types: ["device.*"])
        try await hooks.makeEvents(2)
        let cursor = try await hooks.feed().next
        try await hooks.makeEvents(3)
        try await hooks.untilReceived(5, by: receiver)
        // What is not written yet would be repeated too.
        try await hooks.registry.until("they are logged") { try await hooks.deliveries(of: hook).count == 5 }
        let again = try await hooks.ask("POST", "/webhooks/\(hook.id)/redeliver", json: ["after": cursor])
        #expect(again.status == 202)
        try await hooks.untilReceived(8, by: receiver)
        let ids = receiver.received.map(\.id)
        #expect(ids.suffix(3) == ids[2..<5])
        let wrong = try await hooks.ask("POST", "/webhooks/\(hook.id)/redeliver", json: ["after": "nonsense"])
        #expect(wrong.status == 400)
        let beyond = Base64URL.encode(Array(repeating: 0x7F, count: 24))
        let expired = try await hooks.ask("POST", "/webhooks/\(hook.id)/redeliver", json: ["after": beyond])
        #expect(expired.status == 410)
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A disabled webhook gets nothing, and later all that it missed`(_ kind: DatabaseKind) async throws {
    try await WebhookReceiver.with { receiver in
      try await Hooks.with(kind) { hooks in
        let hook = try await hooks.create(receiver.url(), types: ["device.*"])
        try await hooks.makeEvents(1)
        try await hooks.untilReceived(1, by: receiver)
        let disabled = try await hooks.ask("PATCH", "/webhooks/\(hook.id)", json: ["enabled": false])
        #expect(try disabled.object()["disabled_because"] as? String == "owner")
        _ = try await hooks.create(receiver.url("/control"), types: ["device.*"])
        try await hooks.makeEvents(2)
        try await hooks.untilReceived(2, at: "/control", by: receiver)
        #expect(receiver.received(at: "/").count == 1)
        _ = try await hooks.ask("PATCH", "/webhooks/\(hook.id)", json: ["enabled": true])
        try await hooks.untilReceived(3, by: receiver)
        #expect(
          receiver.received(at: "/").map(\.id).suffix(2) == receiver.received(at: "/control").map(\.id)[...])
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A test shows the receiver's answer, and is in no feed`(_ kind: DatabaseKind) async throws {
    try await WebhookReceiver.with(answer: { $0.text.contains("webhook.test") ? (418, "teapot") : (204, "") }) {
      receiver in
      try await Hooks.with(kind) { hooks in
        let hook = try await hooks.create(receiver.url(), types: ["device.*"])
        let answer = try await hooks.ask("POST", "/webhooks/\(hook.id)/test")
        let result = try answer.object()
        #expect(
          answer.status == 200 && result["status"] as? Int == 418 && result["response"] as? String == "teapot")
        #expect(result["delivered"] as? Bool == false && result["type"] as? String == "webhook.test")
        let received = try #require(receiver.received.first)
        #expect(received.isSigned(with: hook.secret) && received.id == result["event_id"] as? String)
        // What happens later is in the feed after what happened before.
        try await hooks.makeEvents(1)
        try await hooks.registry.until("the later event is in the feed") {
          try await !hooks.feed(types: "device.registered").ids.isEmpty
        }
        #expect(try await !hooks.feed().ids.contains(received.id))
        #expect(try await hooks.deliveries(of: hook).allSatisfy { $0["type"] as? String != "webhook.test" })
        _ = try await hooks.ask("PATCH", "/webhooks/\(hook.id)", json: ["url": "http://127.0.0.1:1/"])
        let unreachable = try await hooks.ask("POST", "/webhooks/\(hook.id)/test").object()
        #expect(
          unreachable["status"] is NSNull && unreachable["error"] as? String == "Couldn't connect to server")
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `An owner creates, lists, shows, changes and deletes webhooks, and nobody else's`(_ kind: DatabaseKind)
    async throws
  {
    try await Hooks.with(kind) { hooks in
      let created = try await hooks.ask(
        "POST", "/webhooks",
        json: ["url": "https://example.com/x", "types": ["device.*"], "description": "Mine"])
      let object = try created.object()
      let id = object["id"] as! String
      #expect(created.status == 201 && created.value(of: "location") == "/api/v1/webhooks/\(id)")
      #expect((object["secret"] as! String).wholeMatch(of: /whsec_[A-Za-z0-9+\/]{43}=/) != nil)
      let shown = try await hooks.ask("GET", "/webhooks/\(id)").object()
      #expect(shown["secret"] == nil && shown["description"] as? String == "Mine")
      let list = try await hooks.ask("GET", "/webhooks").array()
      #expect(list.map { $0["id"] as? String } == [id] && list[0]["secret"] == nil)
      let changed = try await hooks.ask(
        "PATCH", "/webhooks/\(id)", json: ["description": NSNull(), "types": ["signal.*", "device.revoked"]])
      #expect(try changed.object()["description"] is NSNull)
      #expect(try changed.object()["types"] as? [String] == ["signal.*", "device.revoked"])
      let same = try await hooks.ask(
        "PATCH", "/webhooks/\(id)", json: ["types": ["signal.*", "device.revoked"]])
      #expect(try same.object()["updated_at"] as? String == changed.object()["updated_at"] as? String)
      let stranger = try await hooks.registry.newOwner()
      for (method, path, json) in Self.others(id) {
        let foreign = try await hooks.ask(method, path, json: json, as: stranger)
        #expect(foreign.status == 403, "\(method) \(path)")
        let unknown = try await hooks.ask(
          method, path.replacing(id, with: UUID().uuidString.lowercased()), json: json)
        #expect(unknown.status == 404, "\(method) \(path)")
      }
      #expect(try await hooks.ask("GET", "/webhooks", as: stranger).array().isEmpty)
      #expect(try await hooks.ask("DELETE", "/webhooks/\(id)").status == 204)
      #expect(try await hooks.ask("GET", "/webhooks/\(id)/deliveries").status == 404)
      // Other tests' transactions in the same cluster may delay an event.
      try await wait {
        let answer = try await hooks.ask("GET", "/events?types=webhook.*").object()
        let events = answer["events"] as? [[String: Any]] ?? []
        return events.map { $0["type"] as? String }
          == ["created", "updated", "deleted"].map { "webhook.\($0)" }
      }
    }
  }

  private static func others(_ id: String) -> [(String, String, [String: Any]?)] {
    [
      ("GET", "/webhooks/\(id)", nil), ("PATCH", "/webhooks/\(id)", ["enabled": false]),
      ("POST", "/webhooks/\(id)/test", nil), ("GET", "/webhooks/\(id)/deliveries", nil),
      ("POST", "/webhooks/\(id)/redeliver", ["after": Base64URL.encode(Array(repeating: 0, count: 24))]),
      ("DELETE", "/webhooks/\(id)", nil),
    ]
  }

  @Test func `A wrong value is refused with what is wrong`() async throws {
    try await Hooks.with(.sqlite, settings: ["WEBHOOK_ALLOW_PRIVATE": "false"]) { hooks in
      let cases: [(json: [String: Any], field: String, message: String)] = [
        (["url": "http://example.com/"], "url", "must begin with https://"),
        (["url": "https://a:b@example.com/"], "url", "user name"),
        (
          ["url": "https://example.com/", "types": ["device.revokd"]], "types.0",
          "perhaps `device.revoked` was meant"
        ),
        (["url": "https://example.com/", "types": [String]()], "types", "1 to 64"),
        (
          ["url": "https://example.com/", "description": String(repeating: "x", count: 201)], "description",
          "200"
        ),
        (["url": "https://example.com/", "typs": ["device.*"]], "typs", "perhaps `types` was meant"),
        (["types": ["device.*"]], "url", "is missing"),
      ]
      for (json, field, message) in cases {
        let answer = try await hooks.ask("POST", "/webhooks", json: json)
        let errors = try answer.object()["errors"] as? [[String: String]] ?? []
        #expect(answer.status == 400 && errors.first?["field"] == field, "\(answer.text)")
        #expect(errors.first?["message"]?.contains(message) == true, "\(answer.text)")
      }
      let hook = try await hooks.create("https://example.com/")
      #expect(try await hooks.ask("PATCH", "/webhooks/\(hook.id)", json: [String: Any]()).status == 200)
      #expect(
        try await hooks.ask("PATCH", "/webhooks/\(hook.id)", json: ["url": "http://example.com/"]).status == 400
      )
      for _ in 1..<20 { _ = try await hooks.create("https://example.com/") }
      let tooMany = try await hooks.ask("POST", "/webhooks", json: ["url": "https://example.com/"])
      #expect(tooMany.status == 409)
      #expect(try tooMany.string("type")?.hasSuffix("/too-many-webhooks") == true)
    }
  }

  @Test func `Without a sealing key there are no webhooks`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { registry in
      let owner = try await registry.newOwner()
      let answer = try await registry.ask(
        "POST", "/api/v1/webhooks", as: owner, json: ["url": "https://example.com/"])
      #expect(answer.status == 409)
      #expect(try answer.string("type")?.hasSuffix("/sealing-key-missing") == true)
      #expect(try await registry.ask("GET", "/api/v1/webhooks", as: owner).status == 200)
    }
  }

  // MARK: Safety

  @Test(arguments: [
    "https://localhost", "https://127.0.0.1", "https://2130706433", "https://[::1]", "https://[::ffff:7f00:1]",
  ])
  func `No private address is called, whatever its name`(origin: String) async throws {
    try await WebhookReceiver.with { receiver in
      try await Hooks.with(.sqlite, settings: ["WEBHOOK_ALLOW_PRIVATE": "false"]) { hooks in
        let hook = try await hooks.create("\(origin):\(receiver.port)/")
        try await hooks.registry.until("it is logged") { try await !hooks.deliveries(of: hook).isEmpty }
        let log = try await hooks.deliveries(of: hook)
        #expect(log[0]["error"] as? String == "the host has no public address" && log[0]["status"] is NSNull)
        let test = try await hooks.ask("POST", "/webhooks/\(hook.id)/test").object()
        #expect(test["error"] as? String == "the host has no public address")
        #expect(receiver.received.isEmpty)
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `No secret, and no URL of a receiver, is in the database, the log or the feed in clear`(
    _ kind: DatabaseKind
  )
    async throws
  {
    let log = LogFile()
    let database = await TestDatabase(forEvents: kind)
    var secret = ""
    try await WebhookReceiver.with(answer: { _ in (500, "answer of the receiver") }) { receiver in
      try await Hooks.with(database, log: log) { hooks in
        let hook = try await hooks.create(receiver.url("/token-of-the-receiver"))
        secret = hook.secret
        try await hooks.registry.until("it fails") {
          try await hooks.show(hook)["status"] as? String == "failing"
        }
        let feed = try await hooks.ask("GET", "/events").text
        #expect(!feed.contains("token-of-the-receiver") && !feed.contains(secret))
        let stored = try await database.first(
          kind == .sqlite
            ? "SELECT hex(secret) FROM webhooks" : "SELECT encode(secret, 'hex') FROM webhooks")
        let key = try #require(Base64.decode(String(secret.dropFirst("whsec_".count))))
        let digits = key.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
        #expect(try #require(stored).lowercased().contains(digits) == false)
      }
    }
    let text = try log.text
    #expect(text.contains("webhook delivery failed"))
    #expect(
      !text.contains(secret) && !text.contains("token-of-the-receiver")
        && !text.contains("answer of the receiver"))
  }

  // MARK: Processes

  @Test(arguments: DatabaseKind.allCases)
  func `Of two processes one delivers, whichever makes the events`(_ kind: DatabaseKind) async throws {
    try await RedisServer.with { redis in
      try await WebhookReceiver.with { receiver in
        let database = await TestDatabase(forEvents: kind)
        let settings = ["REPLAY_STORE": "redis://127.0.0.1:\(redis.port)/0"]
        try await Hooks.with(database, settings: settings) { left in
          try await left.registry.until("it delivers") {
            try await left.registry.metric("webhook_delivery_active") == 1
          }
          try await Hooks.with(database, settings: settings) { right in
            _ = try await right.create(receiver.url("/right"), types: ["device.*"])
            _ = try await left.create(receiver.url("/left"), types: ["device.*"])
            for _ in 0..<3 {
              try await right.makeEvents(1)
              try await left.makeEvents(1)
            }
            try await right.untilReceived(3, at: "/right", by: receiver)
            try await left.untilReceived(3, at: "/left", by: receiver)
            #expect(try await right.registry.metric("webhook_delivery_active") == 0)
            #expect(Set(receiver.received.map(\.id)).count == receiver.received.count)
          }
        }
      }
    }
  }
}

/// A number of failures, and then none.
private final class Failures: Sendable {
  private let left: Mutex<Int>
  init(_ count: Int) { left = Mutex(count) }
  func next() -> Bool {
    left.withLock { left in
      left -= 1
      return left >= 0
    }
  }
}

extension [String: Any] {
  /// A time of an answer, in milliseconds since 1970.
  fileprivate func milliseconds(_ member: String) -> Int64? {
    let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    return (self[member] as? String).flatMap { try? Date($0, strategy: format) }
      .map { Int64(($0.timeIntervalSince1970 * 1000).rounded()) }
  }
}
