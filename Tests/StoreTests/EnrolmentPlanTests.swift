import Registry
import Testing

@testable import PostgresStore
@testable import SQLiteStore

@Suite("Query plans of enrolments use an index, without sort or scan") struct EnrolmentPlanTests {
  private static let manyRows = """
    INSERT INTO clients (id, created_at) SELECT 'client' || i, now() FROM generate_series(1, 500) i;
    INSERT INTO enrolments (id, client_id, code_hash, replaces_secret, created_at, expires_at)
      SELECT gen_random_uuid(), 'client' || (i % 500 + 1), sha256(i::text::bytea), false, now(),
        now() + random() * interval '30 d'
      FROM generate_series(1, 20000) i;
    ANALYZE
    """

  private static let change = "now(), 'system', NULL, NULL, NULL"

  @Test(arguments: [
    (PostgresStore.selectEnrolment.prepared, "gen_random_uuid()", "enrolments_pkey"),
    (PostgresStore.selectEnrolmentOfCode.prepared, "sha256('1')", "enrolments_code_hash_unique"),
    (PostgresStore.selectEnrolments.prepared, "'client7', gen_random_uuid(), 10", "ix_enrolments_client"),
    (PostgresStore.deleteEnrolment.prepared, "gen_random_uuid(), 'client7', \(change)", "enrolments"),
    (PostgresStore.removeEnrolments.prepared, "now(), 100", "ix_enrolments_ended"),
    (
      PostgresStore.removeEnrolmentsOfDeletedClients.prepared, "NULL, 100, \(change)", "ix_clients_deleted"
    ),
  ])
  func `PostgreSQL`(_ statement: PreparedStatement, _ values: String, _ index: String) async throws {
    let plan = try await PlanTests.postgresPlan(of: statement, values, with: Self.manyRows)
    #expect(plan.contains(index) && !plan.contains("Seq Scan on enrolments"), "\(plan)")
  }

  @Test(arguments: [
    (SQLiteStore.selectEnrolment.sql, "enrolments USING INDEX sqlite_autoindex_enrolments_1 (id=?)"),
    (
      SQLiteStore.selectEnrolmentOfCode.sql,
      "enrolments USING INDEX sqlite_autoindex_enrolments_2 (code_hash=?)"
    ),
    (SQLiteStore.selectEnrolments.sql, "enrolments USING INDEX ix_enrolments_client (client_id=? AND id>?)"),
    (SQLiteStore.countEnrolments.sql, "enrolments USING COVERING INDEX ix_enrolments_client (client_id=?)"),
    (SQLiteStore.useForNewDevice.sql, "enrolments USING INDEX sqlite_autoindex_enrolments_1 (id=?)"),
    (SQLiteStore.removeEnrolments.sql, "enrolments USING INDEX ix_enrolments_ended (<expr><?)"),
    (
      SQLiteStore.removeEnrolmentOfClient.sql,
      "enrolments USING COVERING INDEX ix_enrolments_client (client_id=?)"
    ),
    ("DELETE FROM enrolments WHERE client_id = ?1", "ix_enrolments_client (client_id=?)"),
  ])
  func `SQLite`(_ sql: String, _ search: String) async throws {
    let plan = try await PlanTests.sqlitePlan(of: sql)
    #expect(plan.contains { $0.contains(search) }, "\(plan)")
    #expect(!plan.contains { $0.hasPrefix("SCAN enrolments") && !$0.contains("INDEX") }, "\(plan)")
  }
}
