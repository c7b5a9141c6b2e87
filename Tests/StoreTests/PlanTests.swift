import Registry
import Testing

@testable import PostgresStore
@testable import SQLiteStore

@Suite("Queries use their index, and neither sort nor scan") struct PlanTests {
  /// A statement, its example parameters, and the index that serves it.
  @Test(
    "PostgreSQL",
    arguments: [
      (PostgresStatement.device, "gen_random_uuid()", "devices_pkey"),
      (.devices, "'client 7', now(), gen_random_uuid(), 10", "ix_devices_client_created"),
      (.clients, "now(), '', 10", "ix_clients_created"),
      (.renameDevice, "gen_random_uuid(), 'client7', 'x', now()", "devices_pkey"),
      (.checkRegistration, "'client7', 'x', 5", "devices_name_unique"),
    ])
  func postgres(_ statement: PostgresStatement, _ values: String, _ index: String) throws {
    let database = try TestDatabase(.postgres)
    let session = SQLSession(database.location)
    try session.run(
      """
      INSERT INTO clients (id, created_at) SELECT 'client' || i, now() - i * interval '1 s'
        FROM generate_series(1, 500) i;
      INSERT INTO devices (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)
        SELECT gen_random_uuid(), 'client' || (i % 500 + 1), 'd' || i, '$argon2id$' || i,
          sha256('a'), sha256('b'), now() - i * interval '1 s', now()
        FROM generate_series(1, 10000) i;
      ANALYZE clients; ANALYZE devices; SET plan_cache_mode = force_generic_plan
      """)
    try session.run("PREPARE it AS \(statement.sql)")
    let plan = try session.run("EXPLAIN EXECUTE it(\(values))").joined(separator: "\n")
    #expect(plan.contains(index), "\(plan)")
    #expect(!plan.contains("Sort") && !plan.contains("Seq Scan"), "\(plan)")
  }

  @Test(
    "SQLite",
    arguments: [
      (SQLiteStore.selectDevice, "sqlite_autoindex_devices_1"),
      (SQLiteStore.selectDevices, "ix_devices_client_created (client_id=? AND (created_at,id)>(?,?))"),
      (SQLiteStore.selectClients, "ix_clients_created"),
      (SQLiteStore.updateName, "sqlite_autoindex_devices_1"),
    ])
  func sqlite(_ sql: String, _ index: String) throws {
    let database = try TestDatabase(.sqlite)
    let connection = try SQLiteConnection(
      path: database.location, isReader: true, busyTimeoutMilliseconds: 1000)
    let plan = try connection.run("EXPLAIN QUERY PLAN " + sql) { $0.text(3) }
    #expect(plan.count == 1 && plan[0].contains("USING INDEX \(index)"), "\(plan)")
  }
}
