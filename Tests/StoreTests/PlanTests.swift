import Registry
import Testing

@testable import PostgresStore
@testable import SQLiteStore

@Suite("Query plans use an index, without sort or scan") struct PlanTests {
  /// A statement, its example parameters, and the index that serves it.
  @Test(arguments: [
    (PostgresStore.selectDevice.prepared, "gen_random_uuid()", "devices_pkey"),
    (
      PostgresStore.selectDevices.prepared, "'client 7', now(), gen_random_uuid(), 10",
      "ix_devices_client_created"
    ),
    (PostgresStore.selectClients.prepared, "now(), '', 10", "ix_clients_created"),
    (PostgresStore.renameDevice.prepared, "gen_random_uuid(), 'client7', \(change), 'x'", "devices_pkey"),
    (
      PostgresStore.renameDevices.prepared,
      "ARRAY[gen_random_uuid()], ARRAY['client7'], \(changes), ARRAY['x']", "devices_pkey"
    ),
    (
      PostgresStore.revokeDevice.prepared, "gen_random_uuid(), 'client7', \(change)",
      "ix_devices_client_unrevoked"
    ),
    (
      PostgresStore.revokeDevices.prepared, "ARRAY[gen_random_uuid()], ARRAY['client7'], \(changes)",
      "devices_pkey"
    ),
    (PostgresStore.suspendDevice.prepared, "gen_random_uuid(), 'client7', \(change), NULL", "devices_pkey"),
    (PostgresStore.resumeDevice.prepared, "gen_random_uuid(), 'client7', \(change)", "devices_pkey"),
    (
      PostgresStore.deleteDevice.prepared, "gen_random_uuid(), 'client7', \(change), 10", "ix_deliveries_device"
    ),
    (PostgresStore.recordResumptions.prepared, "\(change), 10", "ix_devices_suspended_until"),
    (PostgresStore.checkRegistration.prepared, "'client7', 'x', 5", "devices_name_unique"),
    (PostgresStore.selectCredentials.prepared, "gen_random_uuid()", "devices_pkey"),
    (PostgresStore.selectToken.prepared, "sha256('1'), now()", "device_tokens_pkey"),
    (
      PostgresStore.rotateSecret.prepared,
      "gen_random_uuid(), 'client7', 'x', sha256('1'), sha256('1'), now(), \(change), 'client7', 'k', 'r'",
      "ix_devices_client_unrevoked"
    ),
    (
      PostgresStore.promoteNextSecret.prepared, "gen_random_uuid(), 'client7', 'x', \(change)",
      "devices_pkey"
    ),
    (PostgresStore.removeTokens.prepared, "now(), 100", "ix_device_tokens_expires"),
    (PostgresStore.selectSealingKeys.prepared, "10", "ix_devices_sealed"),
    (PostgresStore.selectNextSealingKeys.prepared, "10", "ix_devices_next_sealed"),
    (PostgresStore.selectDevicesToSeal.prepared, "gen_random_uuid(), 10", "devices_pkey"),
    (PostgresStore.selectSignals.prepared, "'client7', gen_random_uuid(), 10", "ix_signals_client"),
    (PostgresStore.selectSignal.prepared, "gen_random_uuid()", "signals_pkey"),
    (PostgresStore.selectDeliveries.prepared, "gen_random_uuid(), gen_random_uuid(), 10", "deliveries_pkey"),
  ])
  func `PostgreSQL`(_ statement: PreparedStatement, _ values: String, _ index: String) async throws {
    let database = try await TestDatabase(.postgres)
    let session = await SQLSession(database.location)
    try await session.run(Self.manyRows)
    try await session.run("SET plan_cache_mode = force_generic_plan")
    try await session.run("PREPARE it AS \(statement.sql)")
    let plan = try await session.run("EXPLAIN EXECUTE it(\(values))").joined(separator: "\n")
    #expect(plan.contains(index), "\(plan)")
    #expect(!plan.contains("Sort") && !plan.contains("Seq Scan"), "\(plan)")
  }

  /// Example values of a change, and of one in each array.
  private static let change = "now(), 'owner', NULL, NULL, NULL"
  private static let changes = "ARRAY[now()], ARRAY['owner'], ARRAY['a'], ARRAY['b'], ARRAY['c']"

