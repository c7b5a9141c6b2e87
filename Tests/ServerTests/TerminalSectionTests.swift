import Foundation
import Registry
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Where a device runs") struct Terminals {
    private func context(_ login: String) -> [String: Any] {
      [
        "account": ["login": login, "server": "Broker-Demo", "mode": "demo"],
        "terminal": ["name": "MetaTrader 5", "build": "4000"],
        "program": ["name": "EA", "version": "1.0", "symbol": "EURUSD", "magic": "7"],
      ]
    }

    private func tell(_ json: [String: Any], _ device: TestDevice, _ registry: TestRegistry) async throws
      -> HTTPAnswer
    {
      try await registry.ask(registry.request("PUT", "/api/v1/device/context", json: json), as: device)
    }

    private func shown(_ device: TestDevice, _ owner: TestOwner, _ registry: TestRegistry) async throws
      -> [String: Any]
    {
      try await registry.ask("GET", "/api/v1/devices/\(device.id)", as: owner).object()
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A second instance gets a signed 409 and no signals, until it takes over; then the first one gets it`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let signal = try await registry.newSignal(of: owner)
      #expect(try await registry.polledIDs(device, query: "?instance=terminal-1") == [signal])
      for _ in 0..<2 {
        let refused = try await registry.poll(device, query: "?instance=terminal-2")
        #expect(try refused.status == 409 && TestRegistry.kind(refused) == "device-in-use")
        #expect(try refused.string("since") != nil && refused.string("last_poll") != nil)
      }
      // Without a name, and for the holder, nothing changed.
      #expect(try await registry.polledIDs(device) == [signal])
      #expect(try await registry.polledIDs(device, query: "?instance=terminal-1") == [signal])
      let instance = try await shown(device, owner, registry)["instance"] as? [String: Any]
      #expect(instance?["id"] as? String == "terminal-1")

      #expect(try await registry.polledIDs(device, query: "?instance=terminal-2&takeover=1") == [signal])
      #expect(try await registry.poll(device, query: "?instance=terminal-1").status == 409)
      #expect(try await registry.whoami(device).status == 200)
      let events = try await registry.feed(of: owner, "types=device.contended", count: 1).events
      #expect(events.count == 1 && events[0]["device_id"] as? String == device.id)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A parked poll of the former holder ends with 409 when another takes over`(_ kind: DatabaseKind)
      async throws
    {
      try await TestRegistry.with(await TestDatabase(kind)) { registry in
        let device = try await registry.newSignedDevice(of: registry.newOwner())
        #expect(try await registry.poll(device, query: "?instance=terminal-1").status == 200)
        async let parked = registry.poll(device, query: "?instance=terminal-1&wait=30")
        try await registry.untilParked(1)
        // One that is refused leaves it alone.
        #expect(try await registry.poll(device, query: "?instance=terminal-2").status == 409)
        #expect(try await registry.metric("parked_polls") == 1)
        #expect(try await registry.poll(device, query: "?instance=terminal-2&takeover=1").status == 200)
        #expect(try await parked.status == 409)
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A released lease is free, and a silent one after a minute`(_ kind: DatabaseKind) async throws {
      let clock = TestClock()
      clock.stop()
      try await TestRegistry.with(await TestDatabase(kind), clock: clock) { registry in
        let owner = try await registry.newOwner()
        let device = try await registry.newSignedDevice(of: owner)
        func poll(_ instance: String) async throws -> Int {
          try await registry.poll(device, query: "?instance=\(instance)").status
        }
        func release(_ instance: String) async throws -> Int {
          try await registry.ask(
            registry.request("POST", "/api/v1/device/release", json: ["instance": instance]), as: device
          ).status
        }
        #expect(try await poll("terminal-1") == 200)
        #expect(try await release("terminal-2") == 204)
        #expect(try await poll("terminal-2") == 409)
        #expect(try await release("terminal-1") == 204)
        #expect(try await poll("terminal-2") == 200)
        clock.advance(seconds: 59)
        #expect(try await poll("terminal-1") == 409)
        clock.advance(seconds: 1)
        #expect(try await poll("terminal-1") == 200)
        // Polls renew it, when they are stored.
        for _ in 0..<3 {
          clock.advance(seconds: 40)
          #expect(try await poll("terminal-1") == 200)
        }
        let now = clock.now().description
        try await registry.until("the poll is stored") {
          let instance = try await shown(device, owner, registry)["instance"] as? [String: Any]
          return instance?["last_poll"] as? String == now
        }
        let refused = try await registry.poll(device, query: "?instance=terminal-2")
        #expect(try refused.status == 409 && refused.string("last_poll") == now)
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `How long a lease lasts is a setting`(_ kind: DatabaseKind) async throws {
      let clock = TestClock()
      clock.stop()
      try await TestRegistry.with(
        await TestDatabase(kind), settings: ["INSTANCE_LEASE_SECONDS": "120"], clock: clock
      ) { registry in
        let device = try await registry.newSignedDevice(of: registry.newOwner())
        #expect(try await registry.poll(device, query: "?instance=terminal-1").status == 200)
        clock.advance(seconds: 119)
        #expect(try await registry.poll(device, query: "?instance=terminal-2").status == 409)
        clock.advance(seconds: 1)
        #expect(try await registry.poll(device, query: "?instance=terminal-2").status == 200)
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A poll without an instance leaves the parked poll of an instance alone`(_ kind: DatabaseKind)
      async throws
    {
      try await TestRegistry.with(await TestDatabase(kind)) { registry in
        let owner = try await registry.newOwner()
        let device = try await registry.newSignedDevice(of: owner)
        async let parked = registry.polledIDs(device, query: "?instance=terminal-1&wait=30")
        try await registry.untilParked(1)
        #expect(try await registry.poll(device).status == 200)
        let signal = try await registry.newSignal(of: owner)
        #expect(try await parked == [signal])
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device says where it runs, and its owner sees it; the same again is no event`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      #expect(try await shown(device, owner, registry)["context"] is NSNull)
      for login in ["1", "1", "2"] { #expect(try await tell(context(login), device, registry).status == 204) }
      let seen = try #require(try await shown(device, owner, registry)["context"] as? NSDictionary)
      #expect(seen == context("2") as NSDictionary)
      let types = try await registry.feed(of: owner, count: 4).types
      #expect(
        types == ["client.created", "device.registered", "device.context_changed", "device.context_changed"])
    }

    @Test(arguments: [
      "{}", #"{"account": {"login": "1", "server": "x"}}"#,
      #"{"account": {"login": 1, "server": "x", "mode": "demo"}}"#,
      #"{"account": {"login": "1", "server": "x", "mode": "live"}}"#,
      #"{"account": {"login": "1", "server": "x", "mode": "real"}, "broker": "y"}"#,
      #"{"account": {"login": "\#(String(repeating: "1", count: 129))", "server": "x", "mode": "real"}}"#,
    ])
    func `What is no context is 400, and changes nothing`(_ text: String) async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let json = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      #expect(try await tell(json, device, registry).status == 400)
      #expect(try await shown(device, owner, registry)["context"] is NSNull)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device that is bound to an account polls from no other`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      func bind(_ account: Any) async throws -> HTTPAnswer {
        try await registry.ask(
          "PATCH", "/api/v1/devices/\(device.id)", as: owner, json: ["bound_account": account])
      }
      let account = ["login": "1", "server": "Broker-Demo"]
      let bound = try await bind(account)
      #expect(bound.status == 200)
      #expect(try bound.object()["bound_account"] as? [String: String] == account)
      for login in [nil, "2"] {
        if let login { #expect(try await tell(context(login), device, registry).status == 204) }
        let refused = try await registry.poll(device)
        #expect(try refused.status == 403 && TestRegistry.kind(refused) == "account-not-bound")
        #expect(try await registry.whoami(device).status == 200)
        #expect(try await registry.ack(device, []).status == 200)
      }
      #expect(try await tell(context("1"), device, registry).status == 204)
      #expect(try await registry.poll(device).status == 200)
      #expect(try await bind(["login": "2", "server": "Broker-Demo"]).status == 200)
      #expect(try await registry.poll(device).status == 403)
      #expect(try await bind(NSNull()).status == 200)
      #expect(try await registry.poll(device).status == 200)
      #expect(try await bind(["login": "2"]).status == 400)
      #expect(try await bind(["login": "2", "server": "x", "mode": "demo"]).status == 400)
      let changes = try await registry.feed(of: owner, "types=device.updated", count: 3).events.map {
        $0["changes"] as? NSDictionary
      }
      #expect(changes.first == ["bound_account": [NSNull(), account]] as NSDictionary)
      let nothing = try await registry.ask(
        "PATCH", "/api/v1/devices/\(device.id)", as: owner, json: [String: Any]())
      #expect(nothing.status == 400)
    }

    @Test(arguments: ["short", "with space", String(repeating: "a", count: 65), "ümlaut-8"])
    func `What is no instance is 400`(_ instance: String) async throws {
      let registry = try registry(.sqlite)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let query = instance.addingPercentEncoding(withAllowedCharacters: .alphanumerics)!
      #expect(try await registry.poll(device, query: "?instance=\(query)").status == 400)
      #expect(try await registry.poll(device, query: "?instance=terminal-1&takeover=2").status == 400)
      #expect(try await registry.poll(device, query: "?takeover=1").status == 400)
    }
  }
}
