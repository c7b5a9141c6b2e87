import Foundation
import Registry
import TestSupport
import Testing

extension TestRegistry {
  /// Creates enrolments, which must succeed.
  func newEnrolments(of owner: TestOwner, _ json: [String: Any] = [:]) async throws -> [[String: Any]] {
    let answer = try await ask("POST", "/api/v1/enrolments", as: owner, json: json)
    try #require(answer.status == 201, "\(answer.text)")
    return try answer.array()
  }

  func newCode(of owner: TestOwner, _ json: [String: Any] = [:]) async throws -> String {
    try #require(try await newEnrolments(of: owner, json).first?["code"] as? String)
  }

  func enrol(_ code: String, named name: String? = nil, key: String? = nil) async throws -> HTTPAnswer {
    var json: [String: Any] = ["code": code]
    if let name { json["device_name"] = name }
    // The bytes are the same each time.
    let body = try JSONSerialization.data(withJSONObject: json, options: .sortedKeys)
    let answer = try await client.send(
      "POST", "/api/v1/device/enrol",
      fields: [("Content-Type", "application/json")] + (key.map { [("Idempotency-Key", $0)] } ?? []),
      body: Array(body))
    check(answer, to: "POST", "/api/v1/device/enrol")
    return answer
  }
}

extension DeviceRegistry {
  @Suite("Enrolment") struct Enrolment {
    private func device(_ answer: HTTPAnswer) throws -> TestDevice {
      try #require(answer.status == 201, "\(answer.text)")
      return TestDevice(
        id: try #require(try answer.string("id")), secret: try #require(try answer.string("secret")))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A code makes a device of its owner, once, and the device can sign at once`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let code = try await registry.newCode(of: owner, ["device_name": "EA-London"])
      #expect(code.wholeMatch(of: /([A-Z2-7]{4}-){6}[A-Z2-7]{2}/) != nil)
      let answer = try await registry.enrol(code.lowercased())
      let device = try device(answer)
      #expect(try answer.string("device_name") == "EA-London" && answer.string("client_id") == owner.id)
      #expect(try answer.string("hmac_key_hash")?.hasPrefix("$argon2id$") == true)
      #expect(answer.value(of: "cache-control") == "no-store")
      #expect(try await registry.poll(device).status == 200)
      #expect(try await registry.ask("GET", "/api/v1/devices/\(device.id)", as: owner).status == 200)
      #expect(try await registry.enrol(code).status == 401)

      let listed = try await registry.ask("GET", "/api/v1/enrolments", as: owner).array()
      #expect(listed.count == 1 && listed[0]["status"] as? String == "used")
      #expect(listed[0]["device_id"] as? String == device.id && listed[0]["code"] == nil)
      let events = try await registry.feed(of: owner, count: 3).events
      #expect(
        events.map { $0["type"] as? String } == ["client.created", "enrolment.created", "device.enrolled"])
      let actor = events[2]["actor"] as? [String: Any]
      #expect(actor?["kind"] as? String == "device" && actor?["id"] as? String == device.id)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Sixteen at once make one device`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let code = try await registry.newCode(of: owner)
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for index in 0..<16 {
          group.addTask { try await registry.enrol(code, named: "EA \(index)").status }
        }
        return try await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
      }
      #expect(statuses == [201: 1, 401: 15])
      #expect(try await registry.ask("GET", "/api/v1/devices", as: owner).array().count == 1)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The name is the terminal's, else the owner's, of several with a number, else one that is made`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let codes = try await registry.newEnrolments(of: owner, ["count": 3, "device_name": "Desk"])
      #expect(codes.map { $0["device_name"] as? String } == ["Desk 1", "Desk 2", "Desk 3"])
      #expect(Set(codes.map { $0["code"] as! String }).count == 3)
      #expect(
        try await registry.enrol(codes[0]["code"] as! String, named: "Mine").string("device_name") == "Mine")
      #expect(try await registry.enrol(codes[1]["code"] as! String).string("device_name") == "Desk 2")
      let name = try await registry.enrol(registry.newCode(of: owner)).string("device_name")
      #expect(name?.wholeMatch(of: /device [0-9a-f]{12}/) != nil, "\(name ?? "")")
      // A name that is taken, or no name, leaves the code as it is.
      let taken = try await registry.enrol(codes[2]["code"] as! String, named: "Mine")
      #expect(try TestRegistry.kind(taken) == "device-name-taken")
      #expect(try await registry.enrol(codes[2]["code"] as! String, named: " ").status == 400)
      #expect(try await registry.enrol(codes[2]["code"] as! String).status == 201)
      let long = try await registry.ask(
        "POST", "/api/v1/enrolments", as: owner,
        json: ["count": 2, "device_name": String(repeating: "x", count: 99)])
      #expect(long.status == 400 && long.text.contains("device_name"))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device has the labels, the groups and the end that its code was made with`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.ask("PUT", "/api/v1/groups/desk", as: owner)
      let end = "2099-01-01T00:00:00.000Z"
      let given: [String: Any] = [
        "labels": ["role": "primary"], "groups": ["desk"], "device_expires_at": end,
      ]
      let code = try await registry.newCode(of: owner, given)
      let listed = try await registry.ask("GET", "/api/v1/enrolments", as: owner).array()
      let made = try await registry.enrol(code).object()
      for seen in [try #require(listed.first), made] {
        #expect(seen["labels"] as? [String: String] == ["role": "primary"])
        #expect(seen["groups"] as? [String] == ["desk"])
      }
      #expect(listed[0]["device_expires_at"] as? String == end && made["expires_at"] as? String == end)
      let group = try await registry.ask("GET", "/api/v1/groups/desk", as: owner).object()
      #expect(group["devices"] as? Int == 1)

