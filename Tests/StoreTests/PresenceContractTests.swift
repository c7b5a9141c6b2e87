import Registry
import Testing

@Suite("Every store: presence") struct PresenceContractTests {
  @Test(arguments: StoreKind.allCases)
  func `Presence is stored, and unknown times do not change`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let times = (1...4).map { noon.plus(seconds: $0) }
      let untouched = try await store.add("two")
      try await store.recordPresence([id: Presence(lastSeen: times[0])])
      #expect(try await store.presence(of: id) == [times[0], nil, nil])
      try await store.recordPresence([id: Presence(lastSeen: times[1], lastPoll: times[1])])
      #expect(try await store.presence(of: id) == [times[1], times[1], nil])
      try await store.recordPresence([id: Presence(lastSeen: times[3], lastAck: times[2])])
      #expect(try await store.presence(of: id) == [times[3], times[1], times[2]])
      #expect(try await store.device(id)?.updatedAt == noon)
      #expect(try await store.device(untouched.id) == untouched)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `No time of presence moves backward`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let (early, middle, late) = (noon, noon.plus(milliseconds: 1), noon.plus(milliseconds: 2))
      try await store.recordPresence([id: Presence(lastSeen: middle, lastPoll: middle, lastAck: middle)])
      try await store.recordPresence([id: Presence(lastSeen: early, lastPoll: late, lastAck: early)])
      #expect(try await store.presence(of: id) == [middle, late, middle])
      try await store.recordPresence([id: Presence(lastSeen: late, lastPoll: early, lastAck: late)])
      #expect(try await store.presence(of: id) == [late, late, late])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Presence of many devices is stored; deleted ones are ignored`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      var presence = [newID(): Presence(lastSeen: noon), newID(): Presence(lastSeen: noon)]
      var expected: [DeviceID: [Timestamp?]] = [:]
      for index in 0..<20 {
        let id = try await store.add("device \(index)").id
        let time = noon.plus(seconds: Int64(index))
        presence[id] = Presence(
          lastSeen: time, lastPoll: index % 2 == 0 ? time : nil, lastAck: index % 3 == 0 ? time : nil)
        expected[id] = [time, index % 2 == 0 ? time : nil, index % 3 == 0 ? time : nil]
      }
      try await store.recordPresence([:])
      try await store.recordPresence(presence)
      for (id, times) in expected { #expect(try await store.presence(of: id) == times) }
      for id in presence.keys where expected[id] == nil { #expect(try await store.device(id) == nil) }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of sixteen concurrent updates the latest presence remains`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(20)
      // Each update has the devices in a different order, as dictionaries do.
      let outcomes = await store.outcomes(16) { index in
        let time = noon.plus(seconds: Int64(index))
        try await store.recordPresence(
          Dictionary(uniqueKeysWithValues: ids.map { ($0, Presence(lastSeen: time, lastPoll: time)) }))
      }
      #expect(outcomes == [nil: 16])
      let latest = noon.plus(seconds: 15)
      for id in ids { #expect(try await store.presence(of: id) == [latest, latest, nil]) }
    }
  }
}

extension RegistryStore {
  /// When the device was last seen, polled and acknowledged.
  fileprivate func presence(of id: DeviceID) async throws -> [Timestamp?] {
    guard let device = try await device(id) else { return [] }
    return [device.lastSeen, device.lastPoll, device.lastAck]
  }
}
