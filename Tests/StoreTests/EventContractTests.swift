import Registry
import TestSupport
import Testing

@Suite("Every store: events") struct EventContractTests {
  /// What a test expects of an event.
  struct Told: Hashable {
    let type: String
    var device: DeviceID?
    var signal: SignalID?
    var changes: String?
  }

  private static let everyone: [(actor: Change.Actor, kind: String, id: String?)] = [
    (.owner("alice"), "owner", "alice"), (.administrator("root"), "admin", "root"),
    (.device(DeviceID(high: 1, low: 2)), "device", "00000000-0000-0001-0000-000000000002"),
    (.operator, "operator", nil), (.system, "system", nil),
  ]

  private func told(_ store: any RegistryStore, of client: ClientID = alice) async throws -> [Told] {
    try await store.seenEvents(of: client, .all, limit: 1000, scan: 1000).events.map { event in
      Told(
        type: event.type, device: event.deviceID, signal: event.signalID,
        changes: event.changes.map { String(decoding: $0.filter { $0 != UInt8(ascii: " ") }, as: UTF8.self) })
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Every change records one event, with old and new values`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let id = try await store.add("one").id
      _ = try await store.renameDevice(id, of: alice, to: DeviceName("\"two\" \\ 🚀"), at: noon)
      let next = verifier()
      _ = try await store.rotateSecret(
        of: id, of: alice, to: next, graceExpiresAt: noon.plus(seconds: 60), at: noon)
      _ = try await store.promoteNextSecret(of: id, hmacKeyHash: next.hmacKeyHash)
      let signal = testSignal(at: noon)
      _ = try await store.insertSignal(signal, to: .all, maxLive: 10)
      let ack = Acknowledgement(signalID: signal.id, status: .placed, brokerTicket: "secret ticket", error: nil)
      _ = try await store.acknowledge([ack], by: id, at: noon)
      _ = try await store.revokeDevice(id, of: alice, at: noon)
      _ = try await store.deleteClient(alice)
      try await store.clearDeletedClients()
      #expect(
        try await told(store)
          == [
            Told(type: "client.created"),
            Told(type: "device.registered", device: id, changes: #"{"device_name":[null,"one"]}"#),
            Told(type: "device.updated", device: id, changes: #"{"device_name":["one","\"two\"\\🚀"]}"#),
            Told(
              type: "device.secret_rotated", device: id,
              changes: #"{"grace_expires_at":[null,"\#(noon.plus(seconds: 60))"]}"#),
            Told(type: "device.secret_promoted", device: id),
            Told(type: "signal.created", signal: signal.id, changes: #"{"devices":[null,1]}"#),
            Told(
              type: "signal.acknowledged", device: id, signal: signal.id,
              changes: #"{"state":["pending","acked"],"status":[null,"placed"]}"#),
            Told(type: "device.revoked", device: id, changes: #"{"status":["active","revoked"]}"#),
            Told(type: "client.deleted"),
            Told(type: "device.deleted", device: id, changes: #"{"device_name":["\"two\"\\🚀",null]}"#),
          ].map { expected in
            var expected = expected
            expected.changes = expected.changes?.filter { $0 != " " }
            return expected
          })
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `An event says who made the change, when, in which request and why`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      for (index, (actor, _, _)) in Self.everyone.enumerated() {
        try await store.insertClient(
          client("c\(index)"),
          change: Change(by: actor, at: noon, requestID: "r\(index)", reason: "because \(index)"))
      }
      for (index, (_, kind, id)) in Self.everyone.enumerated() {
        let page = try await store.seenEvents(of: ClientID("c\(index)")!, .all, limit: 10, scan: 10)
        let event = try #require(page.events.first)
        #expect(page.events.count == 1)
        #expect((event.actorKind, event.actorID) == (kind, id))
        #expect((event.requestID, event.reason, event.at) == ("r\(index)", "because \(index)", noon))
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `What changes nothing records nothing`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let id = try await store.add("one").id
      let before = try await told(store)
      await #expect(throws: RegistryError.deviceNameTaken) { try await store.add("one") }
      await #expect(throws: RegistryError.clientIDTaken) { try await store.insertClient(client("alice")) }
      #expect(try await store.renameDevice(id, of: bob, to: DeviceName("two"), at: noon) == nil)
      #expect(try await store.revokeDevice(id, of: bob, at: noon) == nil)
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: verifier().hmacKeyHash) == false)
      let signal = testSignal(at: noon)
      await #expect(throws: RegistryError.tooManySignals(limit: 0)) {
        try await store.insertSignal(signal, to: .all, maxLive: 0)
      }
      _ = try await store.insertSignal(signal, to: .all, maxLive: 10)
      let ack = Acknowledgement(signalID: signal.id, status: .failed, brokerTicket: nil, error: nil)
      _ = try await store.acknowledge([ack], by: id, at: noon)
      _ = try await store.acknowledge([ack], by: id, at: noon)
      _ = try await store.revokeDevice(id, of: alice, at: noon)
      #expect(try await store.revokeDevice(id, of: alice, at: noon) == nil)
      #expect(
        try await told(store).dropFirst(before.count).map(\.type)
          == ["signal.created", "signal.acknowledged", "device.revoked"])
      #expect(try await told(store, of: bob).map(\.type) == ["client.created"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal that is stored in steps is recorded once, when it becomes visible`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      for number in 0..<5 { try await store.add("\(number)") }
      let signal = testSignal(at: noon)
      let bounds = SignalBounds(live: 10, kept: 10, deliveries: 100)
      var progress = try await store.insertSignal(
        signal, to: .all, bounds: bounds, step: 2, change: .at(noon))
      #expect(try await told(store).last?.type == "device.registered")
      while progress.last != nil {
        progress = try await store.continueSignal(signal, to: .all, after: progress, step: 2, change: .at(noon))
      }
      let last = try await told(store).suffix(2)
      #expect(last.map(\.type) == ["device.registered", "signal.created"])
      #expect(last.last?.changes == #"{"devices":[null,5]}"#)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A reader who continues at next reads each event once, in pages of any size`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      for number in 0..<9 {
        try await store.add("\(number)")
        try await store.add("\(number)", of: "bob")
      }
      let all = try await store.seenEvents(limit: 1000)
      #expect(all.events.count == 10 && all.isLast)
      for limit in [1, 3, 10] {
        var (read, next): ([RecordedEvent], EventPosition?) = ([], nil)
        while true {
          let page = try await store.seenEvents(after: next, limit: limit)
          read += page.events
          next = page.next
          guard !page.isLast else { break }
        }
        #expect(read == all.events)
        // Up to date.
        let page = try await store.seenEvents(after: next, limit: limit)
        #expect(page.events.isEmpty && page.isLast && page.next >= next!)
      }
      #expect(Set(all.events.map(\.id)).count == 10)
      #expect(all.events.map(\.position) == all.events.map(\.position).sorted())
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A filter leaves out other types and devices, and a page reads a bounded number of events`(
    _ kind: StoreKind
  ) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      var ids: [DeviceID] = []
      for number in 0..<6 { ids.append(try await store.add("\(number)").id) }
      _ = try await store.revokeDevice(ids[4], of: alice, at: noon)
      let revoked = EventFilter(types: ["device.revoked", "client.deleted"], deviceID: nil)
      let page = try await store.seenEvents(revoked, limit: 10, scan: 100)
      #expect(page.events.map(\.deviceID) == [ids[4]])
      #expect(page.isLast)
      // Three events are read at a time, and none of the first six is wanted.
      var (counts, next, isLast): ([Int], EventPosition?, Bool) = ([], nil, false)
      while !isLast {
        let page = try await store.seenEvents(of: alice, after: next, revoked, limit: 10, scan: 3)
        counts.append(page.events.count)
        (next, isLast) = (page.next, page.isLast)
      }
      #expect(counts == [0, 0, 1, 0] || counts == [0, 0, 1])
      let ofOne = try await store.seenEvents(EventFilter(types: nil, deviceID: ids[4]), limit: 10, scan: 100)
      #expect(ofOne.events.map(\.type) == ["device.registered", "device.revoked"])
      let first = try await store.seenEvents(EventFilter(types: nil, deviceID: ids[4]), limit: 1, scan: 100)
      #expect(first.events.map(\.type) == ["device.registered"])
      #expect(!first.isLast)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A cursor of one client reads nothing of another`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let start = try await store.seenEvents(limit: 10).next
      try await store.insertClient(client("bob"))
      try await store.add("one", of: "bob")
      let page = try await store.seenEvents(after: start, limit: 10)
      #expect(page.events.isEmpty)
      let other = try await store.seenEvents(of: bob, after: start, .all, limit: 10, scan: 10)
      #expect(other.events.map(\.type) == ["client.created", "device.registered"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The retention removes old events in steps, and a reader that was not there yet learns of it`(
    _ kind: StoreKind
  ) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      for number in 0..<5 { try await store.add("\(number)", at: noon.plus(seconds: Int64(number))) }
      let early = try await store.seenEvents(limit: 2).next
      let late = try await store.seenEvents(limit: 5).next
      #expect(try await store.removeEvents(before: noon, maximumRows: 10) == 0)
      #expect(try await store.removeEvents(before: noon.plus(seconds: 3), maximumRows: 3) == 3)
      #expect(try await store.removeEvents(before: noon.plus(seconds: 3), maximumRows: 3) == 1)
      #expect(try await store.removeEvents(before: noon.plus(seconds: 3), maximumRows: 3) == 0)
      #expect(try await told(store).count == 2)
      await #expect(throws: RegistryError.eventsExpired) {
        try await store.seenEvents(after: early, limit: 10)
      }
      let rest = try await store.seenEvents(after: late, limit: 10)
      #expect(rest.events.count == 1)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A reader can begin with the last events of a client`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      for number in 0..<5 {
        try await store.add("\(number)")
        try await store.add("\(number)", of: "bob")
      }
      let all = try await store.seenEvents(limit: 10).events
      for count in 1..<6 {
        let start = try #require(try await store.eventPosition(of: alice, beforeLast: count))
        #expect(try await store.seenEvents(after: start, limit: 10).events == all.suffix(count))
      }
      #expect(try await store.eventPosition(of: alice, beforeLast: 6) == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A position beyond the feed is none of this database`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let end = try await store.seenEvents().next
      #expect(try await store.eventsEnd() >= end)
      let beyond = EventPosition(epoch: end.epoch + 1, transaction: end.transaction, sequence: 1)
      await #expect(throws: RegistryError.eventsExpired) {
        try await store.seenEvents(after: beyond, limit: 10)
      }
      #expect(try await store.seenEvents(after: end, limit: 10).events.isEmpty)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Events are append-only, for hand-written SQL too`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind, on: await .quiet)
    try await database.withStore { store in try await store.insertClient(client("alice")) }
    for statement in ["UPDATE events SET reason = 'x'", "DELETE FROM events"] {
      await #expect(throws: SQLRefused.self) { try await database.sql(statement) }
    }
    if kind == .postgres {
      await #expect(throws: SQLRefused.self) { try await database.sql("TRUNCATE events") }
    } else {
      await #expect(throws: SQLRefused.self) {
        try await database.sql("INSERT OR REPLACE INTO events SELECT * FROM events")
      }
    }
    #expect(try await database.sql("SELECT count(*) FROM events") == "1")
  }
}

private func testSignal(at time: Timestamp) -> Signal {
  Signal(
    id: SignalID(high: newID().high, low: newID().low), clientID: alice, payload: Array("{}".utf8),
    createdAt: time,
    expiresAt: time.plus(seconds: 3600))
}
