import Registry
import TestSupport
import Testing

@testable import PostgresStore

@Suite("PostgreSQL: the server stops or hangs", .timeLimit(.minutes(5))) struct PostgresFailureTests {
  @Test
  func `Terminated sessions fail pending operations, and later ones reconnect`() async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningPostgresStore.with(database.location) { running in
      await running.waitUntilConnected()
      try await running.run { try await $0.insertClient(client("alice")) }
      let one = try await running.run { try await $0.add("one") }

      let session = await SQLSession(database.location)
      try await session.run("BEGIN; SELECT 1 FROM devices FOR UPDATE")
      async let pending = running.error { store in
        _ = try await store.renameDevice(one.id, of: alice, to: DeviceName("uno"), at: noon)
      }
      try await session.waitForBlockedStatements()
      #expect(try await session.terminateStore() == PostgresLimits().connections)
      let error = await pending
      #expect(isUnavailable(error), "\(String(describing: error))")
      #expect("\(String(describing: error))".contains("terminating connection"))
      try await session.run("ROLLBACK")

      await running.wait(for: PostgresLimits().connections) { $0.isLoss }
      #expect(try await running.run { try await $0.device(one.id) } == one)
      _ = try await running.run { try await $0.add("two") }
    }
  }

  @Test
  func `Operations fail within the deadline while the server is stopped, and then work again`() async throws {
    try await PostgresCluster.with { cluster in
      let database = try await TestDatabase(.postgres, on: cluster)
      var limits = PostgresLimits()
      limits.waitMilliseconds = 100
      try await RunningPostgresStore.with(database.location, limits: limits) { running in
        await running.waitUntilConnected()
        try await running.run { try await $0.insertClient(client("alice")) }
        await cluster.stop()
        await running.wait(for: PostgresLimits().connections) { $0.isLoss }
        let elapsed = await elapsedMilliseconds {
          #expect(isUnavailable(await running.error { try await $0.ping() }))
          #expect(isUnavailable(await running.error { try await $0.add("one") }))
        }
        #expect(elapsed < stretched(10_000))
        await running.wait(for: 12) { $0.isRefusal }
        await cluster.start()
        await running.waitUntilConnected()
        try await running.run { try await $0.ping() }
        _ = try await running.run { try await $0.add("one") }
      }
    }
  }

  @Test
  func `Operations on a hanging server meet the deadline, and the store reconnects`() async throws {
    try await PostgresCluster.with { cluster in
      let database = try await TestDatabase(.postgres, on: cluster)
      var limits = PostgresLimits()
      limits.statementDeadlineMilliseconds = 1000
      limits.waitMilliseconds = 100
      try await RunningPostgresStore.with(database.location, limits: limits) { running in
        await running.waitUntilConnected()
        try await running.run { try await $0.insertClient(client("alice")) }
        await cluster.freeze()
        let elapsed = await elapsedMilliseconds {
          let error = await running.error { try await $0.ping() }
          #expect(error == .unavailable(cause: "no answer within 1000 ms"))
          #expect(isUnavailable(await running.error { try await $0.add("one") }))
        }
        #expect((1000..<stretched(15_000)).contains(elapsed))
        await cluster.thaw()
        // One connection of each lane was dropped; the others did not notice.
        await running.wait(for: 2) { $0 == .connected }
        try await running.run { try await $0.ping() }
        // The outcome of the write was unknown: it waited in the server's socket.
        let error = await running.error { try await $0.add("one") }
        #expect(error == nil || error == .deviceNameTaken)
      }
    }
  }

  @Test
  func `A store closes immediately while it connects to a hanging server`() async throws {
    let listener = SilentListener()
    var limits = PostgresLimits()
    limits.waitMilliseconds = 60_000
    let elapsed = try await elapsedMilliseconds {
      let url = "postgresql://127.0.0.1:\(listener.port)/x?user=x&connect_timeout=30"
      try await RunningPostgresStore.with(url, limits: limits) { running in
        async let error = running.error { try await $0.ping() }
        try await listener.waitForConnection()
        await running.store.close()
        #expect(await error == .unavailable(cause: "the store was closed"))
        #expect(await running.error { try await $0.ping() } == .unavailable(cause: "the store was closed"))
      }
    }
    #expect(elapsed < stretched(15_000))
  }

  @Test(arguments: [
    "postgresql:///x?host=/nonexistent&user=x", "postgresql://127.0.0.1:1/x?user=x",
    "postgresql://name.invalid/x?user=x",
  ])
  func `Operations fail within the deadline when the server is unreachable`(_ url: String) async throws {
    var limits = PostgresLimits()
    limits.waitMilliseconds = 100
    try await RunningPostgresStore.with(url, limits: limits) { running in
      let elapsed = await elapsedMilliseconds {
        #expect(isUnavailable(await running.error { try await $0.ping() }))
        #expect(isUnavailable(await running.error { try await $0.insertClient(client("alice")) }))
      }
      #expect((200..<stretched(10_000)).contains(elapsed))
    }
  }

  @Test
  func `Operations fail within the deadline when the server accepts but never answers`() async throws {
    let listener = SilentListener()
    var limits = PostgresLimits()
    limits.waitMilliseconds = 100
    let url = "postgresql://127.0.0.1:\(listener.port)/x?user=x&connect_timeout=2"
    try await RunningPostgresStore.with(url, limits: limits) { running in
      #expect(isUnavailable(await running.error { try await $0.ping() }))
      await running.wait(for: 2) { $0.isRefusal }
    }
  }

  @Test
  func `Hosts that refuse the connection are skipped`() async throws {
    let database = try await TestDatabase(.postgres)
    let url = database.location.replacing("host=", with: "host=/nonexistent,")
    try await RunningPostgresStore.with(url) { running in
      try await running.run { try await $0.insertClient(client("alice")) }
      #expect(try await running.run { try await $0.client(alice) } == client("alice"))
    }
  }
}

