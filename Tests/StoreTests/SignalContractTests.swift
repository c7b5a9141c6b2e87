import Registry
import Testing

@Suite("Every store: signals") struct SignalContractTests {
  @Test(arguments: StoreKind.allCases)
  func `When a delivery was handed out is stored once, and for the device's own client only`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(3)
      try await store.insertClient(client("bob"))
      let (one, two) = (newSignal(), newSignal())
      for signal in [one, two] { try await store.send(signal, to: ids[0], ids[1]) }
      func notHandedOut() async throws -> [SignalID] {
        let signals = try await store.signals(for: ids[0], of: alice, at: noon, limit: 10)
        #expect(signals.pending.map(\.id) == [one.id, two.id])
        return signals.notHandedOut
      }
      #expect(try await notHandedOut() == [one.id, two.id])
      let first = HandOut(signalID: one.id, deviceID: ids[0], clientID: alice, at: noon.plus(seconds: 1))
      let foreign = HandOut(signalID: two.id, deviceID: ids[0], clientID: bob, at: noon)
      let unsent = HandOut(signalID: two.id, deviceID: ids[2], clientID: alice, at: noon)
      #expect(try await store.recordHandOuts([foreign, first, unsent]) == [first])
      #expect(try await notHandedOut() == [two.id])
      let later = HandOut(signalID: one.id, deviceID: ids[0], clientID: alice, at: noon.plus(seconds: 2))
      #expect(try await store.recordHandOuts([later]) == [])
      #expect(try await store.recordHandOuts([]) == [])
      #expect(try await store.deliveries(of: one.id).map(\.handedOutAt) == [first.at, nil])
      // A device may have acknowledged the signal before that is written.
      _ = try await store.acknowledge([placed(two)], by: ids[1], at: noon)
      let acked = HandOut(signalID: two.id, deviceID: ids[1], clientID: alice, at: noon)
      #expect(try await store.recordHandOuts([acked]) == [acked])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal is read back byte for byte, with a delivery for each device`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(3)
      let text = "{ \"symbol\" : \"EURUSD\",\n\t\"comment\":\"Grüße 🚀 'x' \\u0041\\\\\" }"
      let signal = newSignal(payload: text)
      #expect(try await store.insertSignal(signal, to: .devices([ids[2], ids[0]]), maxLive: 1) == 2)
      #expect(try await store.signal(signal.id)?.signal == signal)
      #expect(try await store.signal(newSignal().id)?.signal == nil)
      let expected = [ids[0], ids[2]].map { Delivery(deviceID: $0, acknowledgement: nil, ackedAt: nil) }
      #expect(try await store.deliveries(of: signal.id) == expected)
      let none = try await store.deliveries(of: newSignal().id)
      #expect(none.isEmpty)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The database stores the largest payload, and refuses one byte more`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(1)
      // Two bytes for each character: the limit is in bytes.
      let largest = "{\"\(String(repeating: "ü", count: 8189))\":1}"
      #expect(largest.utf8.count == Signal.maximumPayloadBytes)
      let signal = newSignal(payload: largest)
      try await store.send(signal, to: ids[0])
      #expect(try await store.signal(signal.id)?.signal == signal)
      let error = await #expect(throws: RegistryError.self) {
        try await store.send(newSignal(payload: largest + " "), to: ids[0])
      }
      guard case .fault(let cause)? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(!cause.contains("ü"))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal to all goes to the client's devices that are not revoked now`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(4)
      try await store.insertClient(client("bob"))
      try await store.add("foreign", of: "bob")
      _ = try await store.revokeDevice(ids[1], of: alice, at: noon)
      try await database.sql(
        "UPDATE devices SET is_active = \(kind == .postgres ? "false" : "0") WHERE id = '\(ids[2])'")
      let signal = newSignal()
      #expect(try await store.insertSignal(signal, to: .all, maxLive: 10) == 3)
      try await store.add("late")
      #expect(try await store.deliveries(of: signal.id).map(\.deviceID) == [ids[0], ids[2], ids[3]])
      #expect(try await store.signals(of: alice, after: nil, limit: 10).map(\.devices) == [3])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal to all is stored for a client without devices`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let signal = newSignal()
      #expect(try await store.insertSignal(signal, to: .all, maxLive: 10) == 0)
      #expect(try await store.signal(signal.id)?.signal == signal)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal can name 1,000 devices`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (number, _) = (DeviceSelector.maximumListed, try await store.insertClient(client("alice")))
      try await database.insertDevices(number)
      let ids = try await store.devices(of: alice, after: nil, limit: number).map(\.id)
      let signal = newSignal()
      #expect(try await store.insertSignal(signal, to: .devices(ids), maxLive: 1) == number)
      #expect(try await store.deliveries(of: signal.id).map(\.deviceID) == ids)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Errors of addressees have a fixed order, and nothing is stored`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(3)
      try await store.insertClient(client("bob"))
      let foreign = try await store.add("foreign", of: "bob").id
      _ = try await store.revokeDevice(ids[1], of: alice, at: noon)
      try await database.sql(
        "UPDATE devices SET is_active = \(kind == .postgres ? "false" : "0") WHERE id = '\(ids[2])'")
      for (addressees, expected): ([DeviceID], RegistryError) in [
        ([ids[0], ids[1], foreign, newID()], .deviceNotFound),
        ([ids[0], ids[1], foreign], .notOwner),
        ([foreign, ids[0]], .notOwner),
        ([ids[0], ids[1]], .deviceRevoked),
        ([ids[2], ids[0]], .tooManySignals(limit: 0)),
        ([ids[0]], .tooManySignals(limit: 0)),
      ] {
        await #expect(throws: expected) {
          try await store.insertSignal(newSignal(), to: .devices(addressees), maxLive: 0)
        }
        await #expect(throws: RegistryError.clientNotFound) {
          try await store.insertSignal(newSignal(of: "carol"), to: .devices(addressees), maxLive: 0)
        }
      }
      await #expect(throws: RegistryError.tooManySignals(limit: 0)) {
        try await store.insertSignal(newSignal(), to: .all, maxLive: 0)
      }
      await #expect(throws: RegistryError.clientNotFound) {
        try await store.insertSignal(newSignal(of: "carol"), to: .all, maxLive: 10)
      }
    }
    #expect(try await database.sql("SELECT count(*) FROM signals") == "0")
    #expect(try await database.sql("SELECT count(*) FROM deliveries") == "0")
  }

  @Test(arguments: StoreKind.allCases)
  func `The number of live signals of a client is limited; expired ones do not count`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(1)
      try await store.insertClient(client("bob"))
      let end = noon.plus(seconds: 60)
      for time in [noon, noon] {
        _ = try await store.insertSignal(newSignal(at: time), to: .devices(ids), maxLive: 2)
      }
      await #expect(throws: RegistryError.tooManySignals(limit: 2)) {
        try await store.insertSignal(newSignal(at: end.plus(milliseconds: -1)), to: .devices(ids), maxLive: 2)
      }
      #expect(try await store.insertSignal(newSignal(of: "bob"), to: .all, maxLive: 2) == 0)
      #expect(try await store.insertSignal(newSignal(at: end), to: .devices(ids), maxLive: 2) == 1)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of sixteen concurrent signals five are stored where the limit is five`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(2)
      let outcomes = await store.outcomes(16) { _ in
        _ = try await store.insertSignal(newSignal(), to: .devices(ids), maxLive: 5)
      }
      #expect(outcomes == [nil: 5, .tooManySignals(limit: 5): 11])
    }
    #expect(try await database.sql("SELECT count(*) FROM signals") == "5")
    #expect(try await database.sql("SELECT count(*) FROM deliveries") == "10")
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal and a concurrent revocation are serialised`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(8)
      let outcomes = await store.outcomes(16) { index in
        if index % 2 == 0 {
          _ = try await store.revokeDevice(ids[index / 2], of: alice, at: noon)
        } else {
          _ = try await store.insertSignal(newSignal(), to: .devices(ids), maxLive: 100)
        }
      }
      #expect(
        outcomes[nil, default: 0] >= 8 && outcomes[nil, default: 0] + outcomes[.deviceRevoked, default: 0] == 16
      )
      await #expect(throws: RegistryError.deviceRevoked) { try await store.send(to: ids[0]) }
      let sent = try await store.signals(of: alice, after: nil, limit: 100)
      for signal in sent { #expect(try await store.deliveries(of: signal.id).count == 8) }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A client's signals are listed newest first, and pages neither skip nor repeat`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(2)
      try await store.insertClient(client("bob"))
      _ = try await store.insertSignal(newSignal(of: "bob"), to: .all, maxLive: 10)
      var expected: [SignalSummary] = []
      for index in 0..<10 {
        let signal = newSignal(at: noon, expiresAt: noon.plus(milliseconds: Int64(index) + 1))
        let number = try await store.insertSignal(
          signal, to: .devices(Array(ids.prefix(1 + index % 2))), maxLive: 10)
        expected.insert(
          SignalSummary(id: signal.id, createdAt: noon, expiresAt: signal.expiresAt, devices: number), at: 0)
      }
      #expect(try await store.signals(of: alice, after: nil, limit: 100) == expected)
      var pages: [SignalSummary] = []
      var cursor: SignalCursor?
      repeat {
        let page = try await store.signals(of: alice, after: cursor, limit: 3)
        pages += page
        cursor = page.last.map { SignalCursor(id: $0.id) }
      } while cursor != nil && pages.count <= 10
      #expect(pages == expected)
      let none = try await store.signals(of: ClientID("carol")!, after: nil, limit: 10)
      #expect(none.isEmpty)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A device's pending signals are returned oldest first until acknowledged or expired`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(2)
      let end = noon.plus(seconds: 10)
      let first = try await store.send(newSignal(payload: "{\"n\":1}"), to: ids[0], ids[1])
      let second = try await store.send(newSignal(payload: "{\"n\":2}", expiresAt: end), to: ids[0])
      let third = try await store.send(newSignal(payload: "{\"n\":3}"), to: ids[0])
      try await store.send(to: ids[1])
      #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 10) == [first, second, third])
      #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 2) == [first, second])
      #expect(
        try await store.pendingSignals(of: ids[0], at: end.plus(milliseconds: -1), limit: 10).contains(second))
      #expect(try await store.pendingSignals(of: ids[0], at: end, limit: 10) == [first, third])
      #expect(try await store.acknowledge([placed(first)], by: ids[0], at: noon) == [first.id])
      #expect(try await store.pendingSignals(of: ids[0], at: end, limit: 10) == [third])
      #expect(try await store.pendingSignals(of: ids[1], at: noon, limit: 1) == [first])
      let none = try await store.pendingSignals(of: newID(), at: noon, limit: 10)
      #expect(none.isEmpty)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The first acknowledgement of a signal is stored, and a later one is a repetition`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(2)
      let signals = [
        try await store.send(to: ids[0]), try await store.send(to: ids[0], ids[1]),
        try await store.send(to: ids[1]),
      ]
      let unknown = newSignal()
      let full = Acknowledgement(
        signalID: signals[0].id, status: .failed, brokerTicket: String(repeating: "ü", count: 64),
        error: String(repeating: "🚀", count: 500))
      let later = noon.plus(seconds: 1)
      let acked = try await store.acknowledge(
        [full, placed(signals[1]), placed(signals[2]), placed(unknown)], by: ids[0], at: later)
      #expect(acked == [signals[0].id, signals[1].id])
      let expected = Delivery(deviceID: ids[0], acknowledgement: full, ackedAt: later)
      #expect(try await store.deliveries(of: signals[0].id) == [expected])
      #expect(
        try await store.deliveries(of: signals[1].id) == [
          Delivery(deviceID: ids[0], acknowledgement: placed(signals[1]), ackedAt: later),
          Delivery(deviceID: ids[1], acknowledgement: nil, ackedAt: nil),
        ])
      // A second acknowledgement changes nothing; an expired signal can be acknowledged.
      let again = Acknowledgement(signalID: signals[0].id, status: .skipped, brokerTicket: nil, error: "no")
      #expect(try await store.acknowledge([again], by: ids[0], at: noon.plus(seconds: 2)) == [signals[0].id])
      #expect(try await store.deliveries(of: signals[0].id) == [expected])
      let afterEnd = signals[2].expiresAt.plus(seconds: 1)
      #expect(try await store.acknowledge([placed(signals[2])], by: ids[1], at: afterEnd) == [signals[2].id])
      #expect(try await store.deliveries(of: signals[2].id).map(\.ackedAt) == [afterEnd])
      #expect(try await store.acknowledge([], by: ids[0], at: noon) == [])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The result distinguishes first and repeated acknowledgements, and omits unknown signals`(
    _ kind: StoreKind
  )
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(1)
      let signals = [newSignal(), newSignal()]
      for signal in signals { _ = try await store.insertSignal(signal, to: .all, maxLive: 10) }
      let change = Change(by: .device(ids[0]), at: noon)
      let first = try await store.acknowledge([placed(signals[0])], by: ids[0], owner: alice, change: change)
      #expect(first == [signals[0].id: true])
      let both = try await store.acknowledge(
        [placed(newSignal()), placed(signals[0]), placed(signals[1])], by: ids[0], owner: alice, change: change)
      #expect(both == [signals[0].id: false, signals[1].id: true])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Every status, and the maximum of acknowledgements in a request, is stored`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(1)
      var acknowledgements: [Acknowledgement] = []
      for index in 0..<Acknowledgement.maximumPerRequest {
        let signal = try await store.send(to: ids[0])
        acknowledgements.append(
          Acknowledgement(
            signalID: signal.id, status: Acknowledgement.Status.allCases[index % 3],
            brokerTicket: index % 2 == 0 ? "\(index)" : nil, error: index % 3 == 0 ? "e\(index)" : nil))
      }
      let known = try await store.acknowledge(acknowledgements, by: ids[0], at: noon)
      #expect(known == Set(acknowledgements.map(\.signalID)))
      for acknowledgement in acknowledgements {
        let stored = try await store.deliveries(of: acknowledgement.signalID)
        #expect(stored == [Delivery(deviceID: ids[0], acknowledgement: acknowledgement, ackedAt: noon)])
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of sixteen concurrent acknowledgements one is stored, and the others are repetitions`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(1)
      let signal = try await store.send(to: ids[0])
      let outcomes = await store.outcomes(16) { index in
        let mine = Acknowledgement(signalID: signal.id, status: .placed, brokerTicket: "\(index)", error: nil)
        let known = try await store.acknowledge([mine], by: ids[0], at: noon.plus(seconds: Int64(index)))
        #expect(known == [signal.id])
      }
      #expect(outcomes == [nil: 16])
      let stored = try #require(try await store.deliveries(of: signal.id).first)
      let winner = try #require(stored.acknowledgement?.brokerTicket.flatMap { Int64($0) })
      // The stored time belongs to the same acknowledgement.
      #expect(stored.ackedAt == noon.plus(seconds: winner))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Deleting a client deletes its signals, their deliveries, and its devices' tokens`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, secret) = try await store.addDevice()
      try await store.insertClient(client("bob"))
      let kept = try await store.add("kept", of: "bob").id
      try await store.send(newSignal(of: "bob"), to: kept)
      let acked = try await store.send(to: id)
      try await store.send(to: id)
      _ = try await store.acknowledge([placed(acked)], by: id, at: noon)
      _ = try await store.addToken(of: id, secret)
      #expect(try await store.deleteClient(alice) == true)
      try await store.clearDeletedClients()
      #expect(try await store.signal(acked.id)?.signal == nil)
      #expect(try await store.pendingSignals(of: kept, at: noon, limit: 10).count == 1)
    }
    for (table, left) in [("signals", "1"), ("deliveries", "1"), ("device_tokens", "0"), ("devices", "1")] {
      #expect(try await database.sql("SELECT count(*) FROM \(table)") == left, "\(table)")
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Deleting a device deletes its deliveries, and keeps the signal`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(2)
      let signal = try await store.send(to: ids[0], ids[1])
      try await database.sql("DELETE FROM devices WHERE id = '\(ids[0])'")
      #expect(try await store.deliveries(of: signal.id).map(\.deviceID) == [ids[1]])
      #expect(try await store.signals(of: alice, after: nil, limit: 10).map(\.devices) == [2])
    }
  }
}

func placed(_ signal: Signal) -> Acknowledgement {
  Acknowledgement(signalID: signal.id, status: .placed, brokerTicket: "7", error: nil)
}

extension TestDatabase {
  /// Stores `number` devices of the client alice with hand-written SQL.
  fileprivate func insertDevices(_ number: Int) async throws {
    let (id, key, time) =
      kind == .postgres
      ? ("('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid", "sha256('x')", "now()")
      : ("printf('00000000-0000-7000-8000-%012d', i)", "zeroblob(32)", "0")
    try await sql(
      """
      WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < \(number))
      INSERT INTO devices (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)
      SELECT \(id), 'alice', 'device ' || i, '$argon2id$' || i, \(key), \(key), \(time), \(time) FROM numbers
      """)
  }
}
