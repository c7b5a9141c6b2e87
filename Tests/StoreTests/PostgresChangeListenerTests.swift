import EventLoop
import Glibc
import Registry
import TestSupport
import Testing

@testable import PostgresStore

@Suite("PostgreSQL: the listener reports changes, whichever session makes them", .timeLimit(.minutes(2)))
struct PostgresChangeListenerTests {
  /// Changes of a device's credentials. Those with a text are hand-written SQL.
  enum Change: String, CaseIterable {
    case rotation, rotationAtOnce, promotion, revocation, deletionOfClient, clearing, roomForToken
    case revokedByHand = "UPDATE devices SET revoked = true, is_active = false"
    case inactiveByHand = "UPDATE devices SET is_active = false"
    case keyByHand = "UPDATE devices SET server_key = sha256('x')"
    case hashByHand = "UPDATE devices SET hmac_key_hash = '$argon2id$x'"
    case deletedByHand = "DELETE FROM devices"
    case clientByHand = "DELETE FROM clients"
    case tokenByHand = "DELETE FROM device_tokens"
    case tokensTimeByHand = "UPDATE device_tokens SET expires_at = to_timestamp(0)"
  }

  @Test(arguments: Change.allCases)
  func `Changes of a device's credentials are reported`(_ change: Change) async throws {
    let database = try await TestDatabase(.postgres)
    let now = Timestamp(
      millisecondsSince1970: Int64(
        try await database.sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")!)!)
    let (second, hash) = (verifier(), newHash())
    try await database.withStore { store in
      let (id, first) = try await store.addDevice()
      _ = try await store.addToken(hash, of: id, first, at: now)
      if change == .clearing { _ = try await store.deleteClient(alice) }
      if change == .promotion { _ = try await store.rotate(id, to: second, until: now.plus(seconds: 60)) }
      try await RunningListener.with(database) { listening in
        switch change {
        case .rotation: _ = try await store.rotate(id, until: now.plus(seconds: 60))
        case .rotationAtOnce: _ = try await store.rotate(id, until: noon)
        case .promotion: _ = try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash)
        case .revocation: _ = try await store.revokeDevice(id, of: alice, at: noon)
        case .deletionOfClient: _ = try await store.deleteClient(alice)
        case .clearing: _ = try await store.clearDeletedClients(alice, maximumRows: 100)
        case .roomForToken:
          _ = try await store.addToken(of: id, first, at: now.plus(seconds: 2), maxLive: 1, windowSeconds: 1)
        case .revokedByHand, .inactiveByHand, .keyByHand, .hashByHand, .deletedByHand, .clientByHand,
          .tokenByHand, .tokensTimeByHand:
          try await listening.session.run(change.rawValue)
        }
        let expected =
          switch change {
          // The devices follow when their rows are deleted.
          case .deletionOfClient: Heard(clients: [alice])
          case .clearing: Heard(changed: [id])
          case .clientByHand: Heard(changed: [id], clients: [alice])
          default: Heard(changed: [id])
          }
        #expect(try await listening.heard() == expected)
      }
    }
  }

  @Test
  func `Presence, names, new rows, unchanged rows, sealing and expired tokens are not reported`() async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningListener.with(database) { listening in
      try await database.withStore { store in
        let (id, secret) = try await store.addDevice()
        _ = try await store.addToken(of: id, secret, at: Timestamp(millisecondsSince1970: 0))
        try await store.recordPresence([id: Presence(lastSeen: noon, lastPoll: noon, lastAck: noon)])
        _ = try await store.renameDevice(id, of: alice, to: DeviceName("uno"), at: noon)
        try await database.sql("UPDATE devices SET is_active = true, revoked = false, stored_key = stored_key")
        // Sealed again with another key, the secret is the same.
        let sealed = try await database.withStore(sealer: testSealer(2, 1)) {
          try await $0.sealDevices(after: nil, limit: 10).sealed
        }
        #expect(sealed == 1)
        #expect(try await store.removeTokens(expiredBefore: noon, limit: 10) == 1)
      }
      #expect(try await listening.heard() == Heard())
    }
  }