@Suite("PostgreSQL: the server refuses statements", .timeLimit(.minutes(5))) struct PostgresRefusalTests {
  @Test
  func `Writes to a read-only server are unavailable until it is writable again`() async throws {
    let database = try await TestDatabase(.postgres)
    let session = await SQLSession(database.location)
    let name = try await session.run("SELECT current_database()")[0]
    try await session.run("ALTER DATABASE \(name) SET default_transaction_read_only = on")
    try await RunningPostgresStore.with(database.location) { running in
      await running.waitUntilConnected()
      #expect(isUnavailable(await running.error { try await $0.insertClient(client("alice")) }))
      #expect(try await running.run { try await $0.client(alice) } == nil)
      try await session.run("SET default_transaction_read_only = off")
      try await session.run("ALTER DATABASE \(name) RESET default_transaction_read_only")
      // Each refused write drops its session, so soon all sessions are new.
      var refusals = 0
      while await running.error({ try await $0.insertClient(client("alice")) }) != nil, refusals < 10 {
        refusals += 1
      }
      #expect(try await running.run { try await $0.client(alice) } != nil)
    }
  }

  @Test
  func `Read-only hosts are skipped`() async throws {
    let database = try await TestDatabase(.postgres)
    let session = await SQLSession(database.location)
    let name = try await session.run("SELECT current_database()")[0]
    try await session.run("ALTER DATABASE \(name) SET default_transaction_read_only = on")
    var limits = PostgresLimits()
    limits.waitMilliseconds = 100
    let url = database.location.replacing("host=", with: "host=/nonexistent,")
    try await RunningPostgresStore.with(url, limits: limits) { running in
      #expect(isUnavailable(await running.error { try await $0.ping() }))
      await running.wait {
        if case .connectFailed(let cause) = $0 { cause.contains("read-only") } else { false }
      }
    }
  }

  @Test
  func `A database without tables is unavailable, and the event gives the reason`() async throws {
    let database = try await TestDatabase(.postgres, isMigrated: false)
    var limits = PostgresLimits()
    limits.waitMilliseconds = 100
    try await RunningPostgresStore.with(database.location, limits: limits) { running in
      #expect(isUnavailable(await running.error { try await $0.ping() }))
      await running.wait {
        if case .connectFailed(let cause) = $0 { cause.hasPrefix("42P01") } else { false }
      }
    }
  }

  @Test
  func `A connection is ready only when all statements fit the schema`()
    async throws
  {
    let database = try await TestDatabase(.postgres)
    try await database.sql("ALTER TABLE deliveries RENAME broker_ticket TO ticket")
    var limits = PostgresLimits()
    limits.waitMilliseconds = 100
    try await RunningPostgresStore.with(database.location, limits: limits) { running in
      #expect(isUnavailable(await running.error { try await $0.ping() }))
      await running.wait(for: limits.readConnections) {
        if case .connectFailed(let cause) = $0 { cause.hasPrefix("42703") } else { false }
      }
      try await database.sql("ALTER TABLE deliveries RENAME ticket TO broker_ticket")
      await running.waitUntilConnected()
      try await running.run { try await $0.ping() }
    }
  }

  @Test
  func `An error does not affect other statements in the pipeline`() async throws {
    let database = try await TestDatabase(.postgres)
    var limits = PostgresLimits()
    limits.writeConnections = 1
    try await RunningPostgresStore.with(database.location, limits: limits) { running in
      try await running.run { store in
        try await store.insertClient(client("alice"))
        try await store.add("taken")
        let outcomes = await store.outcomes(40) {
          try await store.add($0.isMultiple(of: 2) ? "taken" : "device \($0)")
        }
        #expect(outcomes == [nil: 20, .deviceNameTaken: 20])
      }
    }
  }

  @Test
  func `Only the statement that the server cancels is unavailable`() async throws {
    let database = try await TestDatabase(.postgres)
    var limits = PostgresLimits()
    limits.writeConnections = 1
    let url = database.location + "&options=-c%20statement_timeout%3D300"
    try await RunningPostgresStore.with(url, limits: limits) { running in
      try await running.run { try await $0.insertClient(client("alice")) }
      let one = try await running.run { try await $0.add("one") }
      let two = try await running.run { try await $0.add("two") }
      let session = await SQLSession(database.location)
      try await session.run("BEGIN; SELECT 1 FROM devices WHERE device_name = 'one' FOR UPDATE")
      async let blocked = running.error { store in
        _ = try await store.renameDevice(one.id, of: alice, to: DeviceName("uno"), at: noon)
      }
      // Another statement on the same connection, sent before, after or while it waits.
      let renamed = try await running.run {
        try await $0.renameDevice(two.id, of: alice, to: DeviceName("due"), at: noon)
      }
      #expect(renamed?.deviceName.text == "due")
      let error = await blocked
      #expect(isUnavailable(error) && "\(String(describing: error))".contains("57014"))
    }
  }

  @Test
  func `Requests beyond the waiting limit are refused, and the others time out`()
    async throws
  {
    var limits = PostgresLimits()
    limits.waiting = 3
    limits.waitMilliseconds = 200
    try await RunningPostgresStore.with("postgresql:///x?host=/nonexistent&user=x", limits: limits) { running in
      let outcomes = try await running.run { store in await store.outcomes(10) { _ in try await store.ping() } }
      #expect(
        outcomes == [
          .overloaded(queue: "postgres connections"): 7,
          .unavailable(cause: "no connection to the database"): 3,
        ])
    }
  }
}
