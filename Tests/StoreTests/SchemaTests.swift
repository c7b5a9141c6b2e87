import Migrations
import Registry
import Testing

@Suite("Every database: constraints, triggers and migrations") struct SchemaTests {
  @Test(arguments: StoreKind.allCases)
  func `The constraints on clients and devices hold`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
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
      await #expect(throws: SQLRefused.self, "\(statement)") { try await database.sql(statement) }
    }
    try await database.sql("DELETE FROM devices WHERE device_name = 'one'")
    #expect(try await database.sql("SELECT device_count FROM clients WHERE id = 'alice'") == "1")
  }

  /// Every time column, set to just before the first allowed time and just after the last.
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

  @Test(arguments: StoreKind.allCases)
  func `The first and the last allowed time are stored`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      for milliseconds: Int64 in [0, 253_402_300_799_999] {
        let added = try await store.add("\(milliseconds)", at: Timestamp(millisecondsSince1970: milliseconds))
        #expect(try await store.device(added.id) == added)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The constraints on credentials and signals hold`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    let signal = newSignal()
    let device = try await database.withStore { store in
      let (id, secret) = try await store.addDevice()
      try await store.send(signal, to: id)
      _ = try await store.addToken(of: id, secret)
      return id
    }
    func bytes(_ count: Int) -> String {
      let digits = String(repeating: "00", count: count)
      return kind == .postgres ? "'\\x\(digits)'::bytea" : "x'\(digits)'"
    }
    func text(_ length: Int) -> String { "'\(String(repeating: "x", count: length))'" }
    let time = kind == .postgres ? "'2025-11-24T12:00:00Z'" : "1763985600000"
    let tooEarly = kind == .postgres ? "'1969-12-31T23:59:59.999Z'" : "-1"
    let rotation = [
      "next_hmac_key_hash = '$argon2id$x'", "next_stored_key = \(bytes(32))", "next_server_key = \(bytes(32))",
      "grace_expires_at = \(time)",
    ]
    // The columns of a rotation are all set or all null.
    var refused = rotation.indices.flatMap { index in
      var rest = rotation
      let one = rest.remove(at: index)
      return ["UPDATE devices SET \(one)", "UPDATE devices SET \(rest.joined(separator: ", "))"]
    }
    // One of the columns is invalid.
    for (index, wrong) in [
      "next_hmac_key_hash = 'secret'", "next_stored_key = \(bytes(31))", "next_server_key = \(bytes(33))",
      "grace_expires_at = \(tooEarly)",
    ].enumerated() {
      var values = rotation
      values[index] = wrong
      refused.append("UPDATE devices SET \(values.joined(separator: ", "))")
    }
    let unknown = newID()
    refused += [
      "UPDATE device_tokens SET token_hash = \(bytes(31))",
      "UPDATE device_tokens SET created_at = \(tooEarly)",
      "UPDATE device_tokens SET expires_at = \(tooEarly)",
      "INSERT INTO device_tokens SELECT * FROM device_tokens",
      "UPDATE signals SET payload = \(text(16_385))",
      "UPDATE signals SET devices = -1",
      "UPDATE signals SET created_at = \(tooEarly)",
      "UPDATE signals SET expires_at = \(tooEarly)",
      "UPDATE signals SET id = 'x'",
      "UPDATE deliveries SET status = 'done', acked_at = \(time)",
      "UPDATE deliveries SET status = 'placed'",
      "UPDATE deliveries SET acked_at = \(time)",
      "UPDATE deliveries SET error = 'x'",
      "UPDATE deliveries SET broker_ticket = 'x'",
      "UPDATE deliveries SET status = 'placed', acked_at = \(tooEarly)",
      "UPDATE deliveries SET status = 'placed', acked_at = \(time), broker_ticket = \(text(65))",
      "UPDATE deliveries SET status = 'placed', acked_at = \(time), error = \(text(501))",
      "INSERT INTO deliveries (signal_id, device_id) VALUES ('\(signal.id)', '\(device)')",
    ]
    if kind == .postgres {
      // The sqlite3 shell does not enforce foreign keys by default.
      refused += [
        "UPDATE device_tokens SET device_id = '\(unknown)'",
        "UPDATE signals SET client_id = 'carol'",
        "INSERT INTO deliveries (signal_id, device_id) VALUES ('\(unknown)', '\(device)')",
        "INSERT INTO deliveries (signal_id, device_id) VALUES ('\(signal.id)', '\(unknown)')",
      ]
    }
    for statement in refused {
      await #expect(throws: SQLRefused.self, "\(statement)") { try await database.sql(statement) }
    }
    // Values at the bounds are stored.
    for statement in [
      "UPDATE devices SET \(rotation.joined(separator: ", "))",
      "UPDATE signals SET payload = \(text(16_384))",
      """
      UPDATE deliveries SET status = 'failed', acked_at = \(time), broker_ticket = \(text(64)), error = \(text(500))
      """,
    ] { try await database.sql(statement) }
  }

  @Test(arguments: StoreKind.allCases)
  func `Later migrations keep the data of the first, whose devices can rotate`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind, isMigrated: false)
    let (first, second) = (verifier(), verifier())
    let one = try newDevice("one")
    func bytes(_ bytes: [UInt8]) -> String {
      let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      return kind == .postgres ? "'\\x\(digits)'::bytea" : "x'\(digits)'"
    }
    let time = kind == .postgres ? "'\(noon)'" : "\(noon.millisecondsSince1970)"
    try await database.migrate([database.kind.migrations[0]])
    try await database.sql("INSERT INTO clients (id, created_at) VALUES ('alice', \(time))")
    try await database.sql(
      """
      INSERT INTO devices (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)
      VALUES ('\(one.id)', 'alice', 'one', '\(first.hmacKeyHash)', \(bytes(first.storedKey)),
        \(bytes(first.serverKey)), \(time), \(time))
      """)
    #expect(try await database.migrate() == database.kind.migrations.dropFirst().map(\.label))
    try await database.withStore { (store) async throws in
      let migrated = try #require(try await store.device(one.id))
      // Its mode is as old as the migration.
      let mode = TradingMode(since: migrated.tradingMode.since)
      #expect(migrated == one.with(mode))
      func expected(next: SecretVerifier?, until end: Timestamp?) -> DeviceCredentials {
        DeviceCredentials(
          deviceID: one.id, clientID: alice, access: access(.active, mode), current: first, next: next,
          graceExpiresAt: end)
      }
      #expect(try await store.credentials(of: one.id) == expected(next: nil, until: nil))
      let end = noon.plus(seconds: 60)
      #expect(try await store.rotate(one.id, to: second, until: end) == end)
      #expect(try await store.credentials(of: one.id) == expected(next: second, until: end))
      #expect(try await store.deleteClient(alice) == true)
      try await store.clearDeletedClients()
    }
    #expect(try await database.sql("SELECT count(*) FROM devices") == "0")
  }

  @Test
  func `SQLite: deletions cascade without foreign keys, and no text contains a NUL`()
    async throws
  {
    let database = try await TestDatabase(.sqlite)
    let (id, other) = try await database.withStore { store in
      let (id, secret) = try await store.addDevice()
      let other = try await store.add("two").id
      _ = try await store.addToken(of: id, secret)
      try await store.send(to: id, other)
      try await store.send(to: id)
      return (id, other)
    }
    for column in ["broker_ticket", "error"] {
      await #expect(throws: SQLRefused.self) {
        try await database.sql(
          "UPDATE deliveries SET status = 'failed', acked_at = 0, \(column) = 'x' || char(0)")
      }
    }
    await #expect(throws: SQLRefused.self) {
      try await database.sql("UPDATE signals SET payload = '{}' || char(0)")
    }
    func count(_ table: String) async throws -> String? {
      try await database.sql("SELECT count(*) FROM \(table)")
    }
    // Foreign keys are off on a separate connection.
    try await database.sql("DELETE FROM devices WHERE id = '\(id)'")
    #expect(try await count("device_tokens") == "0")
    #expect(try await count("signals") == "2")
    #expect(try await database.sql("SELECT group_concat(device_id) FROM deliveries") == "\(other)")
    try await database.sql("DELETE FROM signals WHERE devices = 2")
    #expect(try await count("deliveries") == "0")
    #expect(try await count("signals") == "1")
    try await database.sql("DELETE FROM clients")
    #expect(try await count("signals") == "0")
    #expect(try await count("devices") == "0")
  }

  @Test
  func `SQLite: REPLACE does not undo a revocation, and deleting a client cascades without foreign keys`()
    async throws
  {
    let database = try await TestDatabase(.sqlite)
    let device = try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      try await store.add("kept", of: "bob")
      let device = try await store.add("one")
      _ = try await store.revokeDevice(device.id, of: alice, at: noon)
      return device
    }
    let columns = "client_id, hmac_key_hash, stored_key, server_key, created_at, updated_at"
    let refused = await #expect(throws: SQLRefused.self) {
      try await database.sql(
        "INSERT OR REPLACE INTO devices (id, device_name, \(columns)) SELECT id, 'new', \(columns) FROM devices"
      )
    }
    #expect(refused?.message == "a device with this id exists")
    #expect(try await database.sql("SELECT revoked FROM devices WHERE id = '\(device.id)'") == "1")
    // Foreign keys are off on a separate connection.
    try await database.sql("DELETE FROM clients WHERE id = 'alice'")
    #expect(try await database.sql("SELECT group_concat(device_name) FROM devices") == "kept")
    #expect(try await database.sql("SELECT device_count FROM clients") == "1")
    await #expect(throws: SQLRefused.self) {
      try await database.sql("INSERT INTO clients (id, created_at) VALUES ('eve' || char(0) || 'x', 0)")
    }
  }

  @Test(arguments: ["devices CASCADE", "clients CASCADE"])
  func `PostgreSQL: TRUNCATE updates the device count`(_ tables: String) async throws {
    let database = try await TestDatabase(.postgres)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.add("one")
    }
    try await database.sql("TRUNCATE \(tables)")
    #expect(
      try await database.sql("SELECT sum(device_count) FROM clients")
        == (tables.hasPrefix("devices") ? "0" : ""))
  }

  @Test(arguments: StoreKind.allCases)
  func `The secret's hash is stored`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    let secret = verifier()
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.insertDevice(newDevice("one"), verifier: secret, maxDevices: 1)
    }
    #expect(try await database.sql("SELECT hmac_key_hash FROM devices") == secret.hmacKeyHash)
  }

  @Test(arguments: StoreKind.allCases)
  func `Migrations run once, and processes that start at once wait for each other`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind, isMigrated: false)
    let applied = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<3 { group.addTask { try await database.migrate() } }
      return try await group.reduce([], +)
    }
    // Another process may apply the second one in between, and end first.
    #expect(applied.sorted() == database.kind.migrations.map(\.label))
    #expect(try await database.migrate() == [])
  }

  @Test(arguments: StoreKind.allCases)
  func `A migration that changed, is unknown or precedes an applied one is refused`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind)
    let known = database.kind.migrations
    func migration(_ number: Int, _ name: String, _ sql: String) -> Migration {
      Migration(number: number, name: name, sql: Array(sql.utf8))
    }
    await #expect(throws: MigrationError.changed("0001_clients_and_devices")) {
      try await database.migrate([migration(1, "clients_and_devices", "SELECT 1")])
    }
    await #expect(throws: MigrationError.unknown("0001_clients_and_devices")) { try await database.migrate([]) }

    // A later number is applied first.
    let late = migration(known.count + 1, "late", "SELECT 1")
    let early = migration(known.count + 2, "early", "CREATE TABLE early (id integer)")
    #expect(try await database.migrate(known + [early]) == [early.label])
    await #expect(throws: MigrationError.outOfOrder(late.label)) {
      try await database.migrate(known + [late, early])
    }

    let broken = migration(
      known.count + 3, "broken", "CREATE TABLE unfinished (id integer); SELECT nonsense")
    let error = await #expect(throws: MigrationError.self) {
      try await database.migrate(known + [early, broken])
    }
    guard case .refused(broken.label, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    await #expect(throws: SQLRefused.self) { try await database.sql("SELECT * FROM unfinished") }
    for error: MigrationError in [
      .changed("0001_x"), .unknown("0001_x"), .outOfOrder("0001_x"), .refused("0001_x", cause: "y"),
    ] { #expect(error.description.contains("0001_x")) }
  }
}