      func status(_ json: [String: Any]) async throws -> Int {
        try await registry.ask("POST", "/api/v1/enrolments", as: owner, json: json).status
      }
      #expect(try await status(["groups": ["none"]]) == 404)
      #expect(try await status(["device_expires_at": "2020-01-01T00:00:00Z"]) == 400)
      #expect(try await status(["labels": ["a b": ""]]) == 400)
      // The group of an open code is deleted.
      let late = try await registry.newCode(of: owner, given)
      _ = try await registry.ask("DELETE", "/api/v1/groups/desk", as: owner)
      #expect(try await TestRegistry.kind(registry.enrol(late)) == "group-not-found")
      _ = try await registry.ask("PUT", "/api/v1/groups/desk", as: owner)
      #expect(try await registry.enrol(late).status == 201)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A code ends with the device that it would make`(_ kind: DatabaseKind) async throws {
      let clock = TestClock()
      clock.stop()
      try await TestRegistry.with(await TestDatabase(kind), clock: clock) { registry in
        let end = Timestamp(millisecondsSince1970: clock.millisecondsSince1970 + 60_000).description
        let made = try await registry.newEnrolments(of: registry.newOwner(), ["device_expires_at": end])
        #expect(made[0]["expires_at"] as? String == end)
        clock.advance(seconds: 60)
        #expect(try await TestRegistry.kind(registry.enrol(made[0]["code"] as! String)) == "enrolment-invalid")
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The code of a device replaces its secret at once`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let old = try await registry.newSignedDevice(of: owner, "EA")
      let token = try await registry.newToken(of: old)
      #expect(try await registry.poll(old).status == 200)
      let made = try await registry.ask("POST", "/api/v1/devices/\(old.id)/enrolment", as: owner)
      #expect(made.status == 201)
      #expect(try made.string("device_id") == old.id)
      // Until the code is used, nothing changes.
      #expect(try await registry.poll(old).status == 200)
      let new = try device(try await registry.enrol(try #require(try made.string("code")), named: "Other"))
      #expect(new.id == old.id && new.secret != old.secret)
      #expect(try await registry.poll(new).status == 200)
      #expect(try await registry.refusal(of: old) == "signature-invalid")
      #expect(try await registry.ask("GET", "/api/v1/device", token: token).status == 401)
      #expect(try await registry.whoami(new).string("device_name") == "EA")
      let types = try await registry.feed(of: owner, count: 4).types
      #expect(types == ["client.created", "device.registered", "enrolment.created", "device.enrolled"])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Only for the owner's devices that are not revoked`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let (owner, other) = (try await registry.newOwner(), try await registry.newOwner())
      let device = try await registry.newSignedDevice(of: owner)
      let path = "/api/v1/devices/\(device.id)/enrolment"
      #expect(try await TestRegistry.kind(registry.ask("POST", path, as: other)) == "not-owner")
      let unknown = "/api/v1/devices/\(UUID().uuidString.lowercased())/enrolment"
      #expect(try await TestRegistry.kind(registry.ask("POST", unknown, as: owner)) == "device-not-found")
      let code = try await registry.ask("POST", path, as: owner).string("code")
      try await registry.revoke(device, of: owner)
      #expect(try await TestRegistry.kind(registry.ask("POST", path, as: owner)) == "device-revoked")
      #expect(try await TestRegistry.kind(registry.enrol(try #require(code))) == "enrolment-invalid")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `An owner deletes an enrolment, whose code then is unknown`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let (owner, other) = (try await registry.newOwner(), try await registry.newOwner())
      let made = try #require(try await registry.newEnrolments(of: owner).first)
      let path = "/api/v1/enrolments/\(made["id"]!)"
      #expect(try await TestRegistry.kind(registry.ask("DELETE", path, as: other)) == "not-owner")
      #expect(try await registry.ask("DELETE", path, as: owner).status == 204)
      #expect(try await TestRegistry.kind(registry.ask("DELETE", path, as: owner)) == "enrolment-not-found")
      #expect(try await registry.enrol(made["code"] as! String).status == 401)
      #expect(try await registry.ask("GET", "/api/v1/enrolments", as: owner).array().isEmpty)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Unknown, used, expired, deleted and malformed codes are alike`(_ kind: DatabaseKind) async throws {
      let database = await TestDatabase(kind)
      let clock = TestClock()
      clock.stop()
      try await TestRegistry.with(database, clock: clock) { registry in
        let owner = try await registry.newOwner()
        let (used, expired) = (
          try await registry.newCode(of: owner), try await registry.newCode(of: owner, ["expires_in": 60])
        )
        #expect(try await registry.enrol(used).status == 201)
        clock.advance(seconds: 60)
        var answers: Set<[String]> = []
        let unknown = "AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-CA"
        for code in [used, expired, unknown, "", "x", String(repeating: "A", count: 5000), "ÄÖÜ"] {
          for key in [nil, UUID().uuidString] {
            let answer = try await registry.enrol(code, key: key)
            let fields = answer.fields.filter { !["x-request-id", "date", "ratelimit"].contains($0.name) }
            answers.insert(
              ["\(answer.status)", answer.text.replacing(/"request_id":"[^"]*"/, with: "")]
                + fields.map { "\($0.name): \($0.value)" })
          }
        }
        #expect(answers.count == 1, "\(answers)")
        #expect(answers.first?.first == "401" && answers.first?[1].contains("/enrolment-invalid") == true)
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Each use of a code is charged to its address`(_ kind: DatabaseKind) async throws {
      try await TestRegistry.with(TestDatabase(kind), settings: ["RATE_LIMIT_ADDRESS": "5/60"]) { registry in
        let owner = try await registry.newOwner()
        let code = try await registry.newCode(of: owner)
        for _ in 0..<5 { #expect(try await registry.enrol("x").status == 401) }
        let refused = try await registry.enrol(code)
        #expect(refused.status == 429 && refused.value(of: "retry-after") != nil)
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A repeated creation shows no code again, and a repeated use names the device`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      func create(_ path: String, _ key: String) async throws -> HTTPAnswer {
        let answer = try await registry.client.send(
          "POST", path,
          fields: [
            ("Authorization", "Bearer \(owner.token)"), ("Content-Type", "application/json"),
            ("Idempotency-Key", key),
          ], body: Array("{}".utf8))
        registry.check(answer, to: "POST", path)
        return answer
      }
      let first = try await create("/api/v1/enrolments", "a")
      let made = try #require(try first.array().first)
      let again = try await create("/api/v1/enrolments", "a")
      #expect(try TestRegistry.kind(again) == "secret-already-shown")
      #expect(try again.string("enrolment_id") == made["id"] as? String)

      let code = made["code"] as! String
      let device = try device(try await registry.enrol(code, key: "terminal-1"))
      let repeated = try await registry.enrol(code, key: "terminal-1")
      #expect(try TestRegistry.kind(repeated) == "secret-already-shown")
      #expect(try repeated.string("device_id") == device.id)
      #expect(try await TestRegistry.kind(registry.enrol(code, key: "terminal-2")) == "enrolment-invalid")

      let path = "/api/v1/devices/\(device.id)/enrolment"
      #expect(try await create(path, "b").status == 201)
      #expect(try await TestRegistry.kind(create(path, "b")) == "secret-already-shown")
      #expect(try await registry.ask("GET", "/api/v1/enrolments", as: owner).array().count == 2)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Enrolments are listed in pages, with their status`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let made = try await registry.newEnrolments(of: owner, ["count": 5, "expires_in": 2_592_000])
      var (ids, target): ([String], String?) = ([], "/api/v1/enrolments?limit=2")
      while let page = target {
        let answer = try await registry.ask("GET", page, as: owner)
        let listed = try answer.array()
        ids += listed.map { $0["id"] as! String }
        #expect(listed.allSatisfy { $0["status"] as? String == "open" && $0["used_at"] is NSNull })
        target = answer.value(of: "link").map { String($0.dropFirst().prefix { $0 != ">" }) }
      }
      #expect(ids == made.map { $0["id"] as! String }.sorted())
    }

    @Test(
      arguments: [
        ["count": 0], ["count": 501], ["expires_in": 59], ["expires_in": 2_592_001], ["device_name": ""],
        ["name": "EA"], ["count": "1"],
      ] as [[String: any Sendable]])
    func `A value beyond its bounds is 400`(_ json: [String: any Sendable]) async throws {
      let registry = try registry(.sqlite)
      let answer = try await registry.ask(
        "POST", "/api/v1/enrolments", as: registry.newOwner(), json: json)
      #expect(answer.status == 400, "\(answer.text)")
    }
  }
}