  @Test
  func `A new signal is reported to its devices only, and acknowledgements are not`() async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningListener.with(database) { listening in
      let ids = try await database.withStore { store in
        let first = try await store.addDevice().id
        let (second, third) = (try await store.add("two").id, try await store.add("three").id)
        let signal = try await store.send(to: first, second)
        try await store.send(to: second)
        _ = try await store.acknowledge(
          [Acknowledgement(signalID: signal.id, status: .placed, brokerTicket: nil, error: nil)], by: first,
          at: noon)
        #expect(try await store.removeSignals(expiredBefore: noon.plus(seconds: 1000), limit: 10) == 5)
        return [first, second, third]
      }
      #expect(try await listening.heard() == Heard(arrived: [ids[0]: 1, ids[1]: 2]))
    }
  }

  @Test
  func `Many devices are reported in several notifications`() async throws {
    let database = try await TestDatabase(.postgres)
    try await database.sql("INSERT INTO clients (id, created_at) VALUES ('alice', now())")
    try await database.sql(
      """
      INSERT INTO devices (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)
      SELECT gen_random_uuid(), 'alice', i, '$argon2id$' || i, sha256(i::text::bytea), sha256('x'), now(), now()
      FROM generate_series(1, 450) AS i
      """)
    try await RunningListener.with(database) { listening in
      let count = try await database.withStore { store in
        try await store.insertSignal(newSignal(), to: .all, maxLive: 10)
      }
      #expect(count == 450)
      #expect(try await listening.heard().arrived.count == 450)
      try await listening.session.run("DELETE FROM clients")
      #expect(try await listening.heard().changed.count == 450)
    }
  }

  @Test(arguments: [
    "TRUNCATE devices CASCADE", "TRUNCATE device_tokens",
    "SELECT pg_notify('device_registry_credentials', '*')",
    "SELECT pg_notify('device_registry_credentials', '')", "SELECT pg_notify('device_registry_signals', 'x')",
  ])
  func `TRUNCATE and unknown payloads mean that anything may have changed`(_ statement: String) async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningListener.with(database) { listening in
      try await listening.session.run(statement)
      let heard = try await listening.heard()
      #expect(heard.missed > 0 && heard.changed.isEmpty && heard.arrived.isEmpty)
    }
  }

  @Test
  func `Changes are reported at commit, and not after a rollback`() async throws {
    let database = try await TestDatabase(.postgres)
    let id = try await database.withStore { try await $0.addDevice().id }
    try await RunningListener.with(database) { listening in
      let other = await SQLSession(database.location)
      try await other.run("BEGIN; UPDATE devices SET is_active = false")
      #expect(try await listening.heard() == Heard())
      try await other.run("ROLLBACK; BEGIN; UPDATE devices SET is_active = false; COMMIT")
      #expect(try await listening.heard() == Heard(changed: [id]))
    }
  }

  // MARK: Trust

  @Test
  func
    `Trust lasts at most a second, is extended by answered heartbeats, and ends with the listener`()
    async throws
  {
    let database = try await TestDatabase(.postgres)
    try await RunningListener.with(database) { listening in
      let first = listening.observer.trustedUntil
      #expect(first <= MonotonicClock.milliseconds + PostgresChangeListener.trustMilliseconds)
      try await wait { listening.observer.trustedUntil > first }
      #expect(listening.observer.words == [.missed, .trusted])
      await listening.listener.close()
      #expect(listening.observer.words == [.missed, .trusted, .distrusted])
    }
  }

  @Test
  func
    `A lost connection ends the trust; after the reconnection changes were missed, and trust is back`()
    async throws
  {
    let database = try await TestDatabase(.postgres)
    let id = try await database.withStore { try await $0.addDevice().id }
    try await RunningListener.with(database) { listening in
      var expected: [RecordingObserver.Word] = [.missed, .trusted]
      for _ in 0..<3 {
        try await listening.cut()
        expected += [.distrusted, .missed, .trusted]
        try await wait { listening.observer.words.count >= expected.count }
        #expect(listening.observer.words == expected)
        _ = listening.observer.take()
        try await listening.session.run("UPDATE devices SET server_key = sha256(server_key)")
        #expect(try await listening.heard() == Heard(changed: [id]))
      }
    }
  }

  @Test
  func `Trust ends within a second of the last answer of a hanging connection, and the listener reconnects`()
    async throws
  {
    let database = try await TestDatabase(.postgres)
    let id = try await database.withStore { try await $0.addDevice().id }
    try await RunningListener.with(database) { listening in
      let backend = try await listening.backend()
      #expect(kill(backend, SIGSTOP) == 0)
      defer { kill(backend, SIGCONT) }
      let frozenAt = MonotonicClock.milliseconds
      // A change that no listener reports.
      try await listening.session.run("UPDATE devices SET server_key = sha256(server_key)")
      try await wait { listening.observer.words.contains(.distrusted) }
      #expect(listening.observer.trustBeforeLoss <= frozenAt + PostgresChangeListener.trustMilliseconds)
      try await wait { listening.observer.words == [.missed, .trusted, .distrusted, .missed, .trusted] }
      #expect(listening.observer.take() == Heard(missed: 1))
      try await listening.session.run("UPDATE devices SET server_key = sha256(server_key)")
      #expect(try await listening.heard() == Heard(changed: [id]))
    }
  }

  @Test
  func `Trust ends while the server is down; afterwards changes were missed`() async throws {
    try await PostgresCluster.with { cluster in
      let database = try await TestDatabase(.postgres, on: cluster)
      try await RunningListener.with(database) { listening in
        await cluster.stop()
        try await wait { listening.observer.words == [.missed, .trusted, .distrusted] }
        #expect(listening.locks == [true, false])
        await cluster.start()
        try await wait { listening.observer.words == [.missed, .trusted, .distrusted, .missed, .trusted] }
        try await wait { listening.locks == [true, false, true] }
      }
    }
  }

  @Test
  func `An invalid URL is refused`() async throws {
    let loop = try EventLoop(name: "test")
    defer { loop.stop() }
    #expect(throws: PostgresURLError.self) {
      try PostgresChangeListener(
        url: "postgresql://[", loop: loop, lock: .shared, observer: RecordingObserver(), onLock: { _ in })
    }
  }
}

