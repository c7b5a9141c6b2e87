import Migrations
import Registry
import Testing

/// Large changes, which are made in steps.
@Suite("Every store: steps") struct StepContractTests {
  @Test(arguments: StoreKind.allCases)
  func `A signal to more devices than a step is visible after its last step`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(5)
      let signal = newSignal()
      let first = try await store.beginSignal(signal, step: 2)
      #expect(first == SignalProgress(deliveries: 2, last: ids[1]))
      let second = try await store.continueSignal(signal, after: first, step: 2)
      #expect(second == SignalProgress(deliveries: 4, last: ids[3]))
      #expect(try await store.signal(signal.id) == nil)
      #expect(try await store.signals(of: alice, after: nil, limit: 10) == [])
      #expect(try await store.deliveries(of: signal.id) == [])
      #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 10) == [])
      let third = try await store.continueSignal(signal, after: second, step: 2)
      #expect(third == SignalProgress(deliveries: 5, last: nil))
      #expect(try await store.signal(signal.id)?.devices == 5)
      #expect(try await store.signals(of: alice, after: nil, limit: 10).map(\.devices) == [5])
      #expect(try await store.deliveries(of: signal.id).map(\.deviceID) == ids)
      for id in ids { #expect(try await store.pendingSignals(of: id, at: noon, limit: 10) == [signal]) }
      #expect(try await store.acknowledge([placed(signal)], by: ids[0], at: noon) == [signal.id])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal to at most as many devices as a step is stored at once`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(5)
      let signals = [newSignal(), newSignal()]
      let all = try await store.beginSignal(signals[0], step: 5)
      #expect(all == SignalProgress(deliveries: 5, last: nil))
      // Listed devices always are.
      let listed = try await store.beginSignal(signals[1], to: .devices(ids), step: 2)
      #expect(listed == SignalProgress(deliveries: 5, last: nil))
      #expect(try await store.pendingSignals(of: ids[4], at: noon, limit: 10) == signals)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Invisible signals do not take the place of visible ones in a poll or a page`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(3)
      let (early, late) = (newSignal(), newSignal())
      for _ in 0..<3 { _ = try await store.beginSignal(newSignal(), step: 2) }
      try await store.send(early, to: ids[0])
      for _ in 0..<3 { _ = try await store.beginSignal(newSignal(), step: 2) }
      try await store.send(late, to: ids[0])
      for _ in 0..<3 { _ = try await store.beginSignal(newSignal(), step: 2) }
      #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 2) == [early, late])
      #expect(try await store.signals(of: alice, after: nil, limit: 2).map(\.id) == [late.id, early.id])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A device that is revoked between two steps does not get the signal, and does not count`(
    _ kind: StoreKind
  )
    async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(5)
      let signal = newSignal()
      let first = try await store.beginSignal(signal, step: 2)
      _ = try await store.revokeDevice(ids[3], of: alice, at: noon)
      #expect(try await store.finishSignal(signal, after: first, step: 2) == 4)
      #expect(try await store.deliveries(of: signal.id).map(\.deviceID) == [ids[0], ids[1], ids[2], ids[4]])
      #expect(try await store.signal(signal.id)?.devices == 4)
    }
    #expect(try await database.sql("SELECT delivery_count FROM clients") == "4")
  }

  @Test(arguments: StoreKind.allCases)
  func `Deliveries count for the bound before they are stored`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(5)
      let signals = [newSignal(), newSignal()]
      for signal in signals { _ = try await store.beginSignal(signal, deliveries: 12, step: 2) }
      let refused = RegistryError.tooManyDeliveries(limit: 12)
      await #expect(throws: refused) { try await store.beginSignal(newSignal(), deliveries: 12, step: 2) }
      await #expect(throws: refused) {
        try await store.beginSignal(newSignal(), to: .devices(Array(ids.prefix(3))), deliveries: 12, step: 2)
      }
      _ = try await store.beginSignal(
        newSignal(), to: .devices(Array(ids.prefix(2))), deliveries: 12, step: 2)
      await #expect(throws: refused) {
        try await store.beginSignal(newSignal(), to: .devices([ids[0]]), deliveries: 12, step: 2)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Expired signals count for the bounds on what is kept until they are removed`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(1)
      for _ in 0..<3 { try await store.send(newSignal(expiresAt: noon), to: ids[0]) }
      let later = noon.plus(seconds: 1)
      await #expect(throws: RegistryError.tooManyKeptSignals(limit: 3)) {
        try await store.beginSignal(newSignal(at: later), kept: 3)
      }
      await #expect(throws: RegistryError.tooManyDeliveries(limit: 3)) {
        try await store.beginSignal(newSignal(at: later), deliveries: 3)
      }
      #expect(try await store.removeSignals(expiredBefore: later, limit: 2) == 2)
      _ = try await store.beginSignal(newSignal(at: later), kept: 3, deliveries: 3)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The bounds are tested after the addressees: live signals, kept signals, deliveries`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(1)
      for (addressees, live, kept, expected): (DeviceSelector, Int, Int, RegistryError) in [
        (.devices([newID()]), 0, 0, .deviceNotFound), (.all, 0, 0, .tooManySignals(limit: 0)),
        (.devices(ids), 1, 0, .tooManyKeptSignals(limit: 0)), (.all, 1, 1, .tooManyDeliveries(limit: 0)),
      ] {
        await #expect(throws: expected) {
          try await store.beginSignal(newSignal(), to: addressees, live: live, kept: kept, deliveries: 0)
        }
      }
      #expect(try await store.signals(of: alice, after: nil, limit: 10) == [])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Concurrent signals in steps keep to the bound on deliveries together`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      _ = try await store.addDevices(5)
      let outcomes = await store.outcomes(12) { _ in
        let signal = newSignal()
        let first = try await store.beginSignal(signal, deliveries: 23, step: 2)
        try await store.finishSignal(signal, after: first, step: 2)
      }
      #expect(outcomes == [nil: 4, .tooManyDeliveries(limit: 23): 8])
    }
    #expect(try await database.sql("SELECT count(*) FROM deliveries") == "20")
    #expect(try await database.sql("SELECT delivery_count FROM clients") == "20")
  }

  @Test(arguments: StoreKind.allCases)
  func `Expired signals are removed in steps, deliveries first`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(3)
      let expired = [newSignal(), newSignal()]
      for signal in expired { try await store.send(signal, to: ids[0], ids[1], ids[2]) }
      let kept = try await store.send(newSignal(expiresAt: noon.plus(seconds: 90)), to: ids[0], ids[1])
      let time = noon.plus(seconds: 90)
      for (number, left) in [(2, 6), (2, 5), (2, 3), (2, 2), (0, 2)] {
        #expect(try await store.removeSignals(expiredBefore: time, limit: 2) == number)
        #expect(try await database.sql("SELECT count(*) FROM deliveries") == "\(left)")
      }
      #expect(try await store.signals(of: alice, after: nil, limit: 10).map(\.id) == [kept.id])
    }
    #expect(try await database.sql("SELECT signal_count + delivery_count FROM clients") == "3")
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal that is still not wholly stored is removed, and cannot be continued`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      _ = try await store.addDevices(3)
      let signal = newSignal()
      let first = try await store.beginSignal(signal, step: 2)
      #expect(try await store.removeSignals(abandonedBefore: noon, limit: 10) == 0)
      #expect(try await store.removeSignals(abandonedBefore: noon.plus(milliseconds: 1), limit: 10) == 3)
      let error = await #expect(throws: RegistryError.self) {
        try await store.continueSignal(signal, after: first, step: 2)
      }
      #expect(isUnavailable(error))
      // One that is visible is not abandoned.
      _ = try await store.beginSignal(newSignal(), step: 3)
      #expect(try await store.removeSignals(abandonedBefore: noon.plus(seconds: 90), limit: 10) == 0)
    }
    #expect(try await database.sql("SELECT signal_count + delivery_count FROM clients") == "4")
  }

  @Test(arguments: StoreKind.allCases)
  func `A deleted client is gone at once, while its rows are there`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let full = client("alice", email: "a@example.org", telegramID: 7)
      try await store.insertClient(full)
      let secret = verifier()
      let id = try await store.add("one", verifier: secret).id
      let hash = newHash()
      _ = try await store.addToken(hash, of: id, secret)
      try await store.send(to: id)
      let next = verifier()
      _ = try await store.rotate(id, to: next, until: noon.plus(seconds: 60))
      try await store.insertClient(client("bob"))
      #expect(try await store.deleteClient(alice) == true)
      #expect(try await store.deleteClient(alice) == false)

      #expect(try await store.client(alice) == nil)
      #expect(try await store.clients(after: nil, limit: 10).map(\.id) == [bob])
      #expect(try await store.credentials(of: id) == nil)
      #expect(try await store.credentials(ofToken: hash, at: noon) == nil)
      #expect(try await store.addToken(of: id, secret) == false)
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: next.hmacKeyHash) == false)
      let name = try DeviceName("two")
      await #expect(throws: RegistryError.clientNotFound) {
        try await store.checkRegistration(of: name, for: alice, maxDevices: 9)
      }
      await #expect(throws: RegistryError.clientNotFound) { try await store.add("two") }
      await #expect(throws: RegistryError.clientNotFound) { try await store.send(to: id) }
      await #expect(throws: RegistryError.clientNotFound) { try await store.beginSignal(newSignal()) }
      // Its address is free at once, its id once its rows are gone.
      try await store.insertClient(client("carol", email: "A@example.org"))
      await #expect(throws: RegistryError.clientIDTaken) { try await store.insertClient(full) }
      await #expect(throws: RegistryError.clientIDTaken) { try await store.insertClient(client("alice")) }
    }
    #expect(
      try await database.sql(
        """
        SELECT count(*) FROM clients WHERE deleted_at IS NOT NULL AND email IS NULL AND telegram_id IS NULL
        """) == "1")
    #expect(try await database.sql("SELECT count(*) FROM devices") == "1")
    #expect(try await database.sql("SELECT count(*) FROM deliveries") == "1")
  }

  @Test(arguments: StoreKind.allCases)
  func `The rows of deleted clients are deleted in steps, the client's own last`(
    _ kind: StoreKind
  )
    async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("bob"))
      let neighbour = try await store.add("kept", of: "bob").id
      try await store.send(newSignal(of: "bob"), to: neighbour)
      // 1 client, 3 devices, 2 signals with 5 deliveries, 2 tokens: 13 rows.
      let (id, secret) = try await store.addDevice()
      let others = [try await store.add("two").id, try await store.add("three").id]
      try await store.send(to: id, others[0], others[1])
      try await store.send(to: id, others[0])
      for _ in 0..<2 { _ = try await store.addToken(of: id, secret) }
      #expect(try await store.clearDeletedClients(nil, maximumRows: 100) == 0)
      _ = try await store.deleteClient(alice)
      #expect(try await store.clearDeletedClients(bob, maximumRows: 100) == 0)
      var steps: [Int] = []
      repeat { steps.append(try await store.clearDeletedClients(alice, maximumRows: 4)) } while steps.last == 4
      #expect(steps == [4, 4, 4, 1])
      try await store.insertClient(client("alice"))
      #expect(try await store.clearDeletedClients(nil, maximumRows: 100) == 0)

      // Of any client.
      _ = try await store.deleteClient(alice)
      _ = try await store.deleteClient(bob)
      #expect(try await store.clearDeletedClients(nil, maximumRows: 100) == 5)
    }
    for table in ["clients", "devices", "signals", "deliveries", "device_tokens"] {
      #expect(try await database.sql("SELECT count(*) FROM \(table)") == "0", "\(table)")
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A signal is not continued for a deleted client`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      _ = try await store.addDevices(3)
      let signal = newSignal()
      let first = try await store.beginSignal(signal, step: 2)
      _ = try await store.deleteClient(alice)
      let error = await #expect(throws: RegistryError.self) {
        try await store.continueSignal(signal, after: first, step: 2)
      }
      #expect(isUnavailable(error))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `What a device writes is refused for an owner that is not its own`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, first) = try await store.addDevice()
      try await store.insertClient(client("bob"))
      let signal = try await store.send(to: id)
      #expect(try await store.acknowledge([placed(signal)], by: id, of: bob, at: noon) == [])
      #expect(try await store.pendingSignals(of: id, at: noon, limit: 10) == [signal])
      #expect(try await store.addToken(of: id, owner: bob, first) == false)
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      #expect(try await store.promoteNextSecret(of: id, owner: bob, hmacKeyHash: second.hmacKeyHash) == false)
      #expect(try await store.credentials(of: id)?.current == first)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Hand-written SQL keeps the counts, and expires what a device still has to get`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind)
    @Sendable func counts() async throws -> String? {
      try await database.sql(
        "SELECT signal_count || ' ' || delivery_count FROM clients WHERE id = 'alice'")
    }
    let time = kind == .postgres ? "'\(noon)'" : "\(noon.millisecondsSince1970)"
    try await database.withStore { store in
      let ids = try await store.addDevices(3)
      let signals = [
        try await store.send(to: ids[0], ids[1], ids[2]), try await store.send(to: ids[0], ids[1]),
      ]
      #expect(try await counts() == "2 5")
      try await database.sql("UPDATE signals SET devices = 7 WHERE id = '\(signals[1].id)'")
      #expect(try await counts() == "2 10")
      try await database.sql("UPDATE signals SET expires_at = \(time) WHERE id = '\(signals[0].id)'")
      #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 10) == [signals[1]])
      #expect(try await store.pendingSignals(of: ids[2], at: noon, limit: 10) == [])
      try await database.sql("DELETE FROM signals WHERE id = '\(signals[1].id)'")
      #expect(try await counts() == "1 3")
      try await database.sql("DELETE FROM signals")
      #expect(try await counts() == "0 0")
    }
    for refused in [
      "UPDATE clients SET signal_count = -1", "UPDATE clients SET delivery_count = -1",
      "UPDATE clients SET deleted_at = \(kind == .postgres ? "'1969-12-31T23:59:59.999Z'" : "-1")",
    ] {
      await #expect(throws: SQLRefused.self, "\(refused)") { try await database.sql(refused) }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The migration counts, and gives deliveries their expiry`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind, isMigrated: false)
    let index = try #require(database.kind.migrations.firstIndex { $0.name.hasPrefix("bounded_") })
    try await database.migrate(Array(database.kind.migrations.prefix(index)))
    let time = kind == .postgres ? "'\(noon)'" : "\(noon.millisecondsSince1970)"
    let end = noon.plus(seconds: 60)
    let expiry = kind == .postgres ? "'\(end)'" : "\(end.millisecondsSince1970)"
    let key = kind == .postgres ? "sha256('x')" : "zeroblob(32)"
    let (ids, signal) = ([newID(), newID()], newID())
    try await database.sql("INSERT INTO clients (id, created_at) VALUES ('alice', \(time)), ('bob', \(time))")
    for id in ids {
      try await database.sql(
        """
        INSERT INTO devices (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)
        VALUES ('\(id)', 'alice', '\(id)', '$argon2id$\(id)', \(key), \(key), \(time), \(time))
        """)
    }
    try await database.sql(
      """
      INSERT INTO signals (id, client_id, devices, created_at, expires_at, payload)
      VALUES ('\(signal)', 'alice', 2, \(time), \(expiry), '{}')
      """)
    for id in ids {
      try await database.sql("INSERT INTO deliveries (signal_id, device_id) VALUES ('\(signal)', '\(id)')")
    }
    try await database.sql(
      "UPDATE deliveries SET status = 'failed', error = 'x', acked_at = \(time) WHERE device_id = '\(ids[1])'")
    try await database.migrate()
    try await database.withStore { (store) async throws in
      let id = SignalID(high: signal.high, low: signal.low)
      #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 10).map(\.id) == [id])
      #expect(try await store.pendingSignals(of: ids[0], at: end, limit: 10) == [])
      #expect(try await store.pendingSignals(of: ids[1], at: noon, limit: 10) == [])
      #expect(try await store.deliveries(of: id).map(\.acknowledgement?.error) == [nil, "x"])
      #expect(try await store.signal(id)?.devices == 2)
    }
    #expect(
      try await database.sql(
        "SELECT signal_count || ' ' || delivery_count FROM clients WHERE id = 'alice'") == "1 2")
    #expect(
      try await database.sql("SELECT signal_count || ' ' || delivery_count FROM clients WHERE id = 'bob'")
        == "0 0")
  }
}

extension RegistryStore {
  /// Stores the first step of a signal.
  @discardableResult
  func beginSignal(
    _ signal: Signal, to selector: DeviceSelector = .all, live: Int = 100, kept: Int = 1000,
    deliveries: Int = 1000, step: Int = 100
  ) async throws(RegistryError) -> SignalProgress {
    try await insertSignal(
      signal, to: selector, bounds: SignalBounds(live: live, kept: kept, deliveries: deliveries), step: step,
      change: .at(signal.createdAt))
  }

  func continueSignal(
    _ signal: Signal, after progress: SignalProgress, step: Int
  ) async throws(RegistryError) -> SignalProgress {
    try await continueSignal(signal, to: .all, after: progress, step: step, change: .at(signal.createdAt))
  }

  /// Stores the remaining steps, and returns the number of deliveries.
  @discardableResult
  func finishSignal(
    _ signal: Signal, after first: SignalProgress, step: Int
  ) async throws(RegistryError) -> Int {
    var progress = first
    while progress.last != nil { progress = try await continueSignal(signal, after: progress, step: step) }
    return progress.deliveries
  }
}
