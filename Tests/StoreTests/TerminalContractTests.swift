import Registry
import TestSupport
import Testing

@Suite("Every store: where a device runs") struct TerminalContractTests {
  private let one = InstanceID("instance-1")!
  private let two = InstanceID("instance-2")!

  private func take(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID = alice, takesOver: Bool = false,
    at seconds: Int64,
    on store: any RegistryStore
  ) async throws -> Bool {
    let now = noon.plus(seconds: seconds)
    return try await store.takeInstance(
      instance, of: id, owner: owner, takesOver: takesOver, silentSince: now.plus(seconds: -60), at: now)
  }

  private func lease(_ id: DeviceID, on store: any RegistryStore) async throws -> InstanceLease? {
    let (shown, cached) = (try await store.device(id)?.terminal, try await store.credentials(of: id)?.terminal)
    #expect(shown == cached)
    return shown?.lease
  }

  private func context(_ login: String, _ more: String = "") -> DeviceContext {
    DeviceContext(
      account: TradingAccount(login: login, server: "Demo"),
      json: #"{"account":{"login":"\#(login)","server":"Demo","mode":"demo"}\#(more)}"#)
  }

  @Test(arguments: StoreKind.allCases)
  func `One instance has the lease, until it is silent for a minute, releases it, or another takes it over`(
    _ kind: StoreKind
  ) async throws {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      #expect(try await lease(id, on: store) == nil)
      #expect(try await !take(one, of: id, owner: bob, at: 0, on: store))
      #expect(try await take(one, of: id, at: 0, on: store))
      #expect(try await !take(two, of: id, at: 59, on: store))
      #expect(try await lease(id, on: store) == InstanceLease(instance: one, since: noon, lastPoll: noon))
      #expect(try await take(one, of: id, at: 59, on: store))
      #expect(try await !take(two, of: id, at: 118, on: store))
      #expect(try await take(two, of: id, at: 119, on: store))
      let then = noon.plus(seconds: 119)
      #expect(try await lease(id, on: store) == InstanceLease(instance: two, since: then, lastPoll: then))
      #expect(try await take(one, of: id, takesOver: true, at: 120, on: store))
      try await store.releaseInstance(two, of: id, owner: alice)
      try await store.releaseInstance(one, of: id, owner: bob)
      #expect(try await lease(id, on: store)?.instance == one)
      try await store.releaseInstance(one, of: id, owner: alice)
      #expect(try await lease(id, on: store) == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of many instances at once, one gets the lease`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let taken = await withTaskGroup(of: Bool.self) { group in
        for number in 0..<16 {
          let instance = InstanceID("instance-\(number)")!
          group.addTask { (try? await take(instance, of: id, at: 0, on: store)) == true }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(taken == 1)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Presence renews the lease of its instance, and of no other`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      #expect(try await take(one, of: id, at: 0, on: store))
      func poll(_ instance: InstanceID?, at seconds: Int64) async throws -> InstanceLease? {
        let time = noon.plus(seconds: seconds)
        try await store.recordPresence([id: Presence(lastSeen: time, lastPoll: time, instance: instance)])
        return try await lease(id, on: store)
      }
      #expect(try await poll(one, at: 30)?.lastPoll == noon.plus(seconds: 30))
      #expect(try await poll(one, at: 20)?.lastPoll == noon.plus(seconds: 30))
      #expect(try await poll(two, at: 40)?.lastPoll == noon.plus(seconds: 30))
      #expect(try await poll(nil, at: 50)?.lastPoll == noon.plus(seconds: 30))
      #expect(try await store.device(id)?.lastPoll == noon.plus(seconds: 50))
      #expect(try await !take(two, of: id, at: 89, on: store))
      #expect(try await take(two, of: id, at: 90, on: store))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Contention is an event, once a minute`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      let (id, _) = try await store.addDevice()
      _ = try await take(one, of: id, at: 0, on: store)
      for (seconds, isRecorded): (Int64, Bool) in [(0, true), (1, false), (59, false), (60, true)] {
        let now = noon.plus(seconds: seconds)
        #expect(
          try await store.recordContention(
            of: id, owner: alice, by: two, recordedBefore: now.plus(seconds: -60), change: .at(now))
            == isRecorded)
      }
      #expect(
        try await !store.recordContention(
          of: id, owner: bob, by: two, recordedBefore: noon.plus(seconds: 900), change: .at(noon)))
      let events = try await store.seenEvents().events.filter { $0.type == "device.contended" }
      #expect(events.count == 2 && events.allSatisfy { $0.deviceID == id })
      let changes = events.map { event in
        String(decoding: (event.changes ?? []).filter { $0 != UInt8(ascii: " ") }, as: UTF8.self)
      }
      #expect(changes.first == #"{"instance":["instance-1","instance-2"]}"#)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A context is stored with an event, and the same again is no change`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let (first, second) = (context("1"), context("2", #","program":{"name":"EA \"x\"","version":"1.0"}"#))
      func set(_ context: DeviceContext, owner: ClientID = alice) async throws -> Bool {
        try await store.setContext(context, of: id, owner: owner, change: .at(noon))
      }
      #expect(try await !set(first, owner: bob))
      #expect(try await set(first))
      #expect(try await !set(first))
      #expect(try await set(second))
      #expect(try await store.device(id)?.terminal.context == second)
      #expect(try await store.credentials(of: id)?.terminal.context == second)
      let events = try await store.seenEvents().events.filter { $0.type == "device.context_changed" }
      let changes = events.map { event in
        String(decoding: (event.changes ?? []), as: UTF8.self).replacing(", ", with: ",").replacing(
          ": ", with: ":"
        )
        .replacing(" :", with: ":")
      }
      #expect(
        changes == [#"{"context":[null,\#(first.json)]}"#, #"{"context":[\#(first.json),\#(second.json)]}"#])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Only its owner binds a device to an account, and not a revoked one`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let account = TradingAccount(login: "7", server: "Broker-\"Live\"")
      let later = noon.plus(seconds: 1)
      func bind(_ account: TradingAccount?, owner: ClientID = alice) async throws -> Device? {
        try await store.updateDevice(
          id, of: owner, DeviceUpdate(boundAccount: .some(account)), change: .at(later))
      }
      #expect(try await bind(account, owner: bob) == nil)
      #expect(try await bind(nil)?.updatedAt == noon)
      let bound = try #require(try await bind(account))
      #expect(bound.terminal.boundAccount == account && !bound.terminal.isOnBoundAccount)
      #expect(bound.updatedAt == later)
      #expect(try await store.device(id) == bound)
      #expect(try await store.credentials(of: id)?.terminal == bound.terminal)
      // The same again, and a change of something else.
      #expect(try await bind(account) == bound)
      let renamed = try await store.updateDevice(
        id, of: alice, DeviceUpdate(deviceName: try DeviceName("other"), labels: LabelPatch(["a": "b"])),
        change: .at(later))
      #expect(renamed?.terminal.boundAccount == account)
      #expect(try await bind(nil)?.terminal.boundAccount == nil)
      _ = try await store.revokeDevice(id, of: alice, at: noon)
      #expect(try await bind(account) == nil)
      let events = try await store.seenEvents().events.filter { $0.type == "device.updated" }
      let changes = events.map { event in
        String(decoding: (event.changes ?? []).filter { $0 != UInt8(ascii: " ") }, as: UTF8.self)
      }
      let shown = #"{"login":"7","server":"Broker-\"Live\""}"#
      #expect(changes.count == 3)
      #expect(changes.first == #"{"bound_account":[null,\#(shown)]}"#)
      #expect(changes.last == #"{"bound_account":[\#(shown),null]}"#)
    }
  }
}