@Suite("PostgreSQL: the process lock", .timeLimit(.minutes(2)))
struct PostgresProcessLockTests {
  @Test
  func `An exclusive lock excludes other processes, and their error says what to do`() async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningListener.with(database, lock: .exclusive) { listening in
      for lock in [PostgresProcessLock.exclusive, .shared] {
        let error = await #expect(throws: PostgresProcessLockError.self) {
          try await RunningListener.with(database, lock: lock) { _ in }
        }
        #expect(error?.description.contains("another process serves this database") == true)
        #expect(error?.description.contains("REPLAY_STORE=redis://") == true)
      }
      #expect(listening.locks == [true])
      // Each database of a server has its own lock.
      try await RunningListener.with(TestDatabase(.postgres), lock: .exclusive) { _ in }
    }
  }

  @Test
  func `Shared locks coexist, and exclude an exclusive one`() async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningListener.with(database) { _ in
      try await RunningListener.with(database) { _ in
        await #expect(throws: PostgresProcessLockError.self) {
          try await RunningListener.with(database, lock: .exclusive) { _ in }
        }
      }
    }
  }

  @Test
  func `Another process can acquire a released lock`() async throws {
    let database = try await TestDatabase(.postgres)
    for lock in [PostgresProcessLock.exclusive, .exclusive, .shared, .exclusive] {
      try await RunningListener.with(database, lock: lock) { listening in #expect(listening.locks == [true]) }
      // The server notices the end of the session with a delay.
      let session = await SQLSession(database.location)
      try await wait {
        try await session.run("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = \(Self.oid)")
          .isEmpty
      }
    }
  }

  private static let oid = "(SELECT oid FROM pg_database WHERE datname = current_database())"

  @Test
  func `A lost lock is reported, retried, and reported when it is acquired again`() async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningListener.with(database, lock: .exclusive) { listening in
      let other = await SQLSession(database.location)
      // Waits for the lock, so that it acquires it before the listener reconnects.
      async let taken = other.run("SELECT pg_advisory_lock(\(PostgresProcessLock.key))")
      try await listening.session.waitForBlockedStatements()
      try await listening.cut()
      _ = try await taken
      try await wait { listening.locks == [true, false] }
      // Changes are still reported, during several heartbeats.
      try await wait { listening.observer.words.suffix(2) == [.missed, .trusted] }
      let trusted = listening.observer.trustedUntil
      try await wait {
        listening.observer.trustedUntil > trusted + 2 * PostgresChangeListener.heartbeatMilliseconds
      }
      #expect(listening.locks == [true, false])
      try await other.run("SELECT pg_advisory_unlock(\(PostgresProcessLock.key))")
      try await wait { listening.locks == [true, false, true] }
    }
  }
}
