import Foundation
import TestSupport
import Testing

/// Trading modes, changes of many devices, and cancelled signals, over HTTP.
@Suite("Commanding a fleet", .timeLimit(.minutes(2))) struct FleetCommandTests {
  private static func mode(_ answer: HTTPAnswer) throws -> [String: Any] {
    try #require(try answer.object()["trading_mode"] as? [String: Any])
  }

  private static func halt(_ registry: TestRegistry, _ owner: TestOwner, _ mode: String = "halted") async throws
    -> [String: Any]
  {
    try await bulk(
      registry, owner,
      ["action": "set_trading_mode", "select": ["all": true], "trading_mode": mode, "reason": "news"])
  }

  private static func bulk(
    _ registry: TestRegistry, _ owner: TestOwner, _ json: [String: Any]
  ) async throws -> [String: Any] {
    let answer = try await registry.ask("POST", "/api/v1/devices/bulk", as: owner, json: json)
    try #require(answer.status == 200, "\(answer.text)")
    return try answer.object()
  }

  private static func shown(
    _ device: TestDevice, _ registry: TestRegistry, _ owner: TestOwner
  ) async throws -> [String: Any] {
    try await registry.ask("GET", "/api/v1/devices/\(device.id)", as: owner).object()
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Every answer to whoami, poll and ack has the trading mode`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      for (name, version) in [("normal", 1), ("halted", 2), ("close_only", 3)] {
        if version > 1 { _ = try await Self.halt(registry, owner, name) }
        for answer in [
          try await registry.whoami(device), try await registry.poll(device),
          try await registry.ack(device, []),
        ] {
          let mode = try Self.mode(answer)
          #expect(Set(mode.keys) == ["mode", "version", "reason", "since"])
          #expect(mode["mode"] as? String == name && mode["version"] as? Int == version)
          #expect(mode["reason"] as? String == (version > 1 ? "news" : nil))
        }
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A change of the mode ends a parked poll, and a poll after it`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let away = try await registry.newSignedDevice(of: owner)
      async let parked = registry.poll(device, query: "?wait=30")
      try await registry.untilParked(1)
      let start = ContinuousClock.now
      _ = try await Self.halt(registry, owner)
      #expect(try await Self.mode(parked)["mode"] as? String == "halted")
      // Whether it says what it knows or not.
      #expect(try await Self.mode(registry.poll(away, query: "?wait=30"))["version"] as? Int == 2)
      _ = try await Self.halt(registry, owner, "close_only")
      let stale = try await registry.poll(away, query: "?wait=30&mode_version=2")
      #expect(try Self.mode(stale)["version"] as? Int == 3)
      #expect(ContinuousClock.now - start < .seconds(25))
      // It knows now.
      let asked = ContinuousClock.now
      #expect(try await Self.mode(registry.poll(away, query: "?wait=1"))["version"] as? Int == 3)
      #expect(ContinuousClock.now - asked >= .milliseconds(990))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A poll confirms the current version once, and no other`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(await TestDatabase(forEvents: kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      _ = try await Self.halt(registry, owner)
      func confirmed() async throws -> Int? {
        let mode = try await Self.shown(device, registry, owner)["trading_mode"] as? [String: Any]
        return mode?["confirmed_version"] as? Int
      }
      for version in [1, 3] {
        _ = try await registry.poll(device, query: "?mode_version=\(version)")
        #expect(try await confirmed() == nil)
      }
      for _ in 0..<3 { _ = try await registry.poll(device, query: "?mode_version=2") }
      #expect(try await confirmed() == 2)
      let feed = try await registry.ask(
        "GET", "/api/v1/events?types=device.mode_changed,device.mode_confirmed", as: owner
      ).object()
      let events = try #require(feed["events"] as? [[String: Any]])
      #expect(events.map { $0["type"] as? String } == ["device.mode_changed", "device.mode_confirmed"])
      #expect((events.last?["actor"] as? [String: Any])?["kind"] as? String == "device")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A bulk change says what became of each device, and a preview changes nothing`(
    _ kind: DatabaseKind
  ) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let (owner, other) = (try await registry.newOwner(), try await registry.newOwner())
      let one = try await registry.newSignedDevice(of: owner, "A")
      let two = try await registry.newSignedDevice(of: owner, "B")
      let foreign = try await registry.newSignedDevice(of: other)
      let unknown = UUID().uuidString.lowercased()
      let swap: [String: Any] = ["action": "rename", "names": [one.id: "B", two.id: "A"]]
      let preview = try await Self.bulk(registry, owner, swap.merging(["dry_run": true]) { $1 })
      #expect(preview["changed"] as? Int == 2 && preview["dry_run"] as? Bool == true)
      #expect(try await Self.shown(one, registry, owner)["device_name"] as? String == "A")
      let done = try await Self.bulk(registry, owner, swap)
      #expect(done["changed"] as? Int == 2 && done["dry_run"] as? Bool == false)
      #expect(try await Self.shown(one, registry, owner)["device_name"] as? String == "B")
      #expect(try await Self.shown(two, registry, owner)["device_name"] as? String == "A")

      let revoked = try await Self.bulk(
        registry, owner,
        [
          "action": "revoke", "select": ["device_ids": [one.id, foreign.id, unknown, one.id]], "expect": 3,
          "reason": "gone",
        ])
      #expect(revoked["matched"] as? Int == 3 && revoked["changed"] as? Int == 1)
      let refused = try #require(revoked["refused"] as? [[String: String]])
      let types = Dictionary(uniqueKeysWithValues: refused.map { ($0["device_id"]!, $0["type"]!) })
      #expect(types.keys.sorted() == [foreign.id, unknown].sorted())
      #expect(types[foreign.id]?.hasSuffix("/not-owner") == true)
      #expect(types[unknown]?.hasSuffix("/device-not-found") == true)
      #expect(try await registry.refusal(of: one) != nil)
      #expect(try await registry.refusal(of: foreign) == nil)

      let unexpected = try await registry.ask(
        "POST", "/api/v1/devices/bulk", as: owner,
        json: ["action": "suspend", "select": ["all": true], "expect": 2])
      #expect(unexpected.status == 409)
      #expect(try TestRegistry.kind(unexpected) == "expectation-failed")
      #expect(try unexpected.object()["matched"] as? Int == 1)
      #expect(try await registry.refusal(of: two) == nil)
      #expect(
        try await Self.bulk(registry, owner, ["action": "suspend", "select": ["all": true], "expect": 1])[
          "changed"] as? Int == 1)
      #expect(try await registry.refusal(of: two) != nil)
      _ = try await Self.bulk(registry, owner, ["action": "resume", "select": ["all": true]])
      #expect(try await registry.refusal(of: two) == nil)
    }
  }

  @Test func `A body that does not fit its action names the member`() async throws {
    try await TestRegistry.with(TestDatabase(.sqlite)) { registry in
      let owner = try await registry.newOwner()
      let all = ["all": true]
      for (json, field): ([String: Any], String) in [
        (["select": all], "action"), (["action": "explode", "select": all], "action"),
        (["action": "revoke"], "select"), (["action": "revoke", "select": [:]], "select.device_ids"),
        (["action": "revoke", "select": ["all": true, "group": "g"]], "select.group"),
        (["action": "revoke", "select": ["labels": [:]]], "select.labels"),
        (["action": "revoke", "select": all, "labels": ["a": "b"]], "labels"),
        (["action": "rename", "names": ["x": "y"]], "names.x"),
        (["action": "rename", "select": all, "names": [UUID().uuidString: "y"]], "select"),
        (["action": "set_labels", "select": all, "labels": ["a b": "c"]], "labels.a b"),
        (["action": "set_labels", "select": all], "labels"),
        (["action": "set_expiry", "select": all], "expires_at"),
        (["action": "set_expiry", "select": all, "expires_at": "tomorrow"], "expires_at"),
        (["action": "suspend", "select": all, "until": "2001-01-01T00:00:00Z"], "until"),
        (["action": "set_trading_mode", "select": all, "trading_mode": "fast"], "trading_mode"),
        (["action": "revoke", "select": all, "expected": 1], "expected"),
      ] {
        let answer = try await registry.ask("POST", "/api/v1/devices/bulk", as: owner, json: json)
        #expect(answer.status == 400, "\(json): \(answer.text)")
        let errors = try answer.object()["errors"] as? [[String: String]]
        #expect(errors?.first?["field"] == field, "\(json): \(answer.text)")
      }
      let group = try await registry.ask(
        "POST", "/api/v1/devices/bulk", as: owner, json: ["action": "revoke", "select": ["group": "none"]])
      #expect(try group.status == 404 && TestRegistry.kind(group) == "group-not-found")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A cancelled signal is not handed out, and polls list it, the parked ones at once`(
    _ kind: DatabaseKind
  ) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let one = try await registry.newSignedDevice(of: owner)
      let two = try await registry.newSignedDevice(of: owner)
      let id = try await registry.newSignal(of: owner)
      #expect(try await registry.polledIDs(one) == [id])
      #expect(try await registry.ack(one, [["signal_id": id, "status": "placed"]]).status == 200)
      async let parked = registry.poll(one, query: "?wait=2")
      try await registry.untilParked(1)
      func cancel() async throws -> [String: Any] {
        let answer = try await registry.ask("POST", "/api/v1/signals/\(id)/cancel", as: owner)
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.object()
      }
      for _ in 0..<2 {
        let counts = try await cancel()
        #expect(counts["cancelled"] as? Int == 1 && counts["too_late"] as? Int == 1)
      }
      let start = ContinuousClock.now
      let polled = try await registry.poll(two, query: "?wait=30").object()
      #expect(polled["signals"] as? [String] == [] && polled["cancelled"] as? [String] == [id])
      #expect(ContinuousClock.now - start < .seconds(25))
      // What it acknowledged, its polls do not list.
      #expect(try await parked.object()["cancelled"] as? [String] == [])
      let second = try await registry.newSignal(of: owner)
      _ = try await registry.ack(two, [["signal_id": second, "status": "placed"]])
      async let waiting = registry.poll(two, query: "?wait=30")
      try await registry.untilParked(1)
      let third = try await registry.newSignal(of: owner)
      #expect(try await waiting.object()["cancelled"] as? [String] == [id])
      _ = try await registry.ask("POST", "/api/v1/signals/\(third)/cancel", as: owner)
      #expect(
        try await registry.poll(two, query: "?wait=30").object()["cancelled"] as? [String] == [third, id])
      // It learns that once, then a poll waits again.
      let asked = ContinuousClock.now
      #expect(try await registry.poll(two, query: "?wait=1").object()["cancelled"] as? [String] == [third, id])
      #expect(ContinuousClock.now - asked >= .milliseconds(990))
      let sent = try await registry.ask("GET", "/api/v1/signals/\(id)", as: owner).object()
      #expect(sent["cancelled_at"] is String)
      let states = (sent["deliveries"] as? [[String: Any]])?.map { $0["state"] as? String }
      #expect(Set(states ?? []) == ["acked", "cancelled"])
      // A late acknowledgement tells the truth.
      #expect(try await registry.ack(two, [["signal_id": id, "status": "placed"]]).status == 200)
      #expect(try await registry.poll(two).object()["cancelled"] as? [String] == [third])
      let late = try await cancel()
      #expect(late["cancelled"] as? Int == 1 && late["too_late"] as? Int == 1)
      let other = try await registry.newOwner()
      #expect(try await registry.ask("POST", "/api/v1/signals/\(id)/cancel", as: other).status == 403)
      #expect(
        try await registry.ask("POST", "/api/v1/signals/\(UUID().uuidString)/cancel", as: owner).status == 404)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Halting cancels the signals of the devices, if asked, and no others`(_ kind: DatabaseKind) async throws
  {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let one = try await registry.newSignedDevice(of: owner)
      let two = try await registry.newSignedDevice(of: owner)
      let id = try await registry.newSignal(of: owner)
      for _ in 0..<2 {
        _ = try await Self.bulk(
          registry, owner,
          [
            "action": "set_trading_mode", "select": ["device_ids": [one.id]], "trading_mode": "halted",
            "cancel_signals": true,
          ])
        let polled = try await registry.poll(one).object()
        #expect(polled["signals"] as? [String] == [] && polled["cancelled"] as? [String] == [id])
        #expect(try await registry.polledIDs(two) == [id])
      }
    }
  }
}
