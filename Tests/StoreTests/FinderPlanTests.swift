import Registry
import Testing

@testable import PostgresStore
@testable import SQLiteStore

@Suite("Finding devices reads one index in its order, without sort or scan") struct FinderPlanTests {
  /// Three clients with many devices each.
  private static let fleet = """
    INSERT INTO clients (id, created_at) SELECT 'client' || i, now() FROM generate_series(1, 3) AS i;
    INSERT INTO groups (client_id, name, created_at, updated_at)
      SELECT 'client' || i, 'g' || g, now(), now() FROM generate_series(1, 3) AS i, generate_series(0, 9) AS g;
    INSERT INTO devices (
      id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at, labels, groups,
      revoked, is_active, suspended_at, expires_at, confirmed_version, confirmed_at
    ) SELECT gen_random_uuid(), 'client' || (i % 3 + 1), 'd' || i, '$argon2id$' || i, sha256('a'), sha256('b'),
        now() - i * interval '1 s', now(),
        jsonb_build_object('role', CASE WHEN i % 10 = 0 THEN 'primary' ELSE 'other' END), 'g' || (i % 10),
        i % 20 = 1, i % 20 <> 1, CASE WHEN i % 20 = 2 THEN now() END, CASE WHEN i % 20 = 3 THEN now() END,
        CASE WHEN i % 20 <> 4 THEN 1 END, CASE WHEN i % 20 <> 4 THEN now() END
      FROM generate_series(1, 30000) AS i;
    ANALYZE
    """

