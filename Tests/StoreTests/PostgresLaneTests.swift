import Registry
import TestSupport
import Testing

@testable import PostgresStore

@Suite("PostgreSQL: writes are sent in turn over clients", .timeLimit(.minutes(1))) struct PostgresLaneTests {
  /// A store, a device of alice, one of bob, and a separate session.
  private struct Fixture {
    let running: RunningPostgresStore
    let session: SQLSession
    let (alices, bobs): (DeviceID, DeviceID)

    /// A token, which locks its device's row.
    func token(of client: ClientID) async throws -> Bool {
      let id = client == alice ? alices : bobs
      return try await running.onLoop { try await addToken(of: id, client, to: $0) }
    }
  }

  private func with(
    _ limits: PostgresLimits = PostgresLimits(), _ body: (Fixture) async throws -> Void
  ) async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningPostgresStore.with(database.location, limits: limits) { running in
      await running.waitUntilConnected(limits)
      let (first, second) = try await running.onLoop { store in
        try await store.insertClient(client("alice"))
        try await store.insertClient(client("bob"))
        return (
          try await store.add("one", verifier: secret(of: alice)).id,
          try await store.add("one", of: "bob", verifier: secret(of: bob)).id
        )
      }
      try await body(
        Fixture(
          running: running, session: SQLSession(database.location), alices: first, bobs: second))
    }
  }

  @Test
  func `A client whose writes wait uses half of the connections, has a bounded queue, and blocks no other`()
    async throws
  {
    try await with { fixture in
      let limits = PostgresLimits()
      let half = limits.writeConnections / 2
      try await fixture.session.run("BEGIN; SELECT 1 FROM devices WHERE client_id = 'alice' FOR UPDATE")
      let sent = half + limits.waitingPerClient + 7
      let id = fixture.alices
      async let outcomes = fixture.running.onLoop { store in
        await store.outcomes(sent) { _ in _ = try await addToken(of: id, alice, to: store) }
      }
      try await fixture.session.waitForBlockedStatements(half)
      #expect(try await fixture.token(of: bob))
      #expect(try await fixture.session.run(waiting) == ["\(half)"])
      try await fixture.session.run("ROLLBACK")
      #expect(
        try await outcomes == [
          nil: half + limits.waitingPerClient, .tooManyWaiting(limit: limits.waitingPerClient): 7,
        ])
    }
  }

  @Test
  func `Of a client's statements that lock its row one runs at a time, and its others pass them`() async throws
  {
    try await with { fixture in
      try await fixture.session.run("BEGIN; SELECT 1 FROM clients WHERE id = 'alice' FOR UPDATE")
      async let outcomes = fixture.running.onLoop { store in
        await store.outcomes(20) { index in
          if index < 10 {
            try await store.add("device \(index)")
          } else {
            _ = try await store.insertSignal(newSignal(), to: .all, maxLive: 100)
          }
        }
      }
      try await fixture.session.waitForBlockedStatements(1)
      #expect(try await fixture.token(of: alice))
      _ = try await fixture.running.onLoop { try await $0.add("two", of: "bob") }
      #expect(try await fixture.session.run(waiting) == ["1"])
      try await fixture.session.run("ROLLBACK")
      #expect(try await outcomes == [nil: 20])
    }
  }

  @Test
  func `One of two connections is kept for urgent statements`() async throws {
    var limits = PostgresLimits()
    limits.writeConnections = 2
    try await with(limits) { fixture in
      try await fixture.session.run("BEGIN; SELECT 1 FROM devices WHERE client_id = 'alice' FOR UPDATE")
      async let alices = fixture.token(of: alice)
      try await fixture.session.waitForBlockedStatements(1)
      async let bobs = fixture.token(of: bob)
      try await wait { fixture.running.store.pool.writes.waitingRequests == 1 }
      let id = fixture.bobs
      let revoked = try await fixture.running.onLoop { try await $0.revokeDevice(id, of: bob, at: noon) }
      #expect(revoked?.isRevoked == true)
      try await fixture.session.run("ROLLBACK")
      #expect(try await alices)
      // The revocation was first.
      #expect(try await !bobs)
    }
  }

  @Test
  func `A write that waits too long for a connection fails, though the connection is still busy`() async throws
  {
    var limits = PostgresLimits()
    limits.writeConnections = 1
    limits.waitMilliseconds = 100
    try await with(limits) { fixture in
      try await fixture.session.run("BEGIN; SELECT 1 FROM devices WHERE client_id = 'alice' FOR UPDATE")
      async let alices = fixture.token(of: alice)
      try await fixture.session.waitForBlockedStatements(1)
      let id = fixture.bobs
      let error = await fixture.running.error { _ = try await addToken(of: id, bob, to: $0) }
      #expect(error == .overloaded(queue: "postgres connections"))
      try await fixture.session.run("ROLLBACK")
      #expect(try await alices)
    }
  }

  @Test
  func `Devices renamed among a few names by two loops do not deadlock`() async throws {
    let database = try await TestDatabase(.postgres)
    let ids = try await database.withStore { try await $0.addDevices(16) }
    let elapsed = try await elapsedMilliseconds {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for loop in 0..<2 {
          group.addTask {
            try await database.withStore { store in
              let outcomes = await store.outcomes(8 * 20) { index in
                // The loops rename their devices in opposite order of the names.
                let name = loop == 0 ? index % 4 : 3 - index % 4
                _ = try await store.renameDevice(
                  ids[8 * loop + index % 8], of: alice, to: DeviceName("name \(name)"), at: noon)
              }
              #expect(outcomes.keys.allSatisfy { $0 == nil || $0 == .deviceNameTaken || isRefused($0) })
            }
          }
        }
        try await group.waitForAll()
      }
    }
    #expect(elapsed < stretched(5000))
    #expect(
      try await database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == "0"
    )
  }
}

private let waiting = """
  SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
  """

private func secret(of client: ClientID) -> SecretVerifier {
  let key = Array(repeating: UInt8(client == alice ? 1 : 2), count: 32)
  return SecretVerifier(hmacKeyHash: "$argon2id$\(client)", storedKey: key, serverKey: key)
}

private func addToken(
  of id: DeviceID, _ client: ClientID, to store: some RegistryStore
) async throws(RegistryError) -> Bool {
  try await store.insertToken(
    newHash(), of: id, owner: client, hmacKeyHash: secret(of: client).hmacKeyHash,
    expiresAt: noon.plus(seconds: 900),
    at: noon, maxLive: 1000, windowSeconds: 60)
}

private func isRefused(_ error: RegistryError?) -> Bool {
  if case .tooManyWaiting? = error { true } else { false }
}
