import Registry
import Testing

@Suite("Every store: groups, and what an owner changes of devices") struct GroupContractTests {
  private let desk = GroupName("desk")!
  private let night = GroupName("night")!

  private func told(_ store: any RegistryStore, after count: Int = 0) async throws -> [String] {
    try await store.seenEvents(of: alice).events.dropFirst(count).map { event in
      let changes = event.changes.map { String(decoding: $0.filter { $0 != UInt8(ascii: " ") }, as: UTF8.self) }
      return "\(event.type) \(changes ?? "")"
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A group is created, described, listed with its devices, and deleted`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { [desk, night] store in
      let ids = try await store.addDevices(3)
      let before = try await store.seenEvents(of: alice).events.count
      let created = Group(
        clientID: alice, name: desk, description: nil, createdAt: noon, updatedAt: noon, devices: 0)
      #expect(try await store.putGroup(desk) == .created(created))
      #expect(try await store.putGroup(desk) == .unchanged(created))
      let later = noon.plus(seconds: 1)
      guard case .changed(let changed) = try await store.putGroup(desk, description: "day", at: later) else {
        Issue.record("not changed")
        return
      }
      #expect(changed.description == "day" && changed.updatedAt == later && changed.createdAt == noon)
      _ = try await store.putGroup(night, description: "dark")
      for id in ids.prefix(2) { #expect(try await store.join(id, desk) == .changed) }
      #expect(try await store.join(ids[0], desk) == .unchanged)
      #expect(try await store.join(ids[0], night) == .changed)
      #expect(try await store.device(ids[0])?.groups == [desk, night])
      let groups = try await store.groups(of: alice, after: nil, limit: 10, maximumDevices: 100)
      #expect(groups.map(\.name) == [desk, night] && groups.map(\.devices) == [2, 1])
      #expect(try await store.group(desk, of: alice)?.devices == 2)
      #expect(try await store.group(desk, of: bob) == nil)
      #expect(try await store.leave(ids[0], night, at: later) == .changed)
      #expect(try await store.leave(ids[0], night, at: later) == .unchanged)
      #expect(try await store.device(ids[0])?.updatedAt == later)
      #expect(try await store.deleteGroup(desk, of: bob, change: .at(noon)) == false)
      #expect(try await store.deleteGroup(desk, of: alice, change: .at(noon)))
      #expect(try await store.deleteGroup(desk, of: alice, change: .at(noon)) == false)
      #expect(
        try await told(store, after: before) == [
          #"group.created {"name":[null,"desk"]}"#,
          #"group.updated {"name":["desk","desk"],"description":[null,"day"]}"#,
          #"group.created {"name":[null,"night"],"description":[null,"dark"]}"#,
          #"device.updated {"groups":[[],["desk"]]}"#,
          #"device.updated {"groups":[[],["desk"]]}"#,
          #"device.updated {"groups":[["desk"],["desk","night"]]}"#,
          #"device.updated {"groups":[["desk","night"],["desk"]]}"#,
          #"group.deleted {"name":["desk",null]}"#,
        ])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A deleted group is gone for readers at once, and its devices leave it in steps`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { [desk, night] store in
      let ids = try await store.addDevices(5)
      for name in [desk, night] { _ = try await store.putGroup(name) }
      for id in ids {
        _ = try await store.join(id, desk)
        _ = try await store.join(id, night)
      }
      #expect(try await store.deleteGroup(desk, of: alice, change: .at(noon)))
      func isHidden() async throws -> Bool {
        let devices = try await store.devices(of: alice, after: nil, limit: 10)
        let isShown = try await store.group(desk, of: alice) != nil
        return devices.allSatisfy { $0.groups == [night] } && !isShown
      }
      #expect(try await isHidden())
      #expect(try await store.device(ids[0])?.groups == [night])
      await #expect(throws: RegistryError.groupNotFound) { try await store.join(ids[0], desk) }
      await #expect(throws: RegistryError.groupNotFound) { try await store.leave(ids[0], desk) }
      let late = Device(
        registered: newID(), clientID: alice, deviceName: try DeviceName("late"), groups: [desk], at: noon)
      await #expect(throws: RegistryError.groupNotFound) {
        try await store.insertDevice(late, verifier: verifier(), maxDevices: 10)
      }
      #expect(try await store.putGroup(desk) == .isBusy)
      let first = try await store.clearDeletedGroups(of: alice, maximumRows: 3)
      #expect(first.rows == 3 && first.isFound)
      #expect(try await isHidden())
      let second = try await store.clearDeletedGroups(of: nil, maximumRows: 3)
      #expect(second.rows == 2 && second.isFound)
      let last = try await store.clearDeletedGroups(of: alice, maximumRows: 3)
      #expect(last.rows == 0 && last.isFound)
      let none = try await store.clearDeletedGroups(of: alice, maximumRows: 3)
      #expect(none.rows == 0 && !none.isFound)
      guard case .created(let again) = try await store.putGroup(desk) else {
        Issue.record("not created")
        return
      }
      #expect(again.devices == 0)
    }
    #expect(try await database.sql("SELECT count(*) FROM devices WHERE groups = 'night'") == "5")
  }

