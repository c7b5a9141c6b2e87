import Migrations
import Registry
import Testing

@Suite("Every database: what hand-written SQL meets") struct SchemaTests {
  @Test("The constraints hold", arguments: StoreKind.allCases)
  func constraints(_ kind: StoreKind) async throws {
    let database = try TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let revoked = try await store.add("one")
      try await store.add("two")
      _ = try await store.revokeDevice(revoked.id, of: alice, at: noon)
    }
    let (yes, no) = kind == .postgres ? ("true", "false") : ("1", "0")
    let key = kind == .postgres ? "'\\x00'::bytea" : "x'00'"
    for statement in [
      "UPDATE devices SET revoked = \(no) WHERE device_name = 'one'",
      "UPDATE devices SET is_active = \(yes) WHERE device_name = 'one'",
      "UPDATE devices SET revoked = \(yes) WHERE device_name = 'two'",
      "UPDATE devices SET client_id = 'bob'",
      "UPDATE devices SET device_name = ''",
      "UPDATE devices SET stored_key = \(key)",
      "UPDATE devices SET server_key = \(key)",
      "UPDATE clients SET id = 'with space' WHERE id = 'bob'",
      "UPDATE clients SET device_count = -1",
      "UPDATE devices SET id = 'x'",
      "UPDATE devices SET is_active = 2 WHERE device_name = 'two'",
      "UPDATE devices SET hmac_key_hash = 'secret' WHERE device_name = 'two'",
    ] + Self.badTimes(kind) {
      #expect(throws: SQLRefused.self, "\(statement)") { try database.sql(statement) }
    }
    try database.sql("DELETE FROM devices WHERE device_name = 'one'")
    #expect(try database.sql("SELECT device_count FROM clients WHERE id = 'alice'") == "1")
  }

  /// Every time column, set to just before the first time that is allowed and just behind the last.
  private static func badTimes(_ kind: StoreKind) -> [String] {
    let times =
      kind == .postgres
      ? ["'1969-12-31T23:59:59.999Z'", "'10000-01-01T00:00:00Z'"] : ["-1", "253402300800000"]
    return times.flatMap { time in
      ["UPDATE clients SET created_at = \(time)"]
        + ["created_at", "updated_at", "last_poll", "last_ack", "last_seen"].map {
          "UPDATE devices SET \($0) = \(time) WHERE device_name = 'two'"
        }
    }
  }

  @Test("The first and the last time that can be shown are stored", arguments: StoreKind.allCases)
  func times(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      for milliseconds: Int64 in [0, 253_402_300_799_999] {
        let added = try await store.add("\(milliseconds)", at: Timestamp(millisecondsSince1970: milliseconds))
        #expect(try await store.device(added.id) == added)
      }
    }
  }

  @Test("SQLite: REPLACE does not undo a revocation, and a client's devices go without foreign keys")
  func sqliteShell() async throws {
    let database = try TestDatabase(.sqlite)
    let device = try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      try await store.add("kept", of: "bob")
      let device = try await store.add("one")
      _ = try await store.revokeDevice(device.id, of: alice, at: noon)
      return device
    }
    let columns = "client_id, hmac_key_hash, stored_key, server_key, created_at, updated_at"
    let refused = #expect(throws: SQLRefused.self) {
      try database.sql(
        "INSERT OR REPLACE INTO devices (id, device_name, \(columns)) SELECT id, 'new', \(columns) FROM devices"
      )
    }
    #expect(refused?.message == "a device with this id exists")
    #expect(try database.sql("SELECT revoked FROM devices WHERE id = '\(device.id)'") == "1")
    // A connection of its own has foreign_keys off.
    try database.sql("DELETE FROM clients WHERE id = 'alice'")
    #expect(try database.sql("SELECT group_concat(device_name) FROM devices") == "kept")
    #expect(try database.sql("SELECT device_count FROM clients") == "1")
    #expect(throws: SQLRefused.self) {
      try database.sql("INSERT INTO clients (id, created_at) VALUES ('eve' || char(0) || 'x', 0)")
    }
  }

  @Test("PostgreSQL: TRUNCATE is counted", arguments: ["devices", "clients CASCADE"])
  func truncate(_ tables: String) async throws {
    let database = try TestDatabase(.postgres)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.add("one")
    }
    try database.sql("TRUNCATE \(tables)")
    #expect(try database.sql("SELECT sum(device_count) FROM clients") == (tables == "devices" ? "0" : ""))
  }

  @Test("The secret's hash is stored", arguments: StoreKind.allCases)
  func hash(_ kind: StoreKind) async throws {
    let database = try TestDatabase(kind)
    let secret = verifier()
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.insertDevice(newDevice("one"), verifier: secret, maxDevices: 1)
    }
    #expect(try database.sql("SELECT hmac_key_hash FROM devices") == secret.hmacKeyHash)
  }

  @Test(
    "Migrations run once, and processes that start at once wait for each other", arguments: StoreKind.allCases)
  func once(_ kind: StoreKind) async throws {
    let database = try TestDatabase(kind, isMigrated: false)
    let applied = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<3 { group.addTask { try database.migrate() } }
      return try await group.reduce([], +)
    }
    #expect(applied == database.migrations.map(\.label))
    #expect(try database.migrate() == [])
  }

  @Test("A migration that changed, is unknown or comes too late is refused", arguments: StoreKind.allCases)
  func refused(_ kind: StoreKind) throws {
    let database = try TestDatabase(kind)
    let known = database.migrations
    func migration(_ number: Int, _ name: String, _ sql: String) -> Migration {
      Migration(number: number, name: name, sql: Array(sql.utf8))
    }
    #expect(throws: MigrationError.changed("0001_clients_and_devices")) {
      try database.migrate([migration(1, "clients_and_devices", "SELECT 1")])
    }
    #expect(throws: MigrationError.unknown("0001_clients_and_devices")) { try database.migrate([]) }

    // The number after the next is taken first.
    let late = migration(known.count + 1, "late", "SELECT 1")
    let early = migration(known.count + 2, "early", "CREATE TABLE early (id integer)")
    #expect(try database.migrate(known + [early]) == [early.label])
    #expect(throws: MigrationError.outOfOrder(late.label)) { try database.migrate(known + [late, early]) }

    let broken = migration(
      known.count + 3, "broken", "CREATE TABLE unfinished (id integer); SELECT nonsense")
    let error = #expect(throws: MigrationError.self) { try database.migrate(known + [early, broken]) }
    guard case .refused(broken.label, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(throws: SQLRefused.self) { try database.sql("SELECT * FROM unfinished") }
    for error: MigrationError in [
      .changed("0001_x"), .unknown("0001_x"), .outOfOrder("0001_x"), .refused("0001_x", cause: "y"),
    ] { #expect(error.description.contains("0001_x")) }
  }
}
