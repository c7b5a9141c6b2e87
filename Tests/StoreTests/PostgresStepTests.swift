import Registry
import Testing

@testable import PostgresStore

/// What the contract leaves to PostgreSQL: locks, notifications, and concurrent steps.
@Suite("PostgreSQL: signals are stored, and rows deleted, in steps", .timeLimit(.minutes(1)))
struct PostgresStepTests {
  private let bounds = SignalBounds(live: 10, kept: 20, deliveries: 25)

  private func start(_ signal: Signal, in store: some RegistryStore, step: Int) async throws -> SignalProgress {
    try await store.insertSignal(signal, to: .all, bounds: bounds, step: step, change: change)
  }

  private let change = Change(by: .system, at: noon)

  @Test
  func `A signal in steps is announced when it is visible, with the name of its client`() async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningListener.with(database) { listening in
      try await database.withStore { store in
        let ids = try await store.addDevices(5)
        let signal = newSignal()
        var progress = try await start(signal, in: store, step: 2)
        #expect(progress == SignalProgress(deliveries: 2, last: ids[1]))
        progress = try await store.continueSignal(signal, to: .all, after: progress, step: 2, change: change)
        #expect(progress == SignalProgress(deliveries: 4, last: ids[3]))
        #expect(try await listening.heard() == Heard())
        #expect(try await store.signal(signal.id) == nil)
        #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 10) == [])
        progress = try await store.continueSignal(signal, to: .all, after: progress, step: 2, change: change)
        #expect(progress == SignalProgress(deliveries: 5, last: nil))
        #expect(try await listening.heard() == Heard(sending: [alice]))
        #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 10) == [signal])
      }
    }
  }

  @Test
  func `Concurrent signals together keep to the bound on deliveries, which counts planned ones`() async throws {
    let database = try await TestDatabase(.postgres)
    try await database.withStore { store in
      _ = try await store.addDevices(10)
      let outcomes = await store.outcomes(4) { _ in
        let signal = newSignal()
        var progress = try await start(signal, in: store, step: 4)
        while progress.last != nil {
          progress = try await store.continueSignal(signal, to: .all, after: progress, step: 4, change: change)
        }
      }
      #expect(outcomes == [nil: 2, .tooManyDeliveries(limit: 25): 2])
    }
    #expect(try await counts(in: database) == "2 20")
  }

  @Test
  func `The counts of a client follow its signals, also after hand-written SQL`() async throws {
    let database = try await TestDatabase(.postgres)
    let signals = try await database.withStore { store in
      let ids = try await store.addDevices(3)
      let first = newSignal()
      let progress = try await start(first, in: store, step: 2)
      #expect(try await counts(in: database) == "1 3")
      // One of the planned devices is revoked before its step.
      _ = try await store.revokeDevice(ids[2], of: alice, at: noon)
      #expect(
        try await store.continueSignal(first, to: .all, after: progress, step: 2, change: change)
          == SignalProgress(deliveries: 2, last: nil))
      #expect(try await counts(in: database) == "1 2")
      return [first, try await store.send(to: ids[0])]
    }
    #expect(try await counts(in: database) == "2 3")
    try await database.sql("UPDATE signals SET devices = 7 WHERE id = '\(signals[1].id)'")
    #expect(try await counts(in: database) == "2 9")
    try await database.sql("DELETE FROM signals WHERE id = '\(signals[0].id)'")
    #expect(try await counts(in: database) == "1 7")
    try await database.sql("TRUNCATE signals CASCADE")
    #expect(try await counts(in: database) == "0 0")
  }

  private func counts(in database: TestDatabase) async throws -> String? {
    try await database.sql("SELECT signal_count || ' ' || delivery_count FROM clients WHERE id = 'alice'")
  }

  @Test
  func `Deliveries expire with their signal, also after hand-written SQL`() async throws {
    let database = try await TestDatabase(.postgres)
    try await database.withStore { store in
      let ids = try await store.addDevices(2)
      let signal = try await store.send(to: ids[0], ids[1])
      try await database.sql("UPDATE signals SET expires_at = '\(noon)'")
      #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 10) == [])
      try await database.sql("UPDATE signals SET expires_at = '\(signal.expiresAt)'")
      #expect(try await store.pendingSignals(of: ids[0], at: noon, limit: 10) == [signal])
    }
  }

  @Test
  func `Steps of two clients' signals, their removal and deletions of clients do not deadlock`() async throws {
    let database = try await TestDatabase(.postgres)
    try await database.withStore { store in
      _ = try await store.addDevices(6)
      try await store.insertClient(client("bob"))
      for index in 0..<6 { try await store.add("device \(index)", of: "bob") }
      let outcomes = await store.outcomes(40) { index in
        switch index % 4 {
        case 0, 1:
          let signal = newSignal(of: index % 4 == 0 ? "alice" : "bob")
          var progress = try await store.insertSignal(
            signal, to: .all, bounds: SignalBounds(), step: 2, change: change)
          while progress.last != nil {
            progress = try await store.continueSignal(
              signal, to: .all, after: progress, step: 2, change: change)
          }
        case 2:
          _ = try await store.removeSignals(
            expiredBefore: noon.plus(seconds: 100), abandonedBefore: noon, maximumRows: 3)
        default:
          if index == 39 { _ = try await store.deleteClient(bob) }
          _ = try await store.clearDeletedClients(nil, maximumRows: 3)
        }
      }
      for error in outcomes.keys { #expect(error == nil || error == .clientNotFound || isUnavailable(error)) }
      while try await store.clearDeletedClients(nil, maximumRows: 100) > 0 {}
      _ = try await store.removeSignals(
        expiredBefore: noon.plus(seconds: 100), abandonedBefore: noon.plus(seconds: 1), maximumRows: 1000)
    }
    #expect(try await counts(in: database) == "0 0")
    #expect(
      try await database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == "0"
    )
  }

  @Test
  func `A migrated database has the counts of its clients, and the expiry of its deliveries`() async throws {
    let database = try await TestDatabase(.postgres, isMigrated: false)
    try await database.migrate(Array(database.kind.migrations.prefix(3)))
    try await database.sql(
      """
      INSERT INTO clients (id, created_at) VALUES ('alice', '\(noon)'), ('bob', '\(noon)');
      INSERT INTO devices (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)
        SELECT lpad(i::text, 32, '0')::uuid, 'alice', i, '$argon2id$' || i, sha256('x'), sha256('x'), now(), now()
        FROM generate_series(1, 3) AS i;
      INSERT INTO signals (id, client_id, payload, devices, created_at, expires_at)
        SELECT lpad(i::text, 32, '0')::uuid, 'alice', '{}', 3, '\(noon)', '\(noon.plus(seconds: 60))'
        FROM generate_series(1, 2) AS i;
      INSERT INTO deliveries (signal_id, device_id) SELECT signals.id, devices.id FROM signals, devices
      """)
    try await database.migrate()
    #expect(try await counts(in: database) == "2 6")
    try await database.withStore { (store) async throws in
      let id = DeviceID(high: 0, low: 1)
      #expect(try await store.pendingSignals(of: id, at: noon, limit: 10).count == 2)
      #expect(try await store.pendingSignals(of: id, at: noon.plus(seconds: 60), limit: 10) == [])
      #expect(try await store.removeSignals(expiredBefore: noon.plus(seconds: 61), limit: 100) == 8)
    }
    #expect(try await counts(in: database) == "0 0")
  }
}
