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
    ] {
      #expect(throws: SQLRefused.self, "\(statement)") { try database.sql(statement) }
    }
    try database.sql("DELETE FROM devices WHERE device_name = 'one'")
    #expect(try database.sql("SELECT device_count FROM clients WHERE id = 'alice'") == "1")
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

    let third = migration(3, "third", "CREATE TABLE third (id integer)")
    #expect(try database.migrate(known + [third]) == ["0003_third"])
    #expect(throws: MigrationError.outOfOrder("0002_second")) {
      try database.migrate(known + [migration(2, "second", "SELECT 1"), third])
    }

    let broken = migration(4, "broken", "CREATE TABLE fourth (id integer); SELECT nonsense")
    let error = #expect(throws: MigrationError.self) { try database.migrate(known + [third, broken]) }
    guard case .refused("0004_broken", _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(throws: SQLRefused.self) { try database.sql("SELECT * FROM fourth") }
    for error: MigrationError in [
      .changed("0001_x"), .unknown("0001_x"), .outOfOrder("0001_x"), .refused("0001_x", cause: "y"),
    ] { #expect(error.description.contains("0001_x")) }
  }
}