  @Test(arguments: [
    (PostgresStore.findAmongAll.prepared, "", "ix_devices_client_created"),
    (PostgresStore.findAmongRevoked.prepared, "", "ix_devices_client_revoked"),
    (PostgresStore.findAmongSuspended.prepared, "", "ix_devices_client_suspended"),
    (PostgresStore.findAmongExpiring.prepared, "", "ix_devices_client_expiring"),
    (PostgresStore.findAmongUnconfirmed.prepared, "", "ix_devices_client_unconfirmed"),
    (PostgresStore.findInGroup.prepared, "", "ix_device_groups_group"),
    (PostgresStore.findWithLabel.prepared, ", 'role', 'primary'", "ix_device_labels_value"),
    (PostgresStore.findWithKey.prepared, ", 'role'", "ix_device_labels_key"),
  ])
  func `PostgreSQL`(_ statement: PreparedStatement, _ more: String, _ index: String) async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(Self.fleet)
    try await session.run("SET plan_cache_mode = force_generic_plan")
    try await session.run("PREPARE it AS \(statement.sql)")
    // A name that no device has: the page reads as many devices as it may.
    let values =
      "'client1', '-infinity', '00000000-0000-0000-0000-000000000000', 10, 200, now(), now(), NULL, NULL, NULL, 'g0', "
      + "'nothing', NULL, NULL, NULL\(more)"
    let plan = try await session.run("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE it(\(values))")
      .joined(separator: "\n")
    #expect(plan.contains(index), "\(plan)")
    #expect(!plan.contains("Sort") && !plan.contains("Seq Scan on dev"), "\(plan)")
    #expect(plan.contains("rows=200 loops=1"), "\(plan)")
    // The first device that is read meets the conditions: the page of one ends after it.
    let isGroup = statement === PostgresStore.findInGroup.prepared
    let first = values.replacing(", 10, 200,", with: ", 1, 200,")
      .replacing("'g0', 'nothing'", with: "\(isGroup ? "'g0'" : "NULL"), 'd'")
    let short = try await session.run("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE it(\(first))")
      .joined(separator: "\n")
    #expect(!short.contains("rows=200") && short.contains("never executed"), "\(short)")
  }

  @Test func `PostgreSQL counts devices in the order of the list`() async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(Self.fleet)
    try await session.run("SET plan_cache_mode = force_generic_plan")
    try await session.run("PREPARE it AS \(PostgresStore.countDevices.prepared.sql)")
    let plan = try await session.run(
      "EXPLAIN EXECUTE it('client1', '-infinity', '00000000-0000-0000-0000-000000000000', 100, now(), now())"
    ).joined(separator: "\n")
    #expect(plan.contains("ix_devices_client_created"), "\(plan)")
    #expect(!plan.contains("Sort") && !plan.contains("Seq Scan"), "\(plan)")
  }

  @Test(arguments: [
    PostgresStore.selectGroups.prepared, PostgresStore.selectGroup.prepared,
    PostgresStore.clearDeletedGroups.prepared,
  ])
  func `PostgreSQL counts and clears groups from their indexes`(_ statement: PreparedStatement) async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(Self.fleet)
    try await session.run("UPDATE groups SET deleted_at = now() WHERE client_id = 'client2' AND name = 'g1'")
    try await session.run("SET plan_cache_mode = force_generic_plan")
    try await session.run("PREPARE it AS \(statement.sql)")
    let isStep = statement === PostgresStore.clearDeletedGroups.prepared
    let values =
      isStep
      ? "'client2', 10"
      : statement === PostgresStore.selectGroup.prepared
        ? "'client1', 'g1'" : "'client1', '', 5, 2000"
    let plan = try await session.run("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE it(\(values))")
      .joined(separator: "\n")
    // Both indexes of device_groups begin with the group.
    #expect(plan.contains("ix_device_groups_"), "\(plan)")
    #expect(!plan.contains("Seq Scan on dev"), "\(plan)")
    // Two groups of 1,000 devices are counted, and no third one.
    if statement === PostgresStore.selectGroups.prepared {
      #expect(plan.contains("rows=1000 loops=2"), "\(plan)")
    }
  }

  @Test(arguments: [
    (SQLiteStore.findAmongAll.sql, "ix_devices_client_created (client_id=? AND (created_at,id)>(?,?))"),
    (SQLiteStore.findAmongRevoked.sql, "ix_devices_client_revoked (client_id=? AND (created_at,id)>(?,?))"),
    (SQLiteStore.findAmongSuspended.sql, "ix_devices_client_suspended (client_id=? AND (created_at,id)>(?,?))"),
    (SQLiteStore.findAmongExpiring.sql, "ix_devices_client_expiring (client_id=? AND (created_at,id)>(?,?))"),
    (
      SQLiteStore.findAmongUnconfirmed.sql,
      "ix_devices_client_unconfirmed (client_id=? AND (created_at,id)>(?,?))"
    ),
    (
      SQLiteStore.findInGroup.sql,
      "ix_device_groups_group (client_id=? AND group_name=? AND (created_at,device_id)>(?,?))"
    ),
    (
      SQLiteStore.findWithLabel.sql,
      "ix_device_labels_value (client_id=? AND key=? AND value=? AND (created_at,device_id)>(?,?))"
    ),
    (
      SQLiteStore.findWithKey.sql,
      "ix_device_labels_key (client_id=? AND key=? AND (created_at,device_id)>(?,?))"
    ),
    (SQLiteStore.countByStatus.sql, "ix_devices_client_created (client_id=? AND (created_at,id)>(?,?))"),
    (SQLiteStore.selectHolders.sql, "devices_name_unique (client_id=? AND device_name=?)"),
    (SQLiteStore.selectGroups.sql, "ix_device_groups_members (client_id=? AND group_name=?)"),
    (SQLiteStore.leaveGroup.sql, "ix_device_groups_members (client_id=? AND group_name=?)"),
  ])
  func `SQLite`(_ sql: String, _ index: String) async throws {
    let plan = try await PlanTests.sqlitePlan(of: sql)
    #expect(plan.contains { $0.contains(index) }, "\(plan)")
    // What the inner query finds is read as `devices`.
    let scans = plan.filter { $0.hasPrefix("SCAN device") }
    #expect(scans.count == plan.filter { $0 == "CO-ROUTINE devices" }.count, "\(plan)")
    #expect(!plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
  }
}
