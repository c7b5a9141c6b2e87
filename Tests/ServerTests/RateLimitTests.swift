import Foundation
import Server
import TestSupport
import Testing

/// Limits on how often somebody may ask, over sockets. Windows are so long that nothing is refilled meanwhile.
@Suite struct RateLimitsOfTheService {
  /// The parameters of the one member of a limit's field, as `"device";q=5;w=60`.
  private static func parameters(_ answer: HTTPAnswer, _ field: String, of subject: String) -> [String: Int] {
    guard let value = answer.value(of: field), value.hasPrefix("\"\(subject)\";") else { return [:] }
    let pairs = value.split(separator: ";").dropFirst().map { $0.split(separator: "=") }
    return Dictionary(uniqueKeysWithValues: pairs.map { (String($0[0]), Int($0[1])!) })
  }

  private static func expectRefused(
    _ answer: HTTPAnswer, _ subject: String, inOAuthForm: Bool = false
  ) throws {
    #expect(answer.status == 429)
    if inOAuthForm {
      #expect(try answer.string("error") == "temporarily_unavailable")
    } else {
      #expect(try TestRegistry.kind(answer) == "too-many-requests")
    }
    let wait = try #require(answer.value(of: "Retry-After").flatMap { Int($0) })
    #expect((1...3600).contains(wait))
    #expect(parameters(answer, "RateLimit", of: subject)["r"] == 0)
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A client that asks too often gets Retry-After, and others continue`(_ kind: DatabaseKind)
    async throws
  {
    try await TestRegistry.with(TestDatabase(kind), settings: ["RATE_LIMIT_CLIENT": "5/3600"]) { registry in
      let (eager, other) = (try await registry.newOwner(), try await registry.newOwner())
      for left in (0..<5).reversed() {
        let answer = try await registry.ask("GET", "/api/v1/devices", as: eager)
        #expect(answer.status == 200)
        #expect(answer.value(of: "RateLimit-Policy") == "\"client\";q=5;w=3600")
        let standing = Self.parameters(answer, "RateLimit", of: "client")
        #expect(standing["r"] == left)
        // Less by the seconds that the test takes.
        #expect((1...(5 - left) * 720).contains(standing["t"] ?? 0))
      }
      try Self.expectRefused(try await registry.ask("GET", "/api/v1/devices", as: eager), "client")
      // Before scope is looked at, and whatever is asked for.
      try Self.expectRefused(try await registry.ask("GET", "/api/v1/clients", as: eager), "client")
      #expect(try await registry.ask("GET", "/api/v1/devices", as: other).status == 200)
      let missing = try await registry.ask("GET", "/api/v1/clients", as: other)
      #expect(missing.status == 403)
      #expect(Self.parameters(missing, "RateLimit", of: "client")["r"] == 3)
      let metrics = try await registry.askAdmin("GET", "/metrics").text
      #expect(metrics.contains("\nrate_limited_total{limit=\"client\"} 2\n"))
      #expect(metrics.contains("\nrate_limited_total{limit=\"device\"} 0\n"))
      // The third is the administrator.
      #expect(metrics.contains("\nrate_limit_entries{limit=\"client\"} 3\n"))
      #expect(metrics.contains("\nrate_limit_evictions_total{limit=\"client\"} 0\n"))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A device that asks too often is refused, uses up no nonce, and its neighbour continues`(
    _ kind: DatabaseKind
  ) async throws {
    try await TestRegistry.with(TestDatabase(kind), settings: ["RATE_LIMIT_DEVICE": "3/3600"]) { registry in
      let owner = try await registry.newOwner()
      let (eager, other) = (
        try await registry.newSignedDevice(of: owner), try await registry.newSignedDevice(of: owner)
      )
      for left in (0..<3).reversed() {
        let answer = try await registry.poll(eager)
        #expect(answer.status == 200)
        #expect(answer.value(of: "RateLimit-Policy") == "\"device\";q=3;w=3600")
        #expect(Self.parameters(answer, "RateLimit", of: "device")["r"] == left)
      }
      let nonces = try await registry.metric("replay_nonces")
      let request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
      for _ in 0..<20 {
        // The nonce was not stored, so the answer is not signed.
        let refused = try await registry.send(request, as: eager)
        try Self.expectRefused(refused, "device")
        #expect(refused.value(of: "signature") == nil)
      }
      #expect(try await registry.metric("replay_nonces") == nonces)
      #expect(try await registry.poll(other).status == 200)
    }
  }

  @Test func `A device far beyond its limit stores nothing in Redis`() async throws {
    try await RedisServer.with { redis in
      let settings = ["RATE_LIMIT_DEVICE": "3/3600", "REPLAY_STORE": "redis://127.0.0.1:\(redis.port)/0"]
      try await TestRegistry.with(TestDatabase(.sqlite), settings: settings) { registry in
        let device = try await registry.newSignedDevice(of: registry.newOwner())
        for _ in 0..<3 { #expect(try await registry.poll(device).status == 200) }
        let keys = await redis.run("DBSIZE")
        for _ in 0..<100 {
          try Self.expectRefused(
            try await registry.send(.init("GET", "/api/v1/device/poll"), as: device), "device")
        }
        #expect(await redis.run("DBSIZE") == keys)
      }
    }
  }

  @Test func `Copies of a device's request, or a full replay store, use up nothing of its limit`() async throws
  {
    try await TestRegistry.with(
      TestDatabase(.sqlite), settings: ["RATE_LIMIT_DEVICE": "40/3600"], bounds: { $0.maximumReplayNonces = 16 }
    ) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let request = try registry.request("GET", "/api/v1/device/poll")
      #expect(try await registry.ask(request, as: device).status == 200)
      for _ in 0..<50 {
        #expect(try TestRegistry.kind(try await registry.send(request, as: device)) == "replayed")
      }
      var accepted = 1
      for _ in 0..<60 where try await registry.refusal(of: device) == nil { accepted += 1 }
      #expect(accepted <= 16)
      registry.clock.advance(seconds: 361)
      let answer = try await registry.poll(device)
      #expect(Self.parameters(answer, "RateLimit", of: "device")["r"] == 40 - accepted - 1)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Hashes, deliveries, rows and bytes cost a client more, as RateLimit tells`(_ kind: DatabaseKind)
    async throws
  {
    try await TestRegistry.with(TestDatabase(kind), settings: ["RATE_LIMIT_CLIENT": "2000/3600"]) { registry in
      let owner = try await registry.newOwner()
      var left = 2000
      func expect(_ answer: HTTPAnswer, costs cost: Int) {
        left -= cost
        let remaining = Self.parameters(answer, "RateLimit", of: "client")["r"]
        // A token or two may come back meanwhile.
        #expect((left...left + 2).contains(remaining ?? 0), "\(answer.status) \(answer.text.prefix(200))")
        left = remaining ?? left
      }
      var devices: [String] = []
      for number in 0..<200 {
        let answer = try await registry.ask(
          "POST", "/api/v1/devices", as: owner, json: ["device_name": "EA-\(number)"])
        expect(answer, costs: 5)
        devices.append(try #require(try answer.string("id")))
      }
      expect(try await registry.ask("POST", "/api/v1/devices/\(devices[0])/rotate", as: owner), costs: 5)
      // Nothing is hashed for what is refused.
      expect(
        try await registry.ask("POST", "/api/v1/devices", as: owner, json: ["device_name": "EA-1"]), costs: 1)
      let signal = try await registry.ask(
        "POST", "/api/v1/signals", as: owner, json: ["all": true, "payload": [String: Int]()])
      expect(signal, costs: 3)
      let list = try await registry.ask("GET", "/api/v1/devices", as: owner)
      expect(list, costs: 3 + list.body.count / 65_536)
      let sent = try await registry.ask("GET", "/api/v1/signals/\(try signal.string("id")!)", as: owner)
      expect(sent, costs: 3 + sent.body.count / 65_536)
      expect(try await registry.ask("GET", "/api/v1/devices/\(devices[1])", as: owner), costs: 1)
    }
  }

  @Test func `What costs more than is left is done, and then the client waits until it is paid`() async throws {
    try await TestRegistry.with(TestDatabase(.sqlite), settings: ["RATE_LIMIT_CLIENT": "10/3600"]) { registry in
      let owner = try await registry.newOwner()
      for number in 0..<2 { _ = try await registry.newDevice(of: owner, "EA-\(number)") }
      try Self.expectRefused(try await registry.ask("GET", "/api/v1/devices", as: owner), "client")
    }
    try await TestRegistry.with(TestDatabase(.sqlite), settings: ["RATE_LIMIT_CLIENT": "6/3600"]) { registry in
      let owner = try await registry.newOwner()
      for number in 0..<2 { _ = try await registry.newDevice(of: owner, "EA-\(number)") }
      let refused = try await registry.ask("GET", "/api/v1/devices", as: owner)
      #expect(refused.status == 429)
      // Four are owed, and one must be there.
      #expect((2995...3000).contains(refused.value(of: "Retry-After").flatMap(Int.init) ?? 0))
    }
  }

  @Test func `The bytes of its polls cost a device more`() async throws {
    try await TestRegistry.with(TestDatabase(.sqlite), settings: ["RATE_LIMIT_DEVICE": "60/3600"]) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let payload = ["text": String(repeating: "x", count: 16_000)]
      for _ in 0..<9 { _ = try await registry.newSignal(of: owner, payload: payload) }
      let answer = try await registry.poll(device)
      #expect(Self.parameters(answer, "RateLimit", of: "device")["r"] == 57)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Neighbours of a device with a wrong secret continue, and only expensive steps are refused`(
    _ kind: DatabaseKind
  ) async throws {
    // Each loop remembers owners' tokens for itself.
    let settings = ["RATE_LIMIT_ADDRESS": "4/3600", "TRUSTED_PROXIES": "127.0.0.1", "EVENT_LOOPS": "1"]
    try await TestRegistry.with(TestDatabase(kind), settings: settings) { registry in
      let stranger = try await registry.newOwner()
      let owner = try await registry.newOwner()
      let known = try await registry.newSignedDevice(of: owner)
      let unseen = try await registry.newSignedDevice(of: owner)
      let gone = try await registry.newSignedDevice(of: owner)
      _ = try await registry.ask("POST", "/api/v1/devices/\(gone.id)/revoke", as: owner)
      #expect(try await registry.poll(known).status == 200)
      let token = try #require(try await registry.token(for: known).string("access_token"))
      #expect(try await registry.ask("GET", "/api/v1/device", token: token).status == 200)

      let wrong = TestDevice(id: known.id, secret: String(repeating: "0", count: 64))
      for left in (0..<3).reversed() {
        let answer = try await registry.send(.init("GET", "/api/v1/device/poll"), as: wrong)
        #expect(answer.status == 401)
        #expect(Self.parameters(answer, "RateLimit", of: "address")["r"] == left)
      }

      // What is remembered.
      #expect(try await registry.poll(known).status == 200)
      #expect(try await registry.ask("GET", "/api/v1/device", token: token).status == 200)
      #expect(try await registry.ask("GET", "/api/v1/devices", as: owner).status == 200)

      // What is not, in words that are the same for all.
      let nobody = TestDevice(id: UUID().uuidString.lowercased(), secret: known.secret)
      var words: Set<String> = []
      for device in [wrong, nobody, gone, unseen] {
        let answer = try await registry.send(.init("GET", "/api/v1/device/poll"), as: device)
        try Self.expectRefused(answer, "address")
        var problem = try answer.object()
        problem["request_id"] = nil
        words.insert("\(problem.sorted { $0.key < $1.key })")
      }
      #expect(words.count == 1)
      let drt = "drt_" + String(repeating: "A", count: 43)
      try Self.expectRefused(try await registry.ask("GET", "/api/v1/device", token: drt), "address")
      try Self.expectRefused(try await registry.token(for: known), "address", inOAuthForm: true)
      try Self.expectRefused(try await registry.ask("GET", "/api/v1/devices", as: stranger), "address")

      // From other addresses everything still works.
      let elsewhere = [("X-Forwarded-For", "192.0.2.1")]
      var poll = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
      poll.fields = elsewhere
      #expect(try await registry.send(poll, as: unseen).status == 200)
      let list = try await registry.ask("GET", "/api/v1/devices", token: stranger.token, fields: elsewhere)
      #expect(list.status == 200)
      let metrics = try await registry.askAdmin("GET", "/metrics").text
      #expect(metrics.contains("\nrate_limited_total{limit=\"address\"} 7\n"))
    }
  }

  @Test func `What succeeds costs an address nothing, but for tokens`() async throws {
    try await TestRegistry.with(TestDatabase(.sqlite), settings: ["RATE_LIMIT_ADDRESS": "1/3600"]) { registry in
      var devices: [TestDevice] = []
      for _ in 0..<5 {
        devices.append(try await registry.newSignedDevice(of: registry.newOwner()))
        #expect(try await registry.poll(devices.last!).status == 200)
      }
      let answer = try await registry.token(for: devices[0])
      #expect(answer.status == 200)
      #expect(answer.value(of: "RateLimit-Policy") == "\"address\";q=1;w=3600")
      try Self.expectRefused(try await registry.token(for: devices[1]), "address", inOAuthForm: true)
    }
  }

  @Test func `A network of IPv6 is one address`() async throws {
    let settings = ["RATE_LIMIT_ADDRESS": "2/3600", "TRUSTED_PROXIES": "127.0.0.0/8"]
    try await TestRegistry.with(TestDatabase(.sqlite), settings: settings) { registry in
      for (address, status) in [
        ("2001:db8:0:1::1", 401), ("2001:db8:0:1:ffff::2", 401), ("2001:db8:0:1::3", 429),
        ("2001:db8:0:2::1", 401),
      ] {
        let answer = try await registry.ask(
          "GET", "/api/v1/devices", token: "nonsense", fields: [("X-Forwarded-For", address)])
        #expect(answer.status == status, "\(address)")
      }
    }
  }

  @Test func `Limits that are off tell nothing and refuse nobody`() async throws {
    let off = ["RATE_LIMIT_CLIENT": "off", "RATE_LIMIT_DEVICE": "off", "RATE_LIMIT_ADDRESS": "off"]
    try await TestRegistry.with(TestDatabase(.sqlite), settings: off) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      for answer in [
        try await registry.poll(device), try await registry.token(for: device),
        try await registry.ask("GET", "/api/v1/devices", token: "nonsense"),
        try await registry.ask("GET", "/api/v1/devices", as: TestOwner(id: "alice")),
      ] {
        #expect(answer.value(of: "RateLimit") == nil && answer.value(of: "RateLimit-Policy") == nil)
      }
    }
  }

  @Test func `An honest user meets no limit by default`() async throws {
    // What the tests' other services have off.
    let settings = ["RATE_LIMIT_CLIENT": "", "RATE_LIMIT_DEVICE": "", "RATE_LIMIT_ADDRESS": ""]
    try await TestRegistry.with(TestDatabase(.sqlite), settings: settings) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      // A burst after reconnecting, and an owner's script.
      for _ in 0..<60 { #expect(try await registry.poll(device).status == 200) }
      for number in 0..<100 { _ = try await registry.newDevice(of: owner, "EA-\(number)") }
    }
  }
}

extension RateLimitsOfTheService {
  @Test func `A token request is charged before it is read, and refused in the form of OAuth`() async throws {
    try await TestRegistry.with(TestDatabase(.sqlite), settings: ["RATE_LIMIT_ADDRESS": "2/3600"]) { registry in
      func ask(_ type: String) async throws -> HTTPAnswer {
        let target = "/api/v1/device/token"
        let answer = try await registry.client.send(
          "POST", target, fields: [("Content-Type", type)], body: Array("grant_type=%".utf8))
        registry.check(answer, to: "POST", target)
        return answer
      }
      let form = "application/x-www-form-urlencoded"
      #expect(try await ask("text/plain").status == 415)
      #expect(try await ask(form).status == 400)
      let refused = try await ask(form)
      #expect(refused.status == 429 && refused.value(of: "retry-after") != nil)
      #expect(try refused.string("error") == "temporarily_unavailable")
    }
  }
}

extension TestRegistry {
  /// Asks for a token of a device.
  func token(for device: TestDevice) async throws -> HTTPAnswer {
    let form = "grant_type=client_credentials&client_id=\(device.id)&client_secret=\(device.secret)"
    let target = "/api/v1/device/token"
    let answer = try await client.send(
      "POST", target, fields: [("Content-Type", "application/x-www-form-urlencoded")], body: Array(form.utf8))
    check(answer, to: "POST", target)
    return answer
  }
}