  @Test(arguments: StoreKind.allCases)
  func `Only the owner's devices that are not revoked join a group`(_ kind: StoreKind) async throws {
    try await withStore(kind) { [desk] store in
      let ids = try await store.addDevices(2)
      try await store.insertClient(client("bob"))
      let foreign = try await store.add("foreign", of: "bob").id
      await #expect(throws: RegistryError.groupNotFound) { try await store.join(ids[0], desk) }
      _ = try await store.putGroup(desk)
      await #expect(throws: RegistryError.notOwner) { try await store.join(foreign, desk) }
      await #expect(throws: RegistryError.deviceNotFound) { try await store.join(newID(), desk) }
      _ = try await store.join(ids[0], desk)
      for id in ids { _ = try await store.revokeDevice(id, of: alice, at: noon) }
      await #expect(throws: RegistryError.deviceRevoked) { try await store.join(ids[1], desk) }
      #expect(try await store.join(ids[0], desk) == .unchanged)
      #expect(try await store.leave(ids[0], desk) == .changed)
      await #expect(throws: RegistryError.clientNotFound) {
        try await store.putGroup(desk, of: ClientID("nobody")!, description: nil, change: .at(noon))
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A client has 1,000 groups at most, also of concurrent requests, and a device is in 100`(
    _ kind: StoreKind
  )
    async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let id = try await store.addDevices(1)[0]
      for index in 0..<995 { _ = try await store.putGroup(GroupName("g\(index)")!) }
      let outcomes = await store.outcomes(12) { _ = try await store.putGroup(GroupName("new\($0)")!) }
      #expect(outcomes == [nil: 5, .tooManyGroups(limit: 1000): 7])
      // One that is there can be changed.
      _ = try await store.putGroup(GroupName("g0")!, description: "full")
      for index in 0..<100 { _ = try await store.join(id, GroupName("g\(index)")!) }
      await #expect(throws: RegistryError.tooManyGroupsOfDevice(limit: 100)) {
        try await store.join(id, GroupName("g100")!)
      }
      var names: [String] = []
      var cursor: GroupName?
      repeat {
        let page = try await store.groups(of: alice, after: cursor, limit: 300, maximumDevices: 1000)
        names += page.map(\.name.text)
        cursor = page.last?.name
      } while cursor != nil && names.count <= 1000
      #expect(names.count == 1000 && names == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
      // The page ends with the group at which 7 devices are counted.
      let counted = try await store.groups(of: alice, after: nil, limit: 300, maximumDevices: 7)
      #expect(counted.count < 300 && counted.reduce(0) { $0 + $1.devices } == 7)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Twelve requests that put devices into groups, and one that deletes a group, leave no trace of it`(
    _ kind: StoreKind
  ) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { [desk, night] store in
      let ids = try await store.addDevices(12)
      for name in [desk, night] { _ = try await store.putGroup(name) }
      let outcomes = await store.outcomes(25) { index in
        switch index {
        case 6: _ = try await store.deleteGroup(desk, of: alice, change: .at(noon))
        case ..<12: _ = try await store.join(ids[index], desk)
        case 12: _ = try await store.join(ids[6], desk)
        default: _ = try await store.join(ids[index - 13], night)
        }
      }
      #expect(Set(outcomes.keys).isSubset(of: [nil, .groupNotFound]))
      while try await store.clearDeletedGroups(of: alice, maximumRows: 5).isFound {}
      let devices = try await store.devices(of: alice, after: nil, limit: 100)
      #expect(devices.allSatisfy { $0.groups == [night] })
    }
    #expect(try await database.sql("SELECT count(*) FROM device_groups WHERE group_name = 'desk'") == "0")
  }

  @Test(arguments: StoreKind.allCases)
  func `A device is registered with labels, groups and its end, and changed by a merge patch`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { [desk, night] store in
      try await store.insertClient(client("alice"))
      for name in [desk, night] { _ = try await store.putGroup(name) }
      let device = Device(
        registered: newID(), clientID: alice, deviceName: try DeviceName("one"),
        labels: ["role": "primary", "vps": ""], groups: [night, desk], expiresAt: noon.plus(seconds: 60),
        at: noon)
      let before = try await store.seenEvents(of: alice).events.count
      try await store.insertDevice(device, verifier: verifier(), maxDevices: 10)
      #expect(try await store.device(device.id) == device)
      let later = noon.plus(seconds: 1)
      let changed = try await store.update(
        device.id, DeviceUpdate(labels: LabelPatch(["role": nil, "vps": "", "desk/a": "x"])), at: later)
      #expect(changed?.labels == ["vps": "", "desk/a": "x"] && changed?.updatedAt == later)
      #expect(try await store.device(device.id) == changed)
      let same = try await store.update(
        device.id, DeviceUpdate(deviceName: DeviceName("one"), labels: LabelPatch(["role": nil])),
        at: noon.plus(seconds: 2))
      #expect(same == changed)
      #expect(
        try await store.renameDevice(device.id, of: alice, to: DeviceName("one"), at: noon.plus(seconds: 2))
          == changed)
      let renamed = try await store.update(
        device.id,
        DeviceUpdate(deviceName: DeviceName("two"), labels: .removeAll, expiresAt: .some(nil)), at: later)
      #expect(renamed?.labels == [:] && renamed?.state.expiresAt == nil && renamed?.deviceName.text == "two")
      #expect(try await store.update(device.id, of: bob, DeviceUpdate(labels: .removeAll), at: later) == nil)
      try await store.add("taken")
      await #expect(throws: RegistryError.deviceNameTaken) {
        try await store.update(
          device.id, DeviceUpdate(deviceName: DeviceName("taken"), labels: LabelPatch(["a": "1"])), at: later)
      }
      let many = Dictionary(uniqueKeysWithValues: (0..<17).map { ("k\($0)", Optional("v")) })
      await #expect(throws: Labels.tooMany) {
        try await store.update(device.id, DeviceUpdate(labels: LabelPatch(many)), at: later)
      }
      _ = try await store.revokeDevice(device.id, of: alice, at: later)
      #expect(try await store.update(device.id, DeviceUpdate(labels: .removeAll), at: later) == nil)
      let end = noon.plus(seconds: 60)
      let events = try await told(store, after: before)
      #expect(
        events[1] == #"device.updated {"labels":[{"role":"primary","vps":""},{"desk/a":"x","vps":""}]}"#
          || events[1] == #"device.updated {"labels":[{"vps":"","role":"primary"},{"vps":"","desk/a":"x"}]}"#)
      #expect(
        events[0].contains(#""groups":[[],["desk","night"]]"#)
          && events[0].contains(#""expires_at":[null,"\#(end)"]"#))
      #expect(
        events[2].contains(#""device_name":["one","two"]"#)
          && events[2].contains(#""expires_at":["\#(end)",null]"#))
      #expect(
        events.map { $0.prefix { $0 != " " } } == [
          "device.registered", "device.updated", "device.updated", "device.registered", "device.revoked",
        ])
    }
  }
}

extension RegistryStore {
  func putGroup(
    _ name: GroupName, description: String? = nil, at time: Timestamp = noon
  ) async throws(RegistryError) -> PutGroup {
    try await putGroup(name, of: alice, description: description, change: .at(time))
  }

  @discardableResult
  func join(_ id: DeviceID, _ group: GroupName) async throws(RegistryError) -> MembershipOutcome {
    try await setMembership(of: id, owner: alice, in: group, isMember: true, change: .at(noon))
  }

  @discardableResult
  func leave(
    _ id: DeviceID, _ group: GroupName, at time: Timestamp = noon
  ) async throws(RegistryError) -> MembershipOutcome {
    try await setMembership(of: id, owner: alice, in: group, isMember: false, change: .at(time))
  }

  func update(
    _ id: DeviceID, of owner: ClientID = alice, _ update: DeviceUpdate, at time: Timestamp
  ) async throws(RegistryError) -> Device? {
    try await updateDevice(id, of: owner, update, change: .at(time))
  }
}
