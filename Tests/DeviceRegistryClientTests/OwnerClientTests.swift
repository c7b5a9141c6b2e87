import Foundation
import Synchronization
import Testing

@testable import DeviceRegistryClient

/// A client of the stand-in with a token that says how often it was asked for.
private func ownerClient(_ registry: StandInRegistry, _ system: TestSystem = TestSystem()) throws -> OwnerClient
{
  let asked = Atomic<Int>(0)
  return try OwnerClient(url: registry.url, system: system.system) {
    "token-\(asked.add(1, ordering: .relaxed).newValue)"
  }
}

private let registered =
  #"{\#(deviceJSON),"hmac_key_hash":"$argon2id$v=19$x","secret":"\#(StandInDevices.secret)"}"#
private let signal =
  #""id":"s-1","created_at":"2030-01-01T00:00:00.000Z","expires_at":"2030-01-01T01:00:00.000Z","devices":2"#

@Suite("An owner's requests")
struct OwnerClientTests {
  @Test
  func `Registering shows the secret, which is not printed and is good for a device's client`() async throws {
    let registry = StandInRegistry { _, _ in .reply(.json(registered, status: 201)) }
    let device = try await ownerClient(registry).register(name: "EA \"1\"\n")
    #expect(device.secret == StandInDevices.secret && device.device.id == StandInDevices.id)
    #expect(device.graceExpiresAt == nil && device.hmacKeyHash == "$argon2id$v=19$x")
    var text = "\(device)" + String(reflecting: device)
    dump(device, to: &text)
    #expect(text.contains("<redacted>") && !text.contains(StandInDevices.secret) && !text.contains("argon2id"))
    #expect(try device.credentials().id == StandInDevices.id)
    let request = try #require(registry.received.first)
    #expect(request.method == "POST" && request.target == "/api/v1/devices")
    #expect(request.fields["authorization"] == "Bearer token-1")
    #expect(
      try JSONDecoder().decode([String: String].self, from: Data(request.body)) == ["device_name": "EA \"1\"\n"]
    )
  }

  @Test
  func `A list is followed from page to page, with a token each`() async throws {
    let registry = StandInRegistry { request, number in
      let last = request.target.hasSuffix("cursor=c2")
      let next = [("Link", #"</api/v1/devices?limit=1000&cursor=c\#(number + 1)>; rel="next""#)]
      return .reply(.json(number == 1 ? "[]" : "[{\(deviceJSON)}]", fields: last ? [] : next))
    }
    #expect(try await ownerClient(registry).listDevices().count == 2)
    let limit = "/api/v1/devices?limit=1000"
    #expect(registry.received.map(\.target) == [limit, limit + "&cursor=c1", limit + "&cursor=c2"])
    #expect(registry.received.compactMap { $0.fields["authorization"] } == (1...3).map { "Bearer token-\($0)" })
  }

  @Test
  func `A page is fetched when its first element is asked for`() async throws {
    let registry = StandInRegistry { _, number in
      .reply(
        .json("[{\(deviceJSON)}]", fields: [("Link", #"</api/v1/devices?cursor=\#(number)>; rel="next""#)]))
    }
    for try await device in try ownerClient(registry).devices() {
      #expect(device.id == StandInDevices.id)
      break
    }
    #expect(registry.received.count == 1)
  }

  @Test(arguments: [
    "https://evil.example/api/v1/devices", "//evil.example/api/v1/devices", "/api/v1/clients?limit=1000",
    "/api/v1/devices?limit=1000", "/api/v1/devices?a b",
  ])
  func `A link that leads elsewhere or nowhere new is not followed`(link: String) async throws {
    let registry = StandInRegistry { _, _ in
      .reply(.json("[{\(deviceJSON)}]", fields: [("Link", "<\(link)>; rel=\"next\"")]))
    }
    let client = try ownerClient(registry)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.listDevices() }
        == .malformedAnswer("Link leads astray"))
    #expect(registry.received.count == 1)
  }

  @Test
  func `Devices are read, renamed, revoked and rotated`() async throws {
    let rotated = registered.dropLast() + #","grace_expires_at":"2030-01-02T00:00:00.000Z"}"#
    let registry = StandInRegistry { request, _ in
      switch (request.method, request.target.split(separator: "/").last) {
      case ("POST", "revoke"): .reply(Reply(status: 204))
      case ("POST", "rotate"): .reply(.json(String(rotated)))
      default: .reply(.json("{\(deviceJSON)}"))
      }
    }
    let client = try ownerClient(registry)
    let id = StandInDevices.id
    let device = try await client.device(id.uppercased())
    #expect(device.name == "EA-Main" && device.status == .active && device.isOnline && device.isActive)
    #expect(device.labels == ["role": "primary"] && device.groups == ["live"] && device.expiresAt == nil)
    #expect(device.tradingMode.mode == .halted && device.tradingMode.version == 2)
    #expect(!device.tradingMode.isConfirmed && device.tradingMode.reason == "news")
    #expect(try await client.rename(id, to: "EA").id == id)
    try await client.revoke(id)
    try await client.revoke(id, reason: "sold")
    #expect(try await client.rotate(id).graceExpiresAt == Date(timeIntervalSince1970: 1_893_542_400))
    _ = try await client.rotate(id, graceSeconds: 0)
    let path = "/api/v1/devices/\(id)"
    #expect(
      registry.received.map { "\($0.method) \($0.target) \(String(decoding: $0.body, as: UTF8.self))" } == [
        "GET \(path) ", #"PATCH \#(path) {"device_name":"EA"}"#, "POST \(path)/revoke ",
        #"POST \#(path)/revoke {"reason":"sold"}"#, "POST \(path)/rotate ",
        #"POST \#(path)/rotate {"grace_seconds":0}"#,
      ])
    #expect(
      await failure { () throws(RegistryClientError) in try await client.device("../clients") }?.description
        == "id must be a UUID")
  }

  @Test
  func `Devices are registered with labels and groups, found, changed and counted`() async throws {
    let registry = StandInRegistry { request, _ in
      switch (request.method, request.target.split(separator: "/").last.map(String.init) ?? "") {
      case ("POST", "devices"): .reply(.json(registered, status: 201))
      case ("GET", "summary"):
        .reply(
          .json(
            #"{"total":2,"by_status":{"active":2},"online":1,"by_group":{"live":1},"by_mode":{"halted":1},"mode_unconfirmed":1}"#
          ))
      case ("GET", let target) where target.contains("?"): .reply(.json("[{\(deviceJSON)}]"))
      case ("DELETE", _): .reply(Reply(status: 204))
      default: .reply(.json("{\(deviceJSON)}"))
      }
    }
    let client = try ownerClient(registry)
    let id = StandInDevices.id
    let time = Date(timeIntervalSince1970: 1_893_456_000.001)
    _ = try await client.register(
      NewDevice(name: "EA", labels: ["role": "primary"], groups: ["live"], expiresAt: time))
    let filter = DeviceFilter(
      statuses: [.suspended, .active], labels: ["role:primary", "vps"], group: "live", nameContains: "ä&",
      isOnline: false, seenBefore: time, isModeConfirmed: true)
    #expect(try await client.devices(matching: filter).all().count == 1)
    _ = try await client.change(id, DeviceChange(labels: ["vps": nil], expiresAt: .some(nil)))
    _ = try await client.suspend(id, until: time, reason: "late")
    _ = try await client.resume(id)
    try await client.delete(id)
    let summary = try await client.deviceSummary()
    #expect(summary.byStatus == ["active": 2] && summary.modeUnconfirmed == 1)
    #expect(summary.byMode == ["halted": 1])
    let path = "/api/v1/devices"
    let received = registry.received.map { "\($0.method) \($0.target.split(separator: "?")[0])" }
    #expect(
      received == [
        "POST \(path)", "GET \(path)", "PATCH \(path)/\(id)", "POST \(path)/\(id)/suspend",
        "POST \(path)/\(id)/resume", "DELETE \(path)/\(id)", "GET \(path)/summary",
      ])
    let query = URLComponents(string: registry.received[1].target)?.queryItems ?? []
    #expect(
      query.map { "\($0.name)=\($0.value ?? "")" } == [
        "limit=1000", "status=active,suspended", "labels=role:primary,vps", "group=live", "q=ä&",
        "online=false",
        "seen_before=2030-01-01T00:00:00.001Z", "mode_confirmed=true",
      ])
    let expected: [Int: NSDictionary] = [
      0: [
        "device_name": "EA", "labels": ["role": "primary"], "groups": ["live"],
        "expires_at": "2030-01-01T00:00:00.001Z",
      ],
      2: ["labels": ["vps": NSNull()], "expires_at": NSNull()],
      3: ["until": "2030-01-01T00:00:00.001Z", "reason": "late"],
    ]
    for (index, body) in expected {
      let sent = try JSONSerialization.jsonObject(with: Data(registry.received[index].body)) as? NSDictionary
      #expect(sent == body)
    }
  }

  @Test
  func `Devices are changed together`() async throws {
    let result = """
      {"matched":2,"changed":1,"unchanged":0,"refused":[{"device_id":"a","type":"https://x/device-revoked"}],\
      "dry_run":true}
      """
    let registry = StandInRegistry { _, _ in .reply(.json(result)) }
    let client = try ownerClient(registry)
    let id = StandInDevices.id
    let time = Date(timeIntervalSince1970: 1_893_456_000.001)
    let changed = try await client.changeDevices(
      .labels(["role": "primary"]), .setTradingMode(.closeOnly, cancelsSignals: true), reason: "news",
      expectedCount: 2, isDryRun: true)
    #expect(changed.refused.map(\.kind) == ["device-revoked"] && changed.isDryRun && changed.matched == 2)
    _ = try await client.changeDevices(.devices([id]), .setLabels(["vps": nil]))
    _ = try await client.changeDevices(.all, .setExpiry(nil))
    _ = try await client.changeDevices(.group("g"), .suspend(until: time))
    _ = try await client.renameDevices([id: "EA-2"])
    #expect(Set(registry.received.map { "\($0.method) \($0.target)" }) == ["POST /api/v1/devices/bulk"])
    let expected: [NSDictionary] = [
      [
        "action": "set_trading_mode", "select": ["labels": ["role": "primary"]], "trading_mode": "close_only",
        "cancel_signals": true, "reason": "news", "expect": 2, "dry_run": true,
      ],
      ["action": "set_labels", "select": ["device_ids": [id]], "labels": ["vps": NSNull()], "dry_run": false],
      ["action": "set_expiry", "select": ["all": true], "expires_at": NSNull(), "dry_run": false],
      ["action": "suspend", "select": ["group": "g"], "until": "2030-01-01T00:00:00.001Z", "dry_run": false],
      ["action": "rename", "names": [id: "EA-2"], "dry_run": false],
    ]
    for (request, body) in zip(registry.received, expected) {
      #expect(try JSONSerialization.jsonObject(with: Data(request.body)) as? NSDictionary == body)
    }
  }

  @Test
  func `Webhooks are created, listed, changed, tested, and their deliveries read`() async throws {
    let webhook = """
      "id":"\(StandInDevices.id)","client_id":"alice","url":"https://example.com/","types":["device.*"],\
      "description":null,"status":"failing","failures":2,"failing_since":"2030-01-01T00:00:00.000Z",\
      "next_attempt_at":"2030-01-01T00:00:30.000Z","disabled_at":null,"disabled_because":null,\
      "created_at":"2030-01-01T00:00:00.000Z","updated_at":"2030-01-01T00:00:00.000Z"
      """
    let delivery = """
      {"event_id":"e-1","type":"device.revoked","attempt":2,"at":"2030-01-01T00:00:05.000Z","duration_ms":12,\
      "delivered":false,"status":500,"response":"broken","error":null}
      """
    let registry = StandInRegistry { request, _ in
      switch (request.method, request.target.split(separator: "/").last.map(String.init)) {
      case ("POST", "webhooks"): .reply(.json("{\(webhook),\"secret\":\"whsec_x\"}", status: 201))
      case ("GET", "webhooks"): .reply(.json("[{\(webhook)}]"))
      case ("POST", "test"): .reply(.json(delivery))
      case ("GET", "deliveries?limit=100"): .reply(.json("[\(delivery)]"))
      case ("DELETE", _): .reply(.json("", status: 204))
      case ("POST", "redeliver"): .reply(.json("{\(webhook)}", status: 202))
      default: .reply(.json("{\(webhook)}"))
      }
    }
    let client = try ownerClient(registry)
    let id = StandInDevices.id
    let created = try await client.createWebhook(url: "https://example.com/", types: ["device.*"])
    #expect(created.secret == "whsec_x" && created.webhook.types == ["device.*"])
    #expect(!"\(created)".contains("whsec_x") && !String(reflecting: created).contains("whsec_x"))
    #expect(try await client.listWebhooks().map(\.status) == [.failing])
    #expect(try await client.webhook(id).failures == 2)
    try await client.changeWebhook(id, WebhookChange(types: .some(nil), isEnabled: true))
    #expect(try await client.testWebhook(id).response == "broken")
    #expect(try await client.webhookDeliveries(id).all().map(\.status) == [500])
    try await client.redeliver(id, after: "cursor")
    try await client.deleteWebhook(id)
    let path = "/api/v1/webhooks"
    #expect(
      registry.received.map { "\($0.method) \($0.target)" } == [
        "POST \(path)", "GET \(path)", "GET \(path)/\(id)", "PATCH \(path)/\(id)", "POST \(path)/\(id)/test",
        "GET \(path)/\(id)/deliveries?limit=100", "POST \(path)/\(id)/redeliver", "DELETE \(path)/\(id)",
      ])
    let bodies = registry.received.map(\.body)
    let expected: [Int: [String: Any]] = [
      0: ["url": "https://example.com/", "types": ["device.*"]], 3: ["types": NSNull(), "enabled": true],
      6: ["after": "cursor"],
    ]
    for (index, object) in expected {
      let sent = try JSONSerialization.jsonObject(with: Data(bodies[index])) as? NSDictionary
      #expect(sent == object as NSDictionary)
    }
    await #expect(throws: RegistryClientError.self) { try await client.webhook("../devices") }
  }

  @Test
  func `Signals are created, for some or for all, with the payload as it is`() async throws {
    let registry = StandInRegistry { _, _ in .reply(.json("{\(signal)}", status: 201)) }
    let client = try ownerClient(registry)
    let payload = #"{ "lots": 1.10 }"#
    let created = try await client.createSignal(to: .devices(["a", "b"]), payloadJSON: Data(payload.utf8))
    #expect(created.id == "s-1" && created.deviceCount == 2)
    #expect(created.expiresAt.timeIntervalSince(created.createdAt) == 3600)
    _ = try await client.createSignal(to: .all, payload: ["symbol": "EURUSD"], ttlSeconds: 60)
    #expect(
      registry.received.map { String(decoding: $0.body, as: UTF8.self) } == [
        #"{"payload":{ "lots": 1.10 },"device_ids":["a","b"]}"#,
        #"{"payload":{"symbol":"EURUSD"},"all":true,"ttl_seconds":60}"#,
      ])
  }

  @Test(arguments: ["", "1", "[]", #"{},"all":true"#, "{", "\"{}\""])
  func `A payload that is no object is not sent`(text: String) async throws {
    let registry = StandInRegistry { _, _ in .reply(.json("{\(signal)}", status: 201)) }
    let client = try ownerClient(registry)
    let error = await failure { () throws(RegistryClientError) in
      try await client.createSignal(to: .devices(["a"]), payloadJSON: Data(text.utf8))
    }
    #expect(error == .invalidArgument(name: "payload", message: "must be a JSON object in UTF-8"))
    #expect(registry.received.isEmpty)
  }

  @Test
  func `Signals are listed and read, with what became of them`() async throws {
    let deliveries = """
      [{"device_id":"a","state":"acked","status":"placed","broker_ticket":"42","error":null,\
      "acked_at":"2030-01-01T00:00:01.000Z"},{"device_id":"b","state":"pending","status":null,"broker_ticket":null,\
      "error":null,"acked_at":null}]
      """
    let registry = StandInRegistry { request, _ in
      request.target.contains("?limit")
        ? .reply(.json("[{\(signal)}]"))
        : .reply(.json("{\(signal),\"payload\":{\"a\":1e2},\"deliveries\":\(deliveries)}"))
    }
    let client = try ownerClient(registry)
    #expect(try await client.listSignals().map(\.id) == ["s-1"])
    let details = try await client.signal(StandInDevices.id)
    #expect(details.signal.id == "s-1" && details.payload.json == Data(#"{"a":1e2}"#.utf8))
    #expect(details.deliveries.map(\.state) == [.acked, .pending])
    #expect(details.deliveries[0].status == .placed && details.deliveries[0].brokerTicket == "42")
    #expect(details.deliveries[1].acknowledgedAt == nil)
  }

  @Test
  func `A signal is sent once, although its connection closes without an answer and others are kept`()
    async throws
  {
    let registry = StandInRegistry { request, _ in
      request.method == "POST" ? .close : .reply(.json("{\(deviceJSON)}"))
    }
    let client = try ownerClient(registry)
    _ = try await client.device(StandInDevices.id)
    let error = await failure { () throws(RegistryClientError) in
      try await client.createSignal(to: .all, payloadJSON: Data("{}".utf8))
    }
    guard case .unreachable = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(registry.received.map(\.method) == ["GET", "POST"])
  }

  @Test
  func `What may be repeated is tried again; what may not, only where it was not begun`() async throws {
    let overloaded = StandInRegistry { _, number in
      number == 0 ? .reply(.problem(503, "overloaded")) : .reply(.json(registered, status: 201))
    }
    _ = try await ownerClient(overloaded).register(name: "EA")
    #expect(overloaded.received.count == 2)

    let unavailable = StandInRegistry { _, number in
      number % 2 == 0 ? .reply(.problem(503, "unavailable")) : .reply(.json("{\(deviceJSON)}"))
    }
    let client = try ownerClient(unavailable)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.register(name: "EA") }?.problem?.kind
        == "unavailable")
    #expect(unavailable.received.count == 1)
    _ = try await client.device(StandInDevices.id)
    #expect(try await client.rename(StandInDevices.id, to: "EA").name == "EA-Main")
    #expect(unavailable.received.count == 4)
  }

  @Test
  func `Empty tokens, and tokens that could start a field, are not sent; the token is not printed`()
    async throws
  {
    struct Lost: Error {}
    let registry = StandInRegistry { _, _ in .reply(.json("[]")) }
    for token in ["", "a b", "a\r\nX: y", "ä"] {
      let client = try OwnerClient(url: registry.url, token: token)
      guard
        case .invalidArgument = await failure({ () throws(RegistryClientError) in try await client.listDevices()
        })
      else {
        Issue.record("\(token) was sent")
        return
      }
    }
    let client = try OwnerClient(url: registry.url) { throw Lost() }
    #expect(
      await failure { () throws(RegistryClientError) in try await client.listDevices() }
        == .tokenUnavailable("Lost()"))
    #expect(registry.received.isEmpty)
    var text = "\(client)"
    dump(try OwnerClient(url: registry.url, token: "hunter2"), to: &text)
    #expect(!text.contains("hunter2"))
  }

  @Test
  func `A redirect is not followed: the token would go elsewhere`() async throws {
    let elsewhere = StandInRegistry { _, _ in .reply(.json("[]")) }
    let registry = StandInRegistry { [url = elsewhere.url] _, _ in
      .reply(Reply(status: 307, fields: [("Location", url + "/api/v1/devices")]))
    }
    let client = try ownerClient(registry)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.listDevices() }
        == .redirected(status: 307))
    #expect(elsewhere.received.isEmpty)
  }
}
