import Registry
import Testing

@testable import PostgresStore
@testable import SQLiteStore

@Suite("Query plans of Telegram chats use an index, without sort or scan") struct TelegramPlanTests {
  private static let manyRows = """
    INSERT INTO clients (id, created_at) SELECT 'client' || i, now() FROM generate_series(1, 5000) i;
    INSERT INTO telegram_codes (client_id, code_hash, expires_at)
      SELECT 'client' || i, sha256(i::text::bytea), now() + random() * interval '900 s'
      FROM generate_series(1, 5000) i;
    INSERT INTO telegram_links (
        id, client_id, chat_id, user_id, created_at, position_epoch, position_transaction, position_sequence)
      SELECT gen_random_uuid(), 'client' || (i % 5000 + 1), i, i, now(), 1, 1, 1 FROM generate_series(1, 20000) i;
    ANALYZE
    """

  private static let change = "now(), 'system', NULL, NULL, NULL"

  @Test(arguments: [
    (PostgresStore.selectTelegramCode.prepared, "sha256('1'), now()", "telegram_codes_code_hash_unique"),
    (PostgresStore.selectTelegramLink.prepared, "gen_random_uuid()", "telegram_links_pkey"),
    (PostgresStore.selectTelegramLinkOfChat.prepared, "7", "telegram_links_chat_unique"),
    (PostgresStore.selectTelegramLinksOfClient.prepared, "'client7'", "ix_telegram_links_client"),
    (PostgresStore.selectTelegramLinks.prepared, "gen_random_uuid(), 200", "telegram_links_pkey"),
    (PostgresStore.deleteTelegramLink.prepared, "gen_random_uuid(), 'client7', \(change)", "telegram_links"),
    (PostgresStore.removeTelegramCodes.prepared, "now(), 100", "ix_telegram_codes_expires"),
    (
      PostgresStore.removeTelegramLinksOfDeletedClients.prepared, "NULL, 100, \(change)", "ix_clients_deleted"
    ),
  ])
  func `PostgreSQL`(_ statement: PreparedStatement, _ values: String, _ index: String) async throws {
    let plan = try await PlanTests.postgresPlan(of: statement, values, with: Self.manyRows)
    #expect(plan.contains(index) && !plan.contains("Seq Scan on telegram"), "\(plan)")
  }

  @Test(arguments: [
    (
      SQLiteStore.selectTelegramCode.sql,
      "telegram_codes USING INDEX sqlite_autoindex_telegram_codes_2 (code_hash=?)"
    ),
    (SQLiteStore.selectTelegramLink.sql, "telegram_links USING INDEX sqlite_autoindex_telegram_links_1 (id=?)"),
    (
      SQLiteStore.selectTelegramLinkOfChat.sql,
      "telegram_links USING INDEX sqlite_autoindex_telegram_links_2 (chat_id=?)"
    ),
    (
      SQLiteStore.selectTelegramLinksOfClient.sql,
      "telegram_links USING INDEX ix_telegram_links_client (client_id=?)"
    ),
    (
      SQLiteStore.selectTelegramLinks.sql, "telegram_links USING INDEX sqlite_autoindex_telegram_links_1 (id>?)"
    ),
    (SQLiteStore.removeTelegramCodes.sql, "ix_telegram_codes_expires (expires_at<?)"),
    (
      SQLiteStore.removeTelegramLinkOfClient.sql,
      "telegram_links USING COVERING INDEX ix_telegram_links_client (client_id=?)"
    ),
  ])
  func `SQLite`(_ sql: String, _ search: String) async throws {
    let plan = try await PlanTests.sqlitePlan(of: sql)
    #expect(plan.contains { $0.contains(search) }, "\(plan)")
    #expect(!plan.contains { $0.hasPrefix("SCAN telegram") && !$0.contains("INDEX") }, "\(plan)")
  }
}
