import Registry
import TestSupport
import Testing

@Suite("Every store: changes of many devices") struct BulkContractTests {
  /// Five devices of alice: 0 and 1 in the group, 1 and 2 with a label, 3 revoked, 4 suspended; and one of bob.
  private func fleet(
    _ store: any RegistryStore, _ database: TestDatabase
  ) async throws -> (own: [DeviceID], foreign: DeviceID) {
    let ids = try await store.addDevices(5)
    try await store.insertClient(client("bob"))
    let foreign = try await store.add("foreign", of: "bob").id
    for owner in ["alice", "bob"] { try await database.addGroup("desk", of: owner) }
    _ = try await store.change(.addToGroup(GroupName("desk")!), [ids[0], ids[1]])
    _ = try await store.change(.setLabels(["role": "primary", "vps": ""]), [ids[1], ids[2]])
    _ = try await store.change(.setLabels(["role": "primary", "vps": ""]), [foreign], of: bob)
    _ = try await store.change(.addToGroup(GroupName("desk")!), [foreign], of: bob)
    _ = try await store.change(.revoke, [ids[3]])
    _ = try await store.change(.suspend(until: nil), [ids[4]])
    return (ids, foreign)
  }

  @Test(arguments: StoreKind.allCases)
  func `A selector means the client's devices that are not revoked, by id, in pages`(
    _ kind: StoreKind
  ) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (ids, _) = try await fleet(store, database)
      for (selector, expected): (DeviceSelector, [Int]) in [
        (.all, [0, 1, 2, 4]), (.group(GroupName("desk")!), [0, 1]), (.group(GroupName("none")!), []),
        (.labels(["role": "primary"]), [1, 2]), (.labels(["vps": "", "role": "primary"]), [1, 2]),
        (.labels(["role": "other"]), []), (.labels(["role": "primary", "vps": "x"]), []),
      ] {
        let all = try await store.selectedDevices(selector, of: alice, after: nil, limit: 100)
        #expect(all == expected.map { ids[$0] }, "\(selector)")
        var paged: [DeviceID] = []
        while let next = try await store.selectedDevices(
          selector, of: alice, after: paged.last, limit: 1
        ).first { paged.append(next) }
        #expect(paged == all, "\(selector)")
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal goes to a group or to devices with labels, in steps`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (ids, _) = try await fleet(store, database)
      for (selector, expected): (DeviceSelector, [Int]) in [
        (.group(GroupName("desk")!), [0, 1]), (.labels(["role": "primary"]), [1, 2]), (.all, [0, 1, 2, 4]),
      ] {
        let signal = newSignal()
        var progress = try await store.beginSignal(signal, to: selector, step: 1)
        #expect(try await store.deliveries(of: signal.id).isEmpty)
        while progress.last != nil {
          progress = try await store.continueSignal(
            signal, to: selector, after: progress, step: 1, change: .at(noon))
        }
        #expect(try await store.deliveries(of: signal.id).map(\.deviceID) == expected.map { ids[$0] })
      }
      await #expect(throws: RegistryError.groupNotFound) {
        try await store.beginSignal(newSignal(), to: .group(GroupName("none")!))
      }
    }
  }

  @Test(arguments: StoreKind.allCases, [1, 2000])
  func `Each action changes what it names, records its event, and repeated changes nothing`(
    _ kind: StoreKind, _ step: Int
  ) async throws {
    let database = try await TestDatabase(kind, on: kind == .postgres ? await .quiet : nil)
    try await database.withStore { store in
      let ids = try await store.addDevices(2)
      try await database.addGroup("desk", of: "alice")
      let later = noon.plus(seconds: 60)
      for (action, type, changes, isSo): (BulkChange.Action, String, String, (Device) -> Bool) in [
        (
          .setLabels(["a": "b"]), "device.updated", #"{"labels": [{}, {"a":"b"}]}"#,
          { $0.labels == ["a": "b"] }
        ),
        (
          .setLabels(["a": nil, "c": ""]), "device.updated", #"{"labels": [{"a":"b"}, {"c":""}]}"#,
          { $0.labels == ["c": ""] }
        ),
        (
          .addToGroup(GroupName("desk")!), "device.updated", #"{"groups": [[], ["desk"]]}"#,
          { $0.groups.map(\.text) == ["desk"] }
        ),
        (
          .removeFromGroup(GroupName("desk")!), "device.updated", #"{"groups": [["desk"], []]}"#,
          { $0.groups.isEmpty }
        ),
        (
          .setExpiry(later), "device.updated", "{\"expires_at\": [null, \"\(later)\"]}",
          { $0.state.expiresAt == later }
        ),
        (
          .suspend(until: later), "device.suspended",
          "{\"status\": [\"active\", \"suspended\"], \"suspended_until\": [null, \"\(later)\"]}",
          { $0.state.status(at: noon) == .suspended && $0.state.reason == "why" }
        ),
        (
          .resume, "device.resumed",
          "{\"status\": [\"suspended\", \"active\"], \"suspended_until\": [\"\(later)\", null]}",
          { $0.state.status(at: noon) == .active }
        ),
        (
          .setTradingMode(.halted, cancelsSignals: false), "device.mode_changed",
          #"{"trading_mode": ["normal", "halted"], "version": [1, 2]}"#,
          { $0.tradingMode.mode == .halted && $0.tradingMode.version == 2 && $0.tradingMode.reason == "why" }
        ),
        (
          .revoke, "device.revoked", #"{"status": ["active", "revoked"]}"#,
          { $0.isRevoked && $0.state.reason == "why" }
        ),
      ] {
        let before = try await store.seenEvents().events.count
        let outcome = try await store.change(action, ids, step: step)
        #expect(outcome.changed == ids && outcome.refused.isEmpty, "\(action)")
        let again = try await store.change(action, ids, step: step)
        #expect(again.changed.isEmpty && again.unchanged == 2, "\(action)")
        for id in ids {
          let device = try #require(try await store.device(id))
          #expect(isSo(device) && device.updatedAt == noon, "\(action): \(device)")
        }
        let events = try await store.seenEvents().events.dropFirst(before)
        #expect(events.map(\.deviceID) == ids && events.allSatisfy { $0.type == type }, "\(action)")
        #expect(events.allSatisfy { $0.reason == "why" }, "\(action)")
        for event in events {
          let shown = String(decoding: event.changes ?? [], as: UTF8.self)
          #expect(shown == changes, "\(action)")
        }
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Every device that is refused is named, with the reason; the others change`(
    _ kind: StoreKind
  ) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (ids, foreign) = try await fleet(store, database)
      let unknown = newID()
      let outcome = try await store.change(.suspend(until: nil), ids + [foreign, unknown])
      #expect(outcome.changed == [ids[0], ids[1], ids[2]] && outcome.unchanged == 1)
      let refused = Dictionary(uniqueKeysWithValues: outcome.refused.map { ($0.id, $0.refusal) })
      #expect(refused == [ids[3]: .deviceRevoked, foreign: .notOwner, unknown: .deviceNotFound])
      #expect(outcome.matched == 7)
      #expect(try await store.device(foreign)?.state.suspension == nil)
      // Revoking what is revoked changes nothing.
      let revoked = try await store.change(.revoke, ids + [foreign])
      #expect(revoked.changed.count == 4 && revoked.unchanged == 1)
      #expect(revoked.refused.map(\.refusal) == [.notOwner])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Too many labels or groups are refused, those of the other devices are set`(
    _ kind: StoreKind
  ) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(2)
      let labels = Dictionary(uniqueKeysWithValues: (1...16).map { ("key\($0)", Optional("v")) })
      _ = try await store.change(.setLabels(labels), [ids[0]])
      let outcome = try await store.change(.setLabels(["one": "more"]), ids)
      #expect(outcome.changed == [ids[1]] && outcome.refused.map(\.refusal) == [.tooManyLabels])
      let replaced = try await store.change(.setLabels(["one": "more", "key1": nil]), ids)
      #expect(replaced.changed == [ids[0]] && replaced.unchanged == 1)
      for number in 0...100 { try await database.addGroup("g\(number)", of: "alice") }
      for number in 0..<100 { _ = try await store.change(.addToGroup(GroupName("g\(number)")!), [ids[0]]) }
      let grouped = try await store.change(.addToGroup(GroupName("g100")!), ids)
      #expect(grouped.changed == [ids[1]] && grouped.refused.map(\.refusal) == [.tooManyGroups])
      await #expect(throws: RegistryError.groupNotFound) {
        try await store.change(.removeFromGroup(GroupName("none")!), ids)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `If another number matches than expected, nothing happens`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(3)
      let bulk = BulkChange(
        .setTradingMode(.halted, cancelsSignals: false), of: alice, .all, expected: 2, change: .at(noon))
      await #expect(throws: RegistryError.expectationFailed(matched: 3)) {
        try await store.changeDevices(ids, by: bulk, step: 1)
      }
      for id in ids { #expect(try await store.device(id)?.tradingMode.version == 1) }
      #expect(try await store.change(.setTradingMode(.halted, cancelsSignals: false), ids).changed == ids)
    }
    #expect(try await database.sql("SELECT count(*) FROM events WHERE type = 'device.mode_changed'") == "3")
  }

  @Test(arguments: StoreKind.allCases)
  func `Devices exchange their names, in a circle too`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(4)
      func names() async throws -> [String] {
        var names: [String] = []
        for id in ids { names.append(try #require(try await store.device(id)).deviceName.text) }
        return names
      }
      let swapped = try await store.rename([ids[0]: "device 1", ids[1]: "device 0"])
      #expect(Set(swapped.changed) == [ids[0], ids[1]])
      #expect(try await names() == ["device 1", "device 0", "device 2", "device 3"])
      let circle = try await store.rename([ids[0]: "device 0", ids[1]: "device 2", ids[2]: "device 1"])
      #expect(circle.changed.count == 3)
      #expect(try await names() == ["device 0", "device 2", "device 1", "device 3"])
      // 0 cannot have the name of 3, so 1 cannot have that of 0.
      let blocked = try await store.rename([ids[0]: "device 3", ids[1]: "device 0", ids[2]: "new"])
      #expect(blocked.changed == [ids[2]])
      #expect(Set(blocked.refused.map(\.id)) == [ids[0], ids[1]])
      #expect(blocked.refused.allSatisfy { $0.refusal == .deviceNameTaken })
      // Of two devices for one name, the first by id gets it.
      let two = try await store.rename([ids[0]: "one", ids[1]: "one"])
      #expect(two.changed == [ids[0]] && two.refused.map(\.id) == [ids[1]])
      #expect(try await names() == ["one", "device 2", "new", "device 3"])
    }
    #expect(
      try await database.sql(
        "SELECT count(*) FROM events WHERE type = 'device.updated' AND length(device_id\(kind == .postgres ? "::text" : "")) = 36"
      ) == "7")
  }

  @Test(arguments: StoreKind.allCases)
  func `Only the current version is confirmed, once`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(3)
      try await store.insertClient(client("bob"))
      let foreign = try await store.add("foreign", of: "bob").id
      _ = try await store.change(.setTradingMode(.halted, cancelsSignals: false), [ids[0]])
      func confirm(_ versions: [(DeviceID, Int64)]) async throws -> [DeviceID: Bool] {
        try await store.confirmModes(
          versions.map {
            ModeConfirmation(
              deviceID: $0.0, clientID: alice, version: $0.1,
              change: Change(by: .device($0.0), at: noon, requestID: "r"))
          })
      }
      #expect(try await confirm([(ids[0], 1), (ids[1], 2), (foreign, 1), (newID(), 1)]) == [:])
      #expect(try await confirm([(ids[0], 2), (ids[1], 1)]) == [ids[0]: true, ids[1]: true])
      #expect(try await confirm([(ids[0], 2), (ids[2], 1)]) == [ids[0]: false, ids[2]: true])
      let mode = try #require(try await store.device(ids[0])).tradingMode
      #expect(mode.isConfirmed && mode.confirmedAt == noon)
      _ = try await store.change(.setTradingMode(.normal, cancelsSignals: false), [ids[0]])
      #expect(try await store.device(ids[0])?.tradingMode.isConfirmed == false)
      #expect(try await confirm([(ids[0], 2)]) == [:])
    }
    #expect(try await database.sql("SELECT count(*) FROM events WHERE type = 'device.mode_confirmed'") == "3")
  }

  /// Random fleets of three clients: whatever one of them selects, it reaches only its own devices.
  @Test(arguments: StoreKind.allCases, [1, 2, 3])
  func `A selector never reaches another client`(_ kind: StoreKind, _ seed: UInt64) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      var random = SeededGenerator(seed: seed)
      let owners = ["alice", "bob", "carol"].map { ClientID($0)! }
      let groups = ["a", "b"].map { GroupName($0)! }
      var ids: [DeviceID] = []
      for owner in owners {
        try await store.insertClient(client(owner.text))
        for group in groups { try await database.addGroup(group.text, of: owner.text) }
      }
      for number in 0..<24 {
        let owner = owners.randomElement(using: &random)!
        let id = try await store.add("d\(number)", of: owner.text).id
        ids.append(id)
        for group in groups where Bool.random(using: &random) {
          _ = try await store.change(.addToGroup(group), [id], of: owner)
        }
        let value = ["x", "y"].randomElement(using: &random)!
        _ = try await store.change(.setLabels(["k": value]), [id], of: owner)
        if Int.random(in: 0..<5, using: &random) == 0 { _ = try await store.change(.revoke, [id], of: owner) }
      }
      let selectors: [DeviceSelector] = [
        .all, .group(groups[0]), .group(groups[1]), .labels(["k": "x"]), .labels(["k": "y"]),
        .devices(ids.shuffled(using: &random)),
      ]
      for (index, selector) in selectors.enumerated() {
        let owner = owners.randomElement(using: &random)!
        let before = try await store.devices(ids)
        var selected: [DeviceID]
        if case .devices(let listed) = selector {
          selected = listed.sorted { ($0.high, $0.low) < ($1.high, $1.low) }
        } else {
          selected = try await store.selectedDevices(selector, of: owner, after: nil, limit: 100)
        }
        let mode: TradingMode.Mode = index.isMultiple(of: 2) ? .halted : .closeOnly
        let bulk = BulkChange(
          .setTradingMode(mode, cancelsSignals: false), of: owner, selector, expected: nil, change: .at(noon))
        let outcome = try await store.changeDevices(selected, by: bulk, step: 5)
        let expected = before.filter {
          $0.clientID == owner && !$0.isRevoked && selector.matches($0) && $0.tradingMode.mode != mode
        }
        #expect(Set(outcome.changed) == Set(expected.map(\.id)))
        for device in before where !outcome.changed.contains(device.id) {
          #expect(try await store.device(device.id) == device)
        }
        let signal = Signal(
          id: newSignal().id, clientID: owner, payload: Array("{}".utf8), createdAt: noon,
          expiresAt: noon.plus(seconds: 60))
        if case .devices = selector { continue }
        _ = try await store.beginSignal(signal, to: selector)
        #expect(try await store.deliveries(of: signal.id).map(\.deviceID) == selected)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Changes at the same time lose nothing, and events agree with the final state`(
    _ kind: StoreKind
  ) async throws {
    let database = try await TestDatabase(kind)
    let ids = try await database.withStore { store in
      let ids = try await store.addDevices(20)
      for number in 0..<4 { try await database.addGroup("g\(number)", of: "alice") }
      @Sendable func change(_ number: Int) async throws {
        switch number % 4 {
        case 0: _ = try await store.change(.addToGroup(GroupName("g\(number % 3)")!), ids, step: 3)
        case 1: _ = try await store.change(.setLabels(["k\(number)": "v"]), ids.reversed(), step: 7)
        case 2:
          _ = try await store.change(
            .setTradingMode(number % 8 == 2 ? .halted : .normal, cancelsSignals: false), ids, step: 5)
        default:
          _ = try await store.renameDevice(
            ids[number % 20], of: alice, to: try DeviceName("name \(number)"), at: noon)
        }
      }
      let outcomes = await store.outcomes(24) { number in
        // On a busy machine a change may have waited too long, which changes nothing.
        for _ in 0..<10 {
          do { return try await change(number) } catch RegistryError.overloaded {}
        }
        try await change(number)
      }
      #expect(outcomes == [nil: 24])
      for device in try await store.devices(ids) {
        #expect(device.groups.map(\.text) == ["g0", "g1", "g2"])
        #expect(device.labels.values.count == 6)
      }
      return ids
    }
    for id in ids.prefix(3) {
      let changed = try await database.sql(
        "SELECT count(*) FROM events WHERE device_id = '\(id)' AND type = 'device.mode_changed'")
      let version = try await database.sql("SELECT mode_version - 1 FROM devices WHERE id = '\(id)'")
      #expect(changed == version)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Revocations win over resumes and suspensions at the same time`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(10)
      _ = try await store.change(.suspend(until: nil), ids)
      let outcomes = await store.outcomes(12) { number in
        switch number % 3 {
        case 0: _ = try await store.change(.revoke, ids, step: 3)
        case 1: _ = try await store.change(.resume, ids, step: 4)
        default: _ = try await store.change(.suspend(until: noon.plus(seconds: 9)), ids, step: 2)
        }
      }
      #expect(outcomes == [nil: 12])
      for device in try await store.devices(ids) {
        #expect(device.isRevoked && device.state.status(at: noon) == .revoked)
      }
    }
    #expect(try await database.sql("SELECT count(*) FROM events WHERE type = 'device.revoked'") == "10")
  }

  @Test(arguments: StoreKind.allCases)
  func `Swaps of names at the same time end with each name once`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(4)
      let outcomes = await store.outcomes(12) { number in
        let (one, two) = (ids[number % 4], ids[(number + 1) % 4])
        let (first, second) = (try await store.device(one)!, try await store.device(two)!)
        if number % 3 == 0 {
          _ = try? await store.renameDevice(one, of: alice, to: second.deviceName, at: noon)
        } else {
          _ = try await store.rename([one: second.deviceName.text, two: first.deviceName.text])
        }
      }
      #expect(outcomes == [nil: 12])
      let names = try await store.devices(ids).map(\.deviceName.text)
      #expect(Set(names) == Set((0..<4).map { "device \($0)" }))
    }
  }
}

extension RegistryStore {
  /// Changes listed devices, for a reason.
  func change(
    _ action: BulkChange.Action, _ ids: [DeviceID], of owner: ClientID = alice, step: Int = 2000
  ) async throws(RegistryError) -> BulkOutcome {
    let bulk = BulkChange(
      action, of: owner, .devices(ids), expected: nil, change: Change.at(noon).because("why"))
    return try await changeDevices(
      ids.sorted { ($0.high, $0.low) < ($1.high, $1.low) }, by: bulk, step: step)
  }

  func rename(_ names: [DeviceID: String]) async throws(RegistryError) -> BulkOutcome {
    var renames: [DeviceID: DeviceName] = [:]
    for (id, name) in names { renames[id] = try DeviceName(name) }
    return try await change(.rename(renames), Array(names.keys))
  }
}

extension TestDatabase {
  func addGroup(_ name: String, of client: String) async throws {
    let time = kind == .postgres ? "now()" : "0"
    try await sql(
      "INSERT INTO groups (client_id, name, created_at, updated_at) VALUES ('\(client)', '\(name)', \(time), \(time))"
    )
  }
}
