import Registry
import Testing

@testable import PostgresStore
@testable import SQLiteStore

@Suite("Query plans of webhooks use an index, without scan") struct WebhookPlanTests {
  private static let manyRows = """
    INSERT INTO clients (id, created_at) SELECT 'client' || i, now() FROM generate_series(1, 500) i;
    INSERT INTO webhooks (
        id, client_id, url, secret, created_at, updated_at, position_epoch, position_transaction, position_sequence,
        failures, failing_since, next_attempt_at)
      SELECT gen_random_uuid(), 'client' || (i % 500 + 1), 'https://example.com/', sha256(i::text::bytea), now(), now(),
        1, 1, 1, i % 50 / 49, CASE i % 50 WHEN 49 THEN now() END,
        CASE i % 50 WHEN 49 THEN now() + random() * interval '1 h' END
      FROM generate_series(1, 10000) i;
    INSERT INTO webhook_deliveries (webhook_id, number, event_id, event_type, attempt, at, duration_ms, reason)
      SELECT id, n, gen_random_uuid(), 'device.updated', 1, now() - random() * interval '30 d', 1, 'none'
      FROM webhooks, generate_series(1, 5) AS n;
    ANALYZE
    """

  @Test(arguments: [
    (PostgresStore.selectWebhook.prepared, "gen_random_uuid()", "webhooks_pkey"),
    (PostgresStore.selectWebhooks.prepared, "'client7'", "ix_webhooks_client"),
    (
      PostgresStore.selectDueOfClients.prepared, "ARRAY['client7', 'client8'], now()",
      "ix_webhooks_client"
    ),
    (PostgresStore.selectDue.prepared, "gen_random_uuid(), now(), 200", "webhooks_pkey"),
    (PostgresStore.selectRetries.prepared, "200, now()", "ix_webhooks_next_attempt"),
    (PostgresStore.countWebhooks.prepared, "", "ix_webhooks_failing"),
    (PostgresStore.selectWebhookDeliveries.prepared, "gen_random_uuid(), 100, 100", "webhook_deliveries_pkey"),
    (PostgresStore.selectWebhookSealingKeys.prepared, "10", "ix_webhooks_sealed"),
    (PostgresStore.selectWebhooksToSeal.prepared, "gen_random_uuid(), 10", "webhooks_pkey"),
  ])
  func `PostgreSQL`(_ statement: PreparedStatement, _ values: String, _ index: String) async throws {
    let plan = try await PlanTests.postgresPlan(of: statement, values, with: Self.manyRows)
    #expect(plan.contains(index) && !plan.contains("Seq Scan on webhook"), "\(plan)")
  }

  @Test(arguments: [
    ("remove_webhook_deliveries(now() - interval '29 d', 20)", "webhook_deliveries"),
    ("clear_deleted_clients('client7', 1000, now(), 'system', NULL, NULL, NULL)", "webhook_deliveries"),
    ("clear_deleted_clients(NULL, 1000, now(), 'system', NULL, NULL, NULL)", "webhooks"),
  ])
  func `PostgreSQL, inside its functions`(_ call: String, _ table: String) async throws {
    let session = await SQLSession(try await TestDatabase(.postgres).location)
    try await session.run(Self.manyRows)
    try await session.run("UPDATE clients SET deleted_at = now() WHERE id = 'client7'")
    try await session.run("SET plan_cache_mode = force_generic_plan; BEGIN")
    let scans = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = '\(table)'"
    let before = try await session.run(scans)
    try await session.run("SELECT \(call)")
    #expect(try await session.run(scans) == before)
  }

  @Test(arguments: [
    (SQLiteStore.selectWebhook.sql, "webhooks USING INDEX sqlite_autoindex_webhooks_1 (id=?)"),
    (SQLiteStore.selectWebhooks.sql, "webhooks USING INDEX ix_webhooks_client (client_id=?)"),
    (SQLiteStore.selectDueOfClients.sql, "webhooks USING INDEX ix_webhooks_client (client_id=?)"),
    (SQLiteStore.selectDue.sql, "webhooks USING INDEX sqlite_autoindex_webhooks_1 (id>?)"),
    (SQLiteStore.selectRetries.sql, "ix_webhooks_next_attempt (next_attempt_at<?)"),
    (SQLiteStore.countWebhooks.sql, "webhooks USING COVERING INDEX ix_webhooks_failing"),
    (
      SQLiteStore.selectWebhookDeliveries.sql,
      "webhook_deliveries USING PRIMARY KEY (webhook_id=? AND number<?)"
    ),
    (
      SQLiteStore.removeWebhookDeliveries.sql,
      "webhook_deliveries USING COVERING INDEX ix_webhook_deliveries_at (at<?)"
    ),
    (SQLiteStore.removeDeliveriesOfWebhook.sql, "webhook_deliveries USING PRIMARY KEY (webhook_id=?"),
    (SQLiteStore.selectWebhookSealingKeys.sql, "ix_webhooks_sealed"),
    ("DELETE FROM webhooks WHERE client_id = ?1", "ix_webhooks_client (client_id=?)"),
    (
      "DELETE FROM webhook_deliveries WHERE webhook_id = ?1",
      "webhook_deliveries USING PRIMARY KEY (webhook_id=?)"
    ),
  ])
  func `SQLite`(_ sql: String, _ search: String) async throws {
    let plan = try await PlanTests.sqlitePlan(of: sql)
    #expect(plan.contains { $0.contains(search) }, "\(plan)")
    #expect(!plan.contains { $0.hasPrefix("SCAN webhook") && !$0.contains("INDEX") }, "\(plan)")
  }
}