  /// A client with 1,000 devices among others', and a month of hours of each.
  @Test func `PostgreSQL reads a day of many devices and a year of one from the primary key`() async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(
      """
      INSERT INTO device_stats (client_id, device_id, hour, polls)
        SELECT 'client' || d % 4, lpad(to_hex(d), 32, '0')::uuid, timestamptz '2026-01-01Z' + h * interval '1 h', 1
        FROM generate_series(1, 800) AS d, generate_series(0, 719) AS h;
      ANALYZE device_stats;
      SET plan_cache_mode = force_generic_plan;
      PREPARE it AS \(PostgresStore.selectStatistics.prepared.sql)
      """)
    func plan(_ devices: String, _ from: String, _ to: String) async throws -> String {
      let ids = try await session.run("SELECT array_agg(lpad(to_hex(d), 32, '0')::uuid) FROM \(devices) AS d")[
        0]
      return try await session.run(
        "EXPLAIN (ANALYZE, TIMING OFF) EXECUTE it('client1', '\(ids)', '\(from)', '\(to)', 3600, false)"
      ).joined(separator: "\n")
    }
    for (devices, from, to, rows) in [
      ("generate_series(1, 332, 4)", "2026-01-10Z", "2026-01-11Z", 83 * 24),
      ("generate_series(1, 1)", "2026-01-01Z", "2027-01-01Z", 720),
    ] {
      let plan = try await plan(devices, from, to)
      #expect(plan.contains("device_stats_pkey") && !plan.contains("Seq Scan"), "\(plan)")
      #expect(plan.contains("rows=\(rows) loops=1"), "\(plan)")
      #expect(!plan.contains("Rows Removed by"), "\(plan)")
    }
  }

  @Test func `PostgreSQL finds presence by ids, and what is due by its index`() async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(Self.manyRows)
    try await session.run("SET plan_cache_mode = force_generic_plan; BEGIN")
    try await session.run("PREPARE it AS \(PostgresStore.recordOffline.prepared.sql)")
    let plan = try await session.run("EXPLAIN EXECUTE it(\(Self.change), 90000, 10)").joined(separator: "\n")
    #expect(plan.contains("ix_devices_online_until") && !plan.contains("Seq Scan"), "\(plan)")
  }

  @Test
  func `SQLite reads statistics from the primary key, and sorts only what it has summed`() async throws {
    let database = try await TestDatabase(.sqlite)
    let connection = try SQLiteConnection(
      path: database.location, isReader: true, busyTimeoutMilliseconds: 1000)
    let plan = try connection.execute(Self.explain(SQLiteStore.selectStatistics.sql))
    #expect(
      plan.contains {
        $0.contains("device_stats USING PRIMARY KEY (client_id=? AND device_id=? AND hour>? AND hour<?)")
      }, "\(plan)")
  }

  @Test func `PostgreSQL finds deliveries that were handed out by their keys`() async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(Self.manyRows)
    try await session.run("SET plan_cache_mode = force_generic_plan")
    try await session.run("PREPARE it AS \(PostgresStore.recordHandOuts.prepared.sql)")
    let values = "ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY['client7'], ARRAY[now()]"
    let plan = try await session.run("EXPLAIN EXECUTE it(\(values))").joined(separator: "\n")
    #expect(plan.contains("deliveries_pkey") && !plan.contains("Seq Scan"), "\(plan)")
  }

  @Test func `PostgreSQL: a page of events is read from the client's index`() async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(
      """
      INSERT INTO events (type, at, client_id, actor_kind)
        SELECT 'device.updated', now(), 'client' || i % 500, 'owner' FROM generate_series(1, 50000) AS i;
      ANALYZE;
      SET plan_cache_mode = force_generic_plan;
      PREPARE it AS \(PostgresStore.selectEvents.prepared.sql)
      """)
    let plan = try await session.run("EXPLAIN EXECUTE it('client7', 0, '0', 0, 100, NULL, NULL, 100)")
      .joined(separator: "\n")
    #expect(plan.contains("Index Scan using ix_events_client"), "\(plan)")
    #expect(!plan.contains("Seq Scan on events"), "\(plan)")
    try await session.run("PREPARE recent AS \(PostgresStore.selectEventBeforeLast.prepared.sql)")
    let recent = try await session.run("EXPLAIN EXECUTE recent('client7', 100)").joined(separator: "\n")
    #expect(recent.contains("Scan Backward using ix_events_client"), "\(recent)")
    try await session.run("PREPARE hidden AS \(PostgresStore.selectFirstHidden.prepared.sql)")
    let hidden = try await session.run("EXPLAIN EXECUTE hidden").joined(separator: "\n")
    #expect(hidden.contains("using events_pkey") && hidden.contains("Index Cond: (ROW("), "\(hidden)")
  }

  /// A device for which `expired` signals have expired and `pending` have not.
  @Test(arguments: [(300_000, 20), (0, 10_000)])
  func `PostgreSQL reads a poll's pending deliveries from the index, and joins only the oldest`(
    _ expired: Int, _ pending: Int
  ) async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(Self.manyRows)
    let device = "'\(try await session.run("SELECT id FROM devices WHERE device_name = 'd1'")[0])'"
    try await session.run(
      """
      DELETE FROM deliveries WHERE device_id = \(device);
      INSERT INTO signals (id, client_id, payload, devices, created_at, expires_at)
        SELECT ('a' || lpad(to_hex(i), 31, '0'))::uuid, 'client2', '{}', 1, now(),
          now() + CASE WHEN i > \(expired) THEN 1 ELSE -1 END * interval '1 h'
        FROM generate_series(1, \(expired + pending)) AS i;
      INSERT INTO deliveries (signal_id, device_id, expires_at)
        SELECT id, \(device), expires_at FROM signals WHERE id >= 'a0000000-0000-0000-0000-000000000000';
      ANALYZE;
      SET plan_cache_mode = force_generic_plan;
      PREPARE it AS \(PostgresStore.selectDeviceSignals.prepared.sql)
      """)
    let plan = try await session.run(
      "EXPLAIN (ANALYZE, TIMING OFF) EXECUTE it(\(device), now(), 100, 'client2')"
    )
    .joined(separator: "\n")
    #expect(plan.contains("acked_at IS NULL") && plan.contains("expires_at >"), "\(plan)")
    #expect(plan.contains("ix_deliveries_device") && plan.contains("signals_pkey"), "\(plan)")
    #expect(!plan.contains("Seq Scan"), "\(plan)")
    // That many signals were looked up.
    #expect(plan.contains("(actual rows=1 loops=\(min(pending, 100)))"), "\(plan)")
    let rows = try await session.run("EXECUTE it(\(device), now(), 100, 'client2')")
    #expect(rows.count == min(pending, 100) && rows == rows.sorted())
  }

  /// Enough rows for a scan to cost more than an index.
  private static let manyRows = """
    INSERT INTO clients (id, created_at) SELECT 'client' || i, now() - i * interval '1 s'
      FROM generate_series(1, 500) i;
    INSERT INTO devices (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)
      SELECT gen_random_uuid(), 'client' || (i % 500 + 1), 'd' || i, '$argon2id$' || i,
        sha256('a'), sha256('b'), now() - i * interval '1 s', now()
      FROM generate_series(1, 10000) i;
    INSERT INTO groups (client_id, name, created_at, updated_at)
      SELECT 'client' || i, 'g' || g, now(), now() FROM generate_series(1, 500) AS i, generate_series(1, 4) AS g;
    INSERT INTO device_tokens (token_hash, device_id, created_at, expires_at)
      SELECT sha256(id::text::bytea), id, now(), now() + random() * interval '1 h' FROM devices;
    INSERT INTO signals (id, client_id, payload, devices, created_at, expires_at)
      SELECT lpad(to_hex(i), 32, '0')::uuid, 'client' || (i % 500 + 1), '{}', 2, now(),
        now() + random() * interval '1 h'
      FROM generate_series(1, 10000) i;
    INSERT INTO deliveries (signal_id, device_id, expires_at, status, acked_at)
      SELECT signals.id, devices.id, signals.expires_at, ack.status, ack.acked_at
      FROM signals JOIN devices USING (client_id)
        LEFT JOIN (SELECT 'placed', now()) AS ack (status, acked_at) ON random() < 0.9
      WHERE random() < 0.2 ORDER BY signals.id;
    INSERT INTO device_stats (client_id, device_id, hour)
      SELECT client_id, id, date_bin('1 hour', now(), 'epoch') - h * interval '1 h'
      FROM devices, generate_series(0, 2) AS h;
    INSERT INTO events (type, at, client_id, actor_kind)
      SELECT 'device.updated', now() - interval '1 h', 'client' || i % 500, 'owner' FROM generate_series(1, 10000) AS i;
    INSERT INTO groups (client_id, name, created_at, updated_at) SELECT id, 'g', now(), now() FROM clients;
    UPDATE devices SET groups = 'g', labels = '{"a": "b"}' WHERE device_name LIKE '%0';
    ANALYZE
    """

  @Test(arguments: [
    ("insert_token(sha256('x'), id, client_id, hmac_key_hash, now(), now(), 10, 60)", "device_tokens"),
    ("start_signal(id, client_id, '{}', now(), now(), 10, 10, 10, 10, ARRAY[id], NULL, NULL)", "signals"),
    ("start_signal(id, client_id, '{}', now(), now(), 100, 100, 100, 100, NULL, NULL, NULL)", "devices"),
    ("start_signal(id, client_id, '{}', now(), now(), 100, 100, 100, 5, NULL, NULL, NULL)", "devices"),
    ("continue_signal((SELECT id FROM unfinished), id, 1, 5, NULL, NULL)", "devices"),
    ("selected_devices(client_id, 'g', NULL, id, 5)", "device_groups"),
    ("selected_devices(client_id, 'g', NULL, id, 5)", "devices"),
    ("selected_devices(client_id, NULL, '{\"a\": \"b\"}', id, 5)", "device_labels"),
    ("selected_devices(client_id, NULL, NULL, id, 5)", "devices"),
    ("remove_signals(now() + interval '10 min', now(), 20)", "signals"),
    ("remove_signals(now() + interval '10 min', now(), 20)", "deliveries"),
    ("clear_deleted_clients(NULL, 1000, \(change))", "signals"),
    ("clear_deleted_clients(NULL, 1000, \(change))", "deliveries"),
    ("clear_deleted_clients(NULL, 1000, \(change))", "device_tokens"),
    ("remove_events(now(), 100)", "events"),
    ("settle_signals(now() + interval '10 min', 20)", "deliveries"),
    ("settle_signals(now() + interval '10 min', 20)", "signals"),
    ("remove_stats(now() - interval '1 h', 20)", "device_stats"),
    ("clear_deleted_clients('client7', 1000, \(change))", "devices"),
  ])
  func `PostgreSQL, inside its functions`(_ call: String, _ table: String) async throws {
    let database = try await TestDatabase(.postgres)
    let session = await SQLSession(database.location)
    try await session.run(Self.manyRows)
    try await session.run(
      """
      UPDATE signals SET is_visible = false WHERE id = '00000000-0000-0000-0000-000000000001';
      UPDATE clients SET deleted_at = now() WHERE id = 'client7';
      DELETE FROM deliveries WHERE signal_id = '00000000-0000-0000-0000-000000000001';
      CREATE TEMPORARY TABLE unfinished AS SELECT id FROM signals WHERE NOT is_visible;
      CREATE TEMPORARY TABLE one AS SELECT * FROM devices WHERE client_id <> 'client7' LIMIT 1
      """)
    try await session.run("SET plan_cache_mode = force_generic_plan; BEGIN")
    let scans = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = '\(table)'"
    let before = try await session.run(scans)
    try await session.run("SELECT \(call) FROM one")
    #expect(try await session.run(scans) == before)
  }

  @Test
  func `SQLite: a poll reads the index only, without what is acknowledged or expired, and sorts only ids`()
    async throws
  {
    let database = try await TestDatabase(.sqlite)
    let connection = try SQLiteConnection(
      path: database.location, isReader: true, busyTimeoutMilliseconds: 1000)
    let plan = try connection.execute(Self.explain(SQLiteStore.selectDeviceSignals.sql))
    #expect(
      plan == [
        "MERGE (UNION ALL)", "LEFT", "CO-ROUTINE (subquery-4)",
        "SEARCH deliveries USING COVERING INDEX ix_deliveries_device (device_id=? AND acked_at=? AND expires_at>?)",
        "LIST SUBQUERY 2", "SCAN signals USING COVERING INDEX ix_signals_invisible", "LIST SUBQUERY 3",
        "SEARCH signals USING COVERING INDEX ix_signals_cancelled (client_id=? AND expires_at>?)",
        "USE TEMP B-TREE FOR ORDER BY", "SCAN (subquery-4)",
        "SEARCH signals USING INDEX sqlite_autoindex_signals_1 (id=?)", "CORRELATED SCALAR SUBQUERY 1",
        "SEARCH deliveries USING PRIMARY KEY (signal_id=? AND device_id=?)", "USE TEMP B-TREE FOR ORDER BY",
        "RIGHT",
        "CO-ROUTINE (subquery-8)", "MERGE (UNION)", "LEFT", "CO-ROUTINE (subquery-6)",
        "SEARCH signals USING COVERING INDEX ix_signals_cancelled (client_id=? AND expires_at>?)",
        "USE TEMP B-TREE FOR ORDER BY", "SCAN (subquery-6)",
        "SEARCH deliveries USING PRIMARY KEY (signal_id=? AND device_id=?)", "USE TEMP B-TREE FOR ORDER BY",
        "RIGHT",
        "SEARCH deliveries USING COVERING INDEX ix_deliveries_cancelled (device_id=? AND expires_at>?)",
        "USE TEMP B-TREE FOR ORDER BY", "SCAN (subquery-8)", "USE TEMP B-TREE FOR ORDER BY",
      ])
  }

  @Test(arguments: [
    (SQLiteStore.selectDevice.sql, "sqlite_autoindex_devices_1"),
    (SQLiteStore.selectDevices.sql, "ix_devices_client_created (client_id=? AND (created_at,id)>(?,?))"),
    (SQLiteStore.selectClients.sql, "ix_clients_created"),
    (SQLiteStore.renameDevice.sql, "sqlite_autoindex_devices_1"),
  ])
  func `SQLite`(_ sql: String, _ index: String) async throws {
    let database = try await TestDatabase(.sqlite)
    let connection = try SQLiteConnection(
      path: database.location, isReader: true, busyTimeoutMilliseconds: 1000)
    let plan = try connection.execute(Self.explain(sql))
    let large = Self.ofLargeTables(plan)
    #expect(large.count == 1 && large[0].contains("USING INDEX \(index)"), "\(plan)")
  }

  @Test(arguments: [
    (SQLiteStore.selectCredentials.sql, "sqlite_autoindex_devices_1"),
    (SQLiteStore.beginRotation.sql, "sqlite_autoindex_devices_1"),
    (SQLiteStore.promoteNextSecret.sql, "sqlite_autoindex_devices_1"),
    (SQLiteStore.selectDevicesToSeal.sql, "sqlite_autoindex_devices_1 (id>?)"),
    (SQLiteStore.sealDevice.sql, "sqlite_autoindex_devices_1"),
    (SQLiteStore.recordPresence.sql, "sqlite_autoindex_devices_1"),
    (SQLiteStore.selectPresence.sql, "sqlite_autoindex_devices_1"),
    (SQLiteStore.selectDueOnline.sql, "ix_devices_online_until (online_until<?)"),
    (SQLiteStore.selectUnsettled.sql, "ix_signals_unsettled (<expr><?)"),
    (
      SQLiteStore.selectDeliveriesToSettle.sql, "deliveries USING PRIMARY KEY (signal_id=? AND device_id>?)"
    ),
    (SQLiteStore.removeStatistics.sql, "COVERING INDEX ix_device_stats_hour (hour<?)"),
    (SQLiteStore.removeStatisticsOfDevice.sql, "device_stats USING PRIMARY KEY (client_id=? AND device_id=?)"),
    (SQLiteStore.selectToken.sql, "device_tokens USING PRIMARY KEY (token_hash=?)"),
    (
      SQLiteStore.selectBlockingToken.sql,
      "ix_device_tokens_device_created (device_id=? AND created_at>? AND created_at<?)"
    ),
    (SQLiteStore.removeOldestTokens.sql, "ix_device_tokens_device_created (device_id=?)"),
    (SQLiteStore.removeTokens.sql, "ix_device_tokens_expires (expires_at<?)"),
    (SQLiteStore.countLiveSignals.sql, "ix_signals_client_expires (client_id=? AND expires_at>?)"),
    (SQLiteStore.selectSignals.sql, "ix_signals_client (client_id=? AND id<?)"),
    (
      SQLiteStore.insertDeliveries[.all].sql,
      "COVERING INDEX ix_devices_client_unrevoked (client_id=? AND id>?)"
    ),
    (
      SQLiteStore.selectSelected[.group(GroupName("g")!)].sql,
      "COVERING INDEX ix_device_groups_members (client_id=? AND group_name=? AND device_id>?)"
    ),
    (SQLiteStore.selectLastDelivery.sql, "deliveries USING PRIMARY KEY (signal_id=?)"),
    (SQLiteStore.selectReservation.sql, "ix_signals_invisible (id=?)"),
    (SQLiteStore.selectDeliveries.sql, "deliveries USING PRIMARY KEY (signal_id=? AND device_id>?)"),
    (SQLiteStore.acknowledge.sql, "deliveries USING PRIMARY KEY (signal_id=? AND device_id=?)"),
    (SQLiteStore.recordHandOut.sql, "deliveries USING PRIMARY KEY (signal_id=? AND device_id=?)"),
    (SQLiteStore.selectExpiredSignal.sql, "ix_signals_expires (expires_at<?)"),
    (SQLiteStore.selectDeletedClient.sql, "ix_clients_deleted (id=?"),
    (SQLiteStore.selectSignalOfClient.sql, "ix_signals_client"),
    (SQLiteStore.selectDeviceOfClient.sql, "(client_id=?)"),
    (SQLiteStore.removeDeliveries.sql, "deliveries USING PRIMARY KEY (signal_id=? AND device_id<?)"),
    (SQLiteStore.removeTokensOfDevice.sql, "ix_device_tokens_device_created (device_id=?)"),
    (SQLiteChangeWatcher.selectChanges.sql, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    (SQLiteChangeWatcher.selectAddressees.sql, "deliveries USING PRIMARY KEY (signal_id=? AND device_id>?)"),
    // The cascades.
    ("DELETE FROM deliveries WHERE device_id = ?1", "ix_deliveries_device (device_id=?)"),
    ("DELETE FROM device_tokens WHERE device_id = ?1", "ix_device_tokens_device_created (device_id=?)"),
    ("DELETE FROM signals WHERE client_id = ?1", "ix_signals_client"),
  ])
  func `SQLite: credentials and signals`(_ sql: String, _ index: String) async throws {
    let database = try await TestDatabase(.sqlite)
    let connection = try SQLiteConnection(
      path: database.location, isReader: true, busyTimeoutMilliseconds: 1000)
    let plan = try connection.execute(Self.explain(sql))
    #expect(plan.contains { $0.contains(index) }, "\(plan)")
    let large = Self.ofLargeTables(plan)
    #expect(!large.contains { $0.contains("SCAN") || $0.contains("TEMP B-TREE") }, "\(plan)")
  }

  /// The steps that read more than the indexes that are nearly always empty.
  private static func ofLargeTables(_ plan: [String]) -> [String] {
    plan.filter {
      !$0.contains("SUBQUERY") && !$0.contains("ix_signals_invisible") && !$0.contains("ix_clients_deleted")
        && !$0.contains("ix_groups_deleted")
    }
  }

  /// The fourth column describes a step of the plan.
  static func explain(_ sql: String) -> SQLiteStatement<String> {
    SQLiteStatement("EXPLAIN QUERY PLAN " + sql) { row in
      for _ in 0..<3 { _ = row.integer() }
      return row.text()
    }
  }
}

extension PlanTests {
  /// The generic plan of a statement, in a database that `rows` has filled.
  /// - Parameter values: the parameters, in SQL; empty if there are none.
  static func postgresPlan(
    of statement: PreparedStatement, _ values: String, with rows: String
  ) async throws -> String {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(rows)
    try await session.run("SET plan_cache_mode = force_generic_plan; PREPARE it AS \(statement.sql)")
    let call = values.isEmpty ? "it" : "it(\(values))"
    return try await session.run("EXPLAIN EXECUTE \(call)").joined(separator: "\n")
  }

  /// The steps of a statement's plan, in an empty database.
  static func sqlitePlan(of sql: String) async throws -> [String] {
    let database = try await TestDatabase(.sqlite)
    let connection = try SQLiteConnection(
      path: database.location, isReader: true, busyTimeoutMilliseconds: 1000)
    return try connection.execute(explain(sql))
  }
}
