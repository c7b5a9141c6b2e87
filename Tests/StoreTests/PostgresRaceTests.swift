import Registry
import Synchronization
import Testing

@testable import PostgresStore

/// Statements on separate connections that wait for each other's locks.
@Suite("PostgreSQL: concurrent writes", .timeLimit(.minutes(1))) struct PostgresRaceTests {
  @Test
  func `Tokens that waited for the device's row count tokens stored meanwhile`() async throws {
    let database = try await TestDatabase(.postgres)
    let outcomes = try await blockedWrites(in: database, on: "devices", count: 4) {
      store, device, hash, number in
      let stored = try await store.insertToken(
        token(number), of: device.id, owner: alice, hmacKeyHash: hash, expiresAt: noon + 900_000, at: noon,
        maxLive: 3,
        windowSeconds: 60)
      #expect(stored)
    }
    #expect(outcomes == [nil: 3, .tooManyTokens(retryAfterSeconds: 60): 1])
    #expect(try await database.sql("SELECT count(*) FROM device_tokens") == "3")
  }

  @Test
  func `Signals that waited for the client's row count signals stored meanwhile`() async throws {
    let database = try await TestDatabase(.postgres)
    let others = """
      SELECT start_signal(
        gen_random_uuid(), 'alice', '{}', '\(noon)', '\(noon + 1000)', 3, 9, 9, 9, NULL, NULL, NULL)
      FROM generate_series(1, 2)
      """
    let outcomes = try await blockedWrites(
      in: database, on: "clients", count: 4, blocked: 1, meanwhile: others
    ) { store, device, _, _ in
      _ = try await store.insertSignal(signal(), to: .devices([device.id]), maxLive: 3)
    }
    #expect(outcomes == [nil: 1, .tooManySignals(limit: 3): 3])
    #expect(try await database.sql("SELECT count(*) FROM signals") == "3")
    #expect(try await database.sql("SELECT count(*) FROM deliveries") == "3")
  }

  @Test(arguments: [
    "revoked = true, is_active = false", "is_active = false", "hmac_key_hash = '$argon2id$new'",
    "next_hmac_key_hash = '$argon2id$', next_stored_key = sha256('a'), next_server_key = sha256('b'), "
      + "grace_expires_at = '2000-01-01T00:00:00Z'",
  ])
  func `A token is not stored if its device is revoked or rotated while it waits`(
    _ change: String
  ) async throws {
    let database = try await TestDatabase(.postgres)
    let outcomes = try await blockedWrites(
      in: database, on: "devices", count: 1, meanwhile: "UPDATE devices SET \(change)"
    ) {
      store, device, hash, number in
      let stored = try await store.insertToken(
        token(number), of: device.id, owner: alice, hmacKeyHash: hash, expiresAt: noon + 900_000, at: noon,
        maxLive: 3,
        windowSeconds: 60)
      #expect(!stored)
    }
    #expect(outcomes == [nil: 1])
    #expect(try await database.sql("SELECT count(*) FROM device_tokens") == "0")
  }

  @Test
  func `A signal is not stored if its client is deleted while it waits`() async throws {
    let database = try await TestDatabase(.postgres)
    let outcomes = try await blockedWrites(
      in: database, on: "clients", count: 1, meanwhile: "DELETE FROM clients"
    ) { store, _, _, _ in
      _ = try await store.insertSignal(signal(), to: .all, maxLive: 3)
    }
    #expect(outcomes == [.clientNotFound: 1])
    #expect(try await database.sql("SELECT count(*) FROM signals") == "0")
  }

  @Test
  func `A signal to all uses the devices that are not revoked after it waited`() async throws {
    let database = try await TestDatabase(.postgres)
    let outcomes = try await blockedWrites(
      in: database, on: "clients", count: 1,
      meanwhile: "UPDATE devices SET revoked = true, is_active = false"
    ) { store, _, _, _ in
      let count = try await store.insertSignal(signal(), to: .all, maxLive: 3)
      #expect(count == 0)
    }
    #expect(outcomes == [nil: 1])
  }

  @Test
  func `Presence that waited does not overwrite newer presence`() async throws {
    let later = "last_seen = '2026-01-01T00:00:00Z', last_ack = '2026-01-01T00:00:00Z'"
    let database = try await TestDatabase(.postgres)
    let outcomes = try await blockedWrites(
      in: database, on: "devices", count: 1, meanwhile: "UPDATE devices SET \(later)"
    ) {
      store, device, _, _ in
      try await store.recordPresence([device.id: Presence(lastSeen: noon, lastPoll: noon)])
    }
    #expect(outcomes == [nil: 1])
    let unchanged = "SELECT \(later.replacing(", last_ack", with: " AND last_ack")) FROM devices"
    #expect(try await database.sql(unchanged) == "t")
    #expect(try await database.sql("SELECT last_poll < last_seen FROM devices") == "t")
  }

  @Test
  func `Of acknowledgements that waited one is the first, and the others are repeated`() async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningPostgresStore.with(database.location) { running in
      // Each uses a separate connection.
      await running.waitUntilConnected()
      let (device, _) = try await running.addDevice()
      let signals = [signal(), signal()]
      for signal in signals {
        _ = try await running.onLoop { try await $0.insertSignal(signal, to: .all, maxLive: 3) }
      }
      let session = await SQLSession(database.location)
      try await session.run("BEGIN; SELECT 1 FROM deliveries FOR UPDATE")
      async let outcomes = running.onLoop { store in
        await store.outcomes(4) { number in
          // In random order: the statement locks rows in a fixed order.
          let ids = signals.map(\.id)
          let known = try await store.acknowledge(
            (number.isMultiple(of: 2) ? ids : ids.reversed()).map {
              Acknowledgement(signalID: $0, status: .placed, brokerTicket: "\(number)", error: nil)
            }, by: device.id, at: noon)
          #expect(known == Set(ids))
        }
      }
      try await session.waitForBlockedStatements(4)
      try await session.run("ROLLBACK")
      let ended = try await outcomes
      #expect(ended == [nil: 4])
      #expect(try await session.run("SELECT count(DISTINCT broker_ticket) FROM deliveries") == ["1"])
    }
  }

  /// Rows that are removed after they expire.
  enum ExpiredRows: String, CaseIterable {
    case signals
    case tokens = "device_tokens"

    /// Stores two rows that have expired by noon.
    func add(of device: Device, hmacKeyHash: String, to store: PostgresStore) async throws {
      for age: Int64 in [120, 60] {
        let time = noon.plus(seconds: -age)
        switch self {
        case .signals:
          try await store.send(newSignal(at: time, expiresAt: time.plus(seconds: 1)))
        case .tokens:
          let isStored = try await store.insertToken(
            newHash(), of: device.id, owner: alice, hmacKeyHash: hmacKeyHash, expiresAt: time.plus(seconds: 1),
            at: time,
            maxLive: 10, windowSeconds: 60)
          #expect(isStored)
        }
      }
    }

    /// Removes at most one row, and returns how many it removed.
    func clear(in store: PostgresStore) async throws -> Int {
      switch self {
      case .signals: try await store.removeSignals(expiredBefore: noon, limit: 1)
      case .tokens: try await store.removeTokens(expiredBefore: noon, limit: 1)
      }
    }
  }

  @Test(arguments: ExpiredRows.allCases)
  func `Removal skips an expired row that another transaction has locked`(
    _ rows: ExpiredRows
  ) async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningPostgresStore.with(database.location) { running in
      await running.waitUntilConnected()
      let (device, hmacKeyHash) = try await running.addDevice()
      try await running.onLoop { try await rows.add(of: device, hmacKeyHash: hmacKeyHash, to: $0) }
      let session = await SQLSession(database.location)
      let oldest = "SELECT expires_at FROM \(rows.rawValue) ORDER BY expires_at LIMIT 1"
      // The row that would be removed first. A statement that waited for it would time out.
      let held = try await session.run("BEGIN; \(oldest) FOR UPDATE")
      #expect(try await running.onLoop { try await rows.clear(in: $0) } == 1)
      #expect(try await running.onLoop { try await rows.clear(in: $0) } == 0)
      #expect(try await session.run("SELECT expires_at FROM \(rows.rawValue)") == held)
      try await session.run("COMMIT")
      #expect(try await running.onLoop { try await rows.clear(in: $0) } == 1)
    }
  }

  /// Locks the rows of a table, starts `count` writes of which `blocked` wait for them (all by default), runs `meanwhile`, releases the lock,
  /// and returns the results of the writes.
  private func blockedWrites(
    in database: TestDatabase, on table: String, count: Int, blocked: Int? = nil,
    meanwhile: String = "SELECT 1",
    _ write: @escaping @Sendable (PostgresStore, Device, String, Int) async throws -> Void
  ) async throws -> [RegistryError?: Int] {
    let result = Mutex<[RegistryError?: Int]>([:])
    try await RunningPostgresStore.with(database.location) { running in
      await running.waitUntilConnected()
      let (device, hash) = try await running.addDevice()
      let session = await SQLSession(database.location)
      try await session.run("BEGIN; SELECT 1 FROM \(table) FOR UPDATE")
      async let outcomes = running.onLoop { store in
        await store.outcomes(count) { try await write(store, device, hash, $0) }
      }
      try await session.waitForBlockedStatements(blocked ?? count)
      try await session.run("\(meanwhile); COMMIT")
      let ended = try await outcomes
      result.withLock { $0 = ended }
    }
    return result.withLock { $0 }
  }

  private func token(_ number: Int) -> TokenHash {
    TokenHash(Array(repeating: UInt8(number), count: TokenHash.length))
  }

  private func signal() -> Signal {
    Signal(
      id: SignalID(high: newID().high, low: newID().low), clientID: alice, payload: Array("{}".utf8),
      createdAt: noon, expiresAt: noon + 3_600_000)
  }
}

extension RunningPostgresStore {
  /// Runs `body` with the store on its loop.
  func onLoop<Value: Sendable>(
    _ body: @escaping @Sendable (PostgresStore) async throws -> Value
  ) async throws -> Value {
    try await loop.outcome { [store] in try await body(store) }.get()
  }

  /// Stores alice, if necessary, and a device of hers; returns the device and its secret's hash.
  func addDevice(_ name: String = "one") async throws -> (device: Device, hmacKeyHash: String) {
    try await onLoop { store in
      if try await store.client(alice) == nil { try await store.insertClient(client("alice")) }
      let (device, verifier) = (try newDevice(name), verifier())
      try await store.insertDevice(device, verifier: verifier, maxDevices: 1000)
      return (device, verifier.hmacKeyHash)
    }
  }
}
