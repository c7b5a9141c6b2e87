import Registry
import Testing

@Suite("Every store: devices") struct DeviceContractTests {
  @Test(arguments: StoreKind.allCases)
  func `A stored device is read back unchanged`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let times = (1...5).map { Timestamp(millisecondsSince1970: noon.millisecondsSince1970 + $0 * 1001) }
      let stored = Device(
        id: newID(), clientID: alice, deviceName: try DeviceName("Grüße 🚀 日本"), createdAt: times[3],
        updatedAt: times[4], lastPoll: times[0], lastAck: times[1], lastSeen: times[2],
        labels: ["role": "primary", "desk/a.b-c_d": ""], groups: [],
        state: DeviceState(
          isRevoked: true, suspension: .init(since: times[0], until: times[1]), expiresAt: times[2],
          reason: "Grüße"),
        tradingMode: TradingMode(
          mode: .closeOnly, version: 3, reason: "news", since: times[0], confirmedVersion: 2,
          confirmedAt: times[1]),
        terminal: Terminal(
          lease: InstanceLease(instance: InstanceID("instance-1")!, since: times[0], lastPoll: times[1]),
          context: DeviceContext(
            account: TradingAccount(login: "1", server: "Grüße"),
            json: #"{"account":{"login":"1","server":"Grüße","mode":"demo"}}"#),
          boundAccount: TradingAccount(login: "2", server: "Grüße"), contendedAt: times[2]))
      try await store.insertDevice(stored, verifier: verifier(), maxDevices: 10)
      #expect(try await store.device(stored.id) == stored)
      let plain = try await store.add("plain", at: Timestamp(millisecondsSince1970: 0))
      #expect(try await store.device(plain.id) == plain)
      #expect(try await store.device(newID()) == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The database stores a name of 100 scalars, and refuses 101`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let longest = String(repeating: "🛰", count: 100)
      let added = try await store.add(longest)
      #expect(try await store.device(added.id)?.deviceName.text == longest)
      let tooLong = Device(
        registered: newID(), clientID: alice, deviceName: DeviceName(stored: longest + "x"), at: noon)
      let error = await #expect(throws: RegistryError.self) {
        try await store.insertDevice(tooLong, verifier: verifier(), maxDevices: 10)
      }
      guard case .fault? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A client that does not exist has no devices`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      await #expect(throws: RegistryError.clientNotFound) { try await store.add("one") }
      await #expect(throws: RegistryError.clientNotFound) { try await store.add("one", maxDevices: 0) }
      await #expect(throws: RegistryError.clientNotFound) {
        try await store.checkRegistration(of: DeviceName("one"), for: alice, maxDevices: 0)
      }
      let devices = try await store.devices(of: alice, after: nil, limit: 10)
      #expect(devices.isEmpty)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A name is unique among a client's devices that are not revoked`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let first = try await store.add("one")
      await #expect(throws: RegistryError.deviceNameTaken) { try await store.add("one") }
      await #expect(throws: RegistryError.deviceNameTaken) {
        try await store.checkRegistration(of: DeviceName("one"), for: alice, maxDevices: 10)
      }
      try await store.add("One")
      try await store.add("one", of: "bob")
      _ = try await store.revokeDevice(first.id, of: alice, at: noon)
      try await store.checkRegistration(of: DeviceName("one"), for: alice, maxDevices: 10)
      try await store.add("one")
      await #expect(throws: RegistryError.deviceNameTaken) { try await store.add("one") }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of concurrent revocations one succeeds, and only the owner's`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(20)
      let revoked = try await withThrowingTaskGroup(of: Device?.self) { group in
        for id in ids {
          for owner in [ClientID("bob")!, alice, alice] {
            group.addTask { try await store.revokeDevice(id, of: owner, at: noon) }
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }.compactMap(\.self)
      }
      #expect(revoked.count == ids.count && Set(revoked.map(\.id)) == Set(ids))
      #expect(revoked.allSatisfy { $0.isRevoked && $0.clientID == alice && $0.updatedAt == noon })
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A secret's hash and an id are unique`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let secret = verifier()
      let first = try newDevice("one")
      try await store.insertDevice(first, verifier: secret, maxDevices: 10)
      for (name, id, verifier) in [("two", newID(), secret), ("three", first.id, verifier())] {
        let error = await #expect(throws: RegistryError.self) {
          try await store.insertDevice(newDevice(name, id: id), verifier: verifier, maxDevices: 10)
        }
        guard case .fault(let cause)? = error else {
          Issue.record("\(String(describing: error))")
          return
        }
        #expect(!cause.contains(secret.hmacKeyHash) && !cause.contains(first.id.description))
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of twelve concurrent registrations of one name one succeeds`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let outcomes = await store.outcomes(12) { _ in try await store.add("same") }
      #expect(outcomes == [nil: 1, .deviceNameTaken: 11])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of twelve concurrent registrations five succeed where the limit is five`(_ kind: StoreKind) async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      let outcomes = await store.outcomes(12) { try await store.add("device \($0)", maxDevices: 5) }
      #expect(outcomes == [nil: 5, .tooManyDevices(limit: 5): 7])
      #expect(try await store.devices(of: alice, after: nil, limit: 100).count == 5)
    }
    #expect(try await database.sql("SELECT device_count FROM clients") == "5")
  }

  @Test(arguments: StoreKind.allCases)
  func `Revoked devices count; the device limit is checked before the name`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let first = try await store.add("one")
      _ = try await store.revokeDevice(first.id, of: alice, at: noon)
      try await store.add("two", maxDevices: 2)
      let tooMany = RegistryError.tooManyDevices(limit: 2)
      await #expect(throws: tooMany) { try await store.add("two", maxDevices: 2) }
      await #expect(throws: tooMany) {
        try await store.checkRegistration(of: DeviceName("two"), for: alice, maxDevices: 2)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A list is ordered by age, then id, and its pages neither skip nor repeat`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      try await store.add("not mine", of: "bob")
      var expected: [Device] = []
      for index in 0..<20 {
        // Four creation times, with five devices each.
        let time = Timestamp(millisecondsSince1970: noon.millisecondsSince1970 - Int64(index % 4))
        expected.append(try await store.add("device \(index)", at: time))
      }
      expected.sort { ($0.createdAt, $0.id.low) < ($1.createdAt, $1.id.low) }
      #expect(try await store.devices(of: alice, after: nil, limit: 100) == expected)
      var pages: [Device] = []
      var cursor: DeviceCursor?
      repeat {
        let page = try await store.devices(of: alice, after: cursor, limit: 3)
        pages += page
        cursor = page.last.map { DeviceCursor(createdAt: $0.createdAt, id: $0.id) }
      } while cursor != nil && pages.count <= 20
      #expect(pages == expected)
      for (time, count) in [(Int64.min, 20), (Int64.max, 0)] {
        let cursor = DeviceCursor(createdAt: Timestamp(millisecondsSince1970: time), id: newID())
        #expect(try await store.devices(of: alice, after: cursor, limit: 100).count == count)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Renaming returns the renamed device`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let one = try await store.add("one")
      try await store.add("two")
      let later = Timestamp(millisecondsSince1970: noon.millisecondsSince1970 + 5)
      let renamed = try await store.renameDevice(one.id, of: alice, to: DeviceName("uno"), at: later)
      #expect(renamed?.deviceName.text == "uno" && renamed?.updatedAt == later && renamed?.createdAt == noon)
      #expect(try await store.device(one.id) == renamed)
      await #expect(throws: RegistryError.deviceNameTaken) {
        try await store.renameDevice(one.id, of: alice, to: DeviceName("two"), at: later)
      }
      #expect(try await store.renameDevice(one.id, of: bob, to: DeviceName("mine"), at: later) == nil)
      #expect(try await store.renameDevice(newID(), of: alice, to: DeviceName("x"), at: later) == nil)
      _ = try await store.revokeDevice(one.id, of: alice, at: later)
      #expect(try await store.renameDevice(one.id, of: alice, to: DeviceName("x"), at: later) == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Concurrent renames have the same results as separate ones`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(20)
      try await store.add("taken")
      let renamed = try await withThrowingTaskGroup(of: DeviceID?.self) { group in
        for (number, id) in ids.dropFirst().enumerated() {
          group.addTask {
            try await store.renameDevice(id, of: alice, to: DeviceName("new \(number)"), at: noon)?.id
          }
        }
        group.addTask {
          await #expect(throws: RegistryError.deviceNameTaken) {
            try await store.renameDevice(ids[0], of: alice, to: DeviceName("taken"), at: noon)
          }
          return nil
        }
        for (id, owner) in [(ids[19], bob), (newID(), alice)] {
          group.addTask { try await store.renameDevice(id, of: owner, to: DeviceName("mine"), at: noon)?.id }
        }
        return try await group.reduce(into: []) { $0.append($1) }.compactMap(\.self)
      }
      #expect(renamed.count == 19 && Set(renamed) == Set(ids.dropFirst()))
      let names = try await store.devices(of: alice, after: nil, limit: 100).map(\.deviceName.text)
      #expect(Set(names) == Set((0..<19).map { "new \($0)" } + ["device 0", "taken"]))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of twelve concurrent renames to one name one succeeds`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(12)
      let outcomes = await store.outcomes(12) {
        _ = try await store.renameDevice(ids[$0], of: alice, to: DeviceName("same"), at: noon)
      }
      #expect(outcomes == [nil: 1, .deviceNameTaken: 11])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Twelve concurrent renames of one device all succeed`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let id = try await store.add("one").id
      let outcomes = await store.outcomes(12) { number in
        let renamed = try await store.renameDevice(id, of: alice, to: DeviceName("name \(number)"), at: noon)
        #expect(renamed?.deviceName.text == "name \(number)")
      }
      #expect(outcomes == [nil: 12])
      #expect(try await store.device(id)?.deviceName.text.hasPrefix("name ") == true)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Revoking happens once, and only for the owner`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let one = try await store.add("one")
      let later = Timestamp(millisecondsSince1970: noon.millisecondsSince1970 + 5)
      #expect(try await store.revokeDevice(one.id, of: bob, at: later) == nil)
      let revoked = try await store.revokeDevice(one.id, of: alice, at: later)
      #expect(revoked?.isRevoked == true && revoked?.updatedAt == later)
      #expect(try await store.device(one.id) == revoked)
      #expect(try await store.revokeDevice(one.id, of: alice, at: noon) == nil)
    }
  }
}
