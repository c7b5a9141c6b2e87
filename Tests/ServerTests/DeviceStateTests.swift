import Foundation
import Registry
import TestSupport
import Testing

extension TestRegistry {
  fileprivate func suspend(_ id: Any?, as owner: TestOwner, _ json: [String: Any]? = nil) async throws
    -> HTTPAnswer
  {
    try await ask("POST", "/api/v1/devices/\(id ?? "")/suspend", as: owner, json: json)
  }

  fileprivate func resume(_ id: Any?, as owner: TestOwner, _ json: [String: Any]? = nil) async throws
    -> HTTPAnswer
  {
    try await ask("POST", "/api/v1/devices/\(id ?? "")/resume", as: owner, json: json)
  }

  fileprivate func delete(_ id: Any?, as owner: TestOwner) async throws -> HTTPAnswer {
    try await ask("DELETE", "/api/v1/devices/\(id ?? "")", as: owner)
  }
}

extension DeviceRegistry {
  @Suite("Suspending, resuming and deleting devices") struct DeviceStates {
    @Test(arguments: DatabaseKind.allCases)
    func `A device is suspended and resumed, and its answer says so`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      #expect(try await registry.poll(device).status == 200)
      let until = registry.clock.now() + 3_600_000
      // Any offset is taken.
      let text = until.description.replacing("Z", with: "+00:00")
      let answer = try await registry.suspend(device.id, as: owner, ["reason": "unpaid", "until": text])
      #expect(answer.status == 200)
      let suspended = try answer.object()
      #expect(suspended["status"] as? String == "suspended" && suspended["is_active"] as? Bool == false)
      #expect(suspended["status_reason"] as? String == "unpaid")
      #expect(suspended["suspended_until"] as? String == until.description)
      #expect(suspended["revoked"] as? Bool == false)
      let refused = try await registry.poll(device)
      #expect(refused.status == 403)
      #expect(try refused.string("until") == until.description)
      for json in [nil, ["reason": "unpaid"]] as [[String: Any]?] {
        var json = json ?? [:]
        json["until"] = text
        let again = try await registry.suspend(device.id, as: owner, json)
        #expect(again.status == 200)
        // Its presence may be stored meanwhile.
        for member in ["status", "status_reason", "suspended_until", "updated_at"] {
          #expect(try again.string(member) == answer.string(member))
        }
      }
      let resumed = try await registry.resume(device.id, as: owner, ["reason": "paid"])
      #expect(resumed.status == 200)
      let active = try resumed.object()
      #expect(active["status"] as? String == "active" && active["is_active"] as? Bool == true)
      #expect(active["status_reason"] is NSNull && active["suspended_until"] is NSNull)
      #expect(try await registry.poll(device).status == 200)
      let again = try await registry.resume(device.id, as: owner)
      #expect(again.status == 200)
      #expect(try again.string("updated_at") == resumed.string("updated_at"))
      let feed = try await registry.feed(of: owner, "types=device.suspended,device.resumed", count: 2)
      #expect(feed.types == ["device.suspended", "device.resumed"])
      #expect(feed.events.map { $0["reason"] as? String } == ["unpaid", "paid"])
      let status = feed.events.map { ($0["changes"] as? [String: Any])?["status"] as? [String] }
      #expect(status == [["active", "suspended"], ["suspended", "active"]])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The end of a suspension lies in the future, and nothing else is taken`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let id = try await registry.newDevice(of: owner)["id"]
      let past = (registry.clock.now() + -1000).description
      for (json, field) in [
        (["until": past], "until"), (["until": "tomorrow"], "until"), (["until": 5], "until"),
        (["until": "2999-02-30T00:00:00Z"], "until"),
        (["reason": String(repeating: "x", count: 201)], "reason"),
        (["untill": past], "untill"),
      ] as [([String: Any], String)] {
        let answer = try await registry.suspend(id, as: owner, json)
        #expect(answer.status == 400, "\(json)")
        #expect((try answer.object()["errors"] as? [[String: String]])?.first?["field"] == field)
      }
      #expect(try await registry.resume(id, as: owner, ["until": past]).status == 400)
      let device = try await registry.ask("GET", "/api/v1/devices/\(id!)", as: owner)
      #expect(try device.string("status") == "active")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device that is missing, revoked or another's is not changed`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let (id, missing, other) = (device.id, UUID().uuidString.lowercased(), try await registry.newOwner())
      #expect(try await registry.suspend(missing, as: owner).status == 404)
      #expect(try await registry.resume(missing, as: owner).status == 404)
      #expect(try await registry.delete(missing, as: owner).status == 404)
      #expect(try await registry.suspend(id, as: other).status == 403)
      #expect(try await registry.resume(id, as: other).status == 403)
      #expect(try await registry.delete(id, as: other).status == 403)
      let kept = try await registry.delete(id, as: owner)
      #expect(kept.status == 409)
      #expect(try TestRegistry.kind(kept) == "device-not-revoked")
      try await registry.revoke(device, of: owner)
      for answer in [try await registry.suspend(id, as: owner), try await registry.resume(id, as: owner)] {
        #expect(answer.status == 409)
        #expect(try TestRegistry.kind(answer) == "device-revoked")
      }
      #expect(try await registry.delete(id, as: other).status == 403)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A revoked device is deleted; its events stay, and the client has one less`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      _ = try await registry.newSignal(of: owner, to: [device])
      try await registry.revoke(device, of: owner)
      #expect(try await TestRegistry.kind(registry.poll(device)) == "device-revoked")
      let path = "/api/v1/clients/\(owner.id)"
      let before = try await registry.ask("GET", path, token: TestRegistry.administrator)
      #expect(try before.object()["device_count"] as? Int == 1)
      #expect(try await registry.delete(device.id, as: owner).status == 204)
      #expect(try await registry.delete(device.id, as: owner).status == 404)
      #expect(try await registry.ask("GET", "/api/v1/devices", as: owner).text == "[]")
      #expect(try await registry.refusal(of: device) == "signature-invalid")
      let after = try await registry.ask("GET", path, token: TestRegistry.administrator)
      #expect(try after.object()["device_count"] as? Int == 0)
      let feed = try await registry.feed(of: owner, "device_id=\(device.id)", count: 3)
      #expect(feed.types == ["device.registered", "device.revoked", "device.deleted"])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Of a revocation and resumptions at once, the revocation stays`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<12 {
          group.addTask {
            switch number {
            case 5:
              try await registry.ask("POST", "/api/v1/devices/\(device.id)/revoke", as: owner).status
            case _ where number % 2 == 0: try await registry.suspend(device.id, as: owner).status
            default: try await registry.resume(device.id, as: owner).status
            }
          }
        }
        return try await group.reduce(into: Set()) { $0.insert($1) }
      }
      #expect(statuses.isSubset(of: [200, 204, 409]))
      #expect(try await TestRegistry.kind(registry.poll(device)) == "device-revoked")
      let shown = try await registry.ask("GET", "/api/v1/devices/\(device.id)", as: owner)
      #expect(try shown.string("status") == "revoked")
    }
  }

  @Suite("Clients: limits and suspension") struct ClientStates {
    private static func ask(
      _ registry: TestRegistry, _ method: String, _ path: String, _ json: [String: Any]? = nil
    ) async throws -> HTTPAnswer {
      try await registry.ask(method, "/api/v1/clients" + path, token: TestRegistry.administrator, json: json)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A client is changed, and null clears`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let (id, other) = ("c-\(UUID().uuidString.lowercased())", "d-\(UUID().uuidString.lowercased())")
      let created = try await Self.ask(
        registry, "POST", "", ["id": id, "email": "\(id)@example.org", "max_devices": 1])
      #expect(created.status == 201)
      #expect(try created.object()["max_devices"] as? Int == 1)
      #expect(try created.string("status") == "active")
      #expect(try created.object()["device_count"] as? Int == 0)
      _ = try await Self.ask(registry, "POST", "", ["id": other, "email": "\(other)@example.org"])

      let owner = TestOwner(id: id)
      _ = try await registry.newDevice(of: owner, "one")
      let full = try await registry.ask("POST", "/api/v1/devices", as: owner, json: ["device_name": "two"])
      #expect(full.status == 409)
      #expect(try TestRegistry.kind(full) == "too-many-devices")
      #expect(try full.string("detail")?.contains("1 devices") == true)
      let more = try await Self.ask(registry, "PATCH", "/\(id)", ["max_devices": 2, "telegram_id": 7])
      #expect(more.status == 200)
      #expect(try more.object()["device_count"] as? Int == 1)
      _ = try await registry.newDevice(of: owner, "two")

      let taken = try await Self.ask(registry, "PATCH", "/\(id)", ["email": "\(other)@EXAMPLE.org"])
      #expect(taken.status == 409)
      #expect(try TestRegistry.kind(taken) == "client-email-taken")
      let cleared = try await Self.ask(
        registry, "PATCH", "/\(id)", ["email": NSNull(), "telegram_id": NSNull(), "max_devices": NSNull()])
      #expect(cleared.status == 200)
      for member in ["email", "telegram_id", "max_devices"] {
        #expect(try cleared.object()[member] is NSNull, "\(member)")
      }
      #expect(try await Self.ask(registry, "PATCH", "/\(id)", [:]).body == cleared.body)
      for json in [["max_devices": -1], ["max_devices": 1_000_001], ["email": "a"], ["id": "x"]]
        as [[String: Any]]
      {
        #expect(try await Self.ask(registry, "PATCH", "/\(id)", json).status == 400, "\(json)")
      }
      #expect(try await Self.ask(registry, "PATCH", "/nobody", ["max_devices": 1]).status == 404)
      let feed = try await registry.feed(of: owner, "types=client.*", count: 3)
      #expect(feed.types == ["client.created", "client.updated", "client.updated"])
      #expect(!"\(feed.events)".contains("example.org"))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `While a client is suspended, its owner and all its devices are refused, with the reason`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let devices = [
        try await registry.newSignedDevice(of: owner), try await registry.newSignedDevice(of: owner),
      ]
      let token = try await registry.newToken(of: devices[0])
      for device in devices { #expect(try await registry.poll(device).status == 200) }
      let suspended = try await Self.ask(registry, "POST", "/\(owner.id)/suspend", ["reason": "unpaid"])
      #expect(suspended.status == 200)
      #expect(try suspended.string("status") == "suspended")
      #expect(try suspended.string("status_reason") == "unpaid")
      #expect(try await Self.ask(registry, "POST", "/\(owner.id)/suspend").body == suspended.body)
      for (method, path) in [
        ("GET", "/devices"), ("GET", "/devices/\(devices[0].id)"), ("POST", "/devices/\(devices[0].id)/revoke"),
        ("GET", "/events"), ("GET", "/signals"),
      ] {
        let answer = try await registry.ask(method, "/api/v1" + path, as: owner)
        #expect(answer.status == 403, "\(path)")
        #expect(try TestRegistry.kind(answer) == "client-suspended")
        #expect(try answer.string("reason") == "unpaid")
      }
      for device in devices {
        let answer = try await registry.poll(device)
        #expect(answer.status == 403)
        #expect(try TestRegistry.kind(answer) == "client-suspended")
        #expect(try answer.string("reason") == "unpaid")
      }
      #expect(try await registry.ask("GET", "/api/v1/device", token: token).status == 401)
      // The administrator still sees it, and its events.
      #expect(try await Self.ask(registry, "GET", "/\(owner.id)").body == suspended.body)
      #expect(try await Self.ask(registry, "GET", "/\(owner.id)/events").status == 200)
      #expect(try await Self.ask(registry, "POST", "/\(owner.id)/resume").string("status") == "active")
      for device in devices { #expect(try await registry.poll(device).status == 200) }
      #expect(try await registry.ask("GET", "/api/v1/devices", as: owner).array().count == 2)
      let feed = try await registry.feed(of: owner, "types=client.suspended,client.resumed", count: 2)
      #expect(feed.types == ["client.suspended", "client.resumed"])
      #expect(feed.events.first?["reason"] as? String == "unpaid")
      for path in ["suspend", "resume"] {
        #expect(try await Self.ask(registry, "POST", "/nobody/\(path)").status == 404)
        #expect(try await registry.ask("POST", "/api/v1/clients/\(owner.id)/\(path)", as: owner).status == 403)
      }
    }
  }
}

/// What ends by time is recorded by the running service.
@Suite("What ends by time") struct TimedEndTests {
  @Test(arguments: DatabaseKind.allCases)
  func `An expiry and the end of a suspension are events by the system, each once`(_ kind: DatabaseKind)
    async throws
  {
    let clock = TestClock()
    clock.stop()
    try await TestRegistry.with(TestDatabase(forEvents: kind), clock: clock) { registry in
      let owner = try await registry.newOwner()
      let (one, two) = (
        try await registry.newSignedDevice(of: owner), try await registry.newSignedDevice(of: owner)
      )
      let end = clock.now() + 60_000
      #expect(try await registry.suspend(one.id, as: owner, ["until": end.description]).status == 200)
      try await registry.set(two, "expires_at = \(registry.database.literal(of: end))")
      clock.advance(milliseconds: 60_000)
      // The time of the request decides, whether that is recorded or not.
      #expect(try await registry.refusal(of: one) == nil)
      try await registry.until("expired") { try await registry.refusal(of: two) == "device-expired" }
      let feed = try await registry.feed(of: owner, "types=device.resumed,device.expired", count: 2)
      #expect(Set(feed.types) == ["device.resumed", "device.expired"])
      for event in feed.events {
        #expect((event["actor"] as? [String: Any])?["kind"] as? String == "system")
        let isResumption = event["type"] as? String == "device.resumed"
        #expect(event["device_id"] as? String == (isResumption ? one.id : two.id))
        let status = (event["changes"] as? [String: Any])?["status"] as? [String]
        #expect(status == (isResumption ? ["suspended", "active"] : ["active", "expired"]))
      }
      let shown = try await registry.ask("GET", "/api/v1/devices/\(two.id)", as: owner)
      #expect(try shown.string("status") == "expired")
      #expect(try shown.string("expires_at") == end.description)
      // A suspension after that is the only further event.
      #expect(try await registry.suspend(one.id, as: owner).status == 200)
      let all = try await registry.feed(of: owner, after: feed.next, "", count: 1)
      #expect(all.types == ["device.suspended"])
    }
  }
}
