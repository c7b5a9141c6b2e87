public import Migrations

/// Applies migrations to a PostgreSQL database. It blocks, so call it before an event loop runs, or on another
/// thread.
public enum PostgresMigrator {
  static let migrations = [
    Migration(
      number: 1, name: "clients_and_devices", sql: PackageResources._001_clients_and_devices_sql),
    Migration(
      number: 2, name: "credentials_and_signals", sql: PackageResources._002_credentials_and_signals_sql),
    Migration(
      number: 3, name: "tokens_of_a_wrong_clock", sql: PackageResources._003_tokens_of_a_wrong_clock_sql),
    Migration(number: 4, name: "bounded_statements", sql: PackageResources._004_bounded_statements_sql),
    Migration(number: 5, name: "sealing", sql: PackageResources._005_sealing_sql),
    Migration(number: 6, name: "events", sql: PackageResources._006_events_sql),
    Migration(number: 7, name: "webhooks", sql: PackageResources._007_webhooks_sql),
    Migration(number: 8, name: "idempotency_keys", sql: PackageResources._008_idempotency_keys_sql),
    Migration(number: 9, name: "fleet", sql: PackageResources._009_fleet_sql),
    Migration(number: 10, name: "signing_ahead", sql: PackageResources._010_signing_ahead_sql),
    Migration(number: 11, name: "enrolments", sql: PackageResources._011_enrolments_sql),
    Migration(number: 12, name: "selectors", sql: PackageResources._012_selectors_sql),
    Migration(number: 13, name: "bulk", sql: PackageResources._013_bulk_sql),
    Migration(number: 14, name: "cancelling", sql: PackageResources._014_cancelling_sql),
    Migration(number: 15, name: "handing_out", sql: PackageResources._015_handing_out_sql),
    Migration(number: 16, name: "serving_term", sql: PackageResources._016_serving_term_sql),
    Migration(number: 17, name: "terminals", sql: PackageResources._017_terminals_sql),
    Migration(number: 18, name: "statistics", sql: PackageResources._018_statistics_sql),
    Migration(number: 19, name: "telegram", sql: PackageResources._019_telegram_sql),
  ]

  /// The advisory lock of a migrating process. The number is arbitrary, and the same in every version.
  static let lockKey: Int64 = 0x6465_7669_6365_7301
  /// How long to wait for another process that migrates.
  static let lockTimeoutMilliseconds = 60_000

  /// Applies the missing migrations, each in a separate transaction, and returns their labels. When several
  /// processes start at once, one applies them and the others wait.
  ///
  /// Throws `MigrationError`, `PostgresURLError`.
  public static func migrate(url: String) throws -> [String] {
    try migrate(url: url, migrations: migrations)
  }

  static func migrate(url: String, migrations: [Migration]) throws -> [String] {
    let parameters = try PostgresParameters(url: url)
    let session: PostgresSession
    do {
      session = try PostgresSession(parameters)
      try testSuitability(of: session, parameters)
      // Migrating a large table may take long; waiting for the lock must not.
      try session.run("SET statement_timeout = 0")
      try session.run("SET client_min_messages = warning")
      try session.run("SET lock_timeout = \(lockTimeoutMilliseconds)")
      try session.run("SELECT pg_advisory_lock(\(lockKey))")
      try session.run("SET lock_timeout = 0")
      try session.run(
        """
        CREATE TABLE IF NOT EXISTS schema_migrations (
          number integer PRIMARY KEY,
          name text NOT NULL,
          checksum text NOT NULL,
          applied_at timestamptz NOT NULL DEFAULT now()
        )
        """)
    } catch let failure as PostgresFailure {
      throw MigrationError.unavailable(cause: failure.description)
    }
    // The lock is released when the session ends.
    let pending = try migrations.pending(after: applied(session))
    for migration in pending { try apply(migration, session) }
    if migrations.contains(where: { $0.name == "events" }) { try beginEventEpoch(session) }
    return pending.map(\.label)
  }

  /// The state of the database's schema; nil if it has none of a registry. Changes nothing. It blocks.
  ///
  /// Throws `MigrationError`, `PostgresURLError`.
  public static func state(url: String) throws -> SchemaState? {
    let parameters = try PostgresParameters(url: url)
    let (session, version, hasMigrations): (PostgresSession, String, Bool)
    do {
      session = try PostgresSession(parameters)
      try testSuitability(of: session, parameters)
      version = try session.run("SHOW server_version").firstRow { $0.text() } ?? "of an unknown version"
      hasMigrations =
        try session.run("SELECT to_regclass('schema_migrations') IS NOT NULL").firstRow { $0.bool() } ?? false
    } catch let failure as PostgresFailure {
      throw MigrationError.unavailable(cause: failure.description)
    }
    guard hasMigrations else { return nil }
    return try SchemaState(
      product: "PostgreSQL \(version)", applied: applied(session), of: migrations)
  }

  /// Throws `MigrationError.unsuitable`, before anything is locked or set.
  private static func testSuitability(of session: PostgresSession, _ parameters: PostgresParameters) throws {
    let encoding = try session.run("SHOW server_encoding").firstRow { $0.text() }
    guard encoding == "UTF8" else {
      throw MigrationError.unsuitable(
        "the database's encoding is \(encoding ?? "unknown"); create it again with ENCODING 'UTF8'")
    }
    guard try session.isOnOneBackend(parameters) else {
      throw MigrationError.unsuitable(
        "a pooler in transaction or statement mode is between the service and the database, and notifications, locks and "
          + "prepared statements need a session; use session mode or connect directly")
    }
  }

  /// In a cluster that the database was restored to, the feed of events continues in a new epoch.
  private static func beginEventEpoch(_ session: PostgresSession) throws(MigrationError) {
    do throws(PostgresFailure) {
      try session.run("SELECT begin_event_epoch()")
    } catch {
      throw .unavailable(cause: error.description)
    }
  }

  private static func applied(_ session: PostgresSession) throws(MigrationError) -> [AppliedMigration] {
    do throws(PostgresFailure) {
      return try session.run("SELECT number::int8, name, checksum FROM schema_migrations ORDER BY number")
        .rows { AppliedMigration(number: Int($0.integer()), name: $0.text(), checksum: $0.text()) }
    } catch {
      throw .unavailable(cause: error.description)
    }
  }

  private static func apply(_ migration: Migration, _ session: PostgresSession) throws(MigrationError) {
    do throws(PostgresFailure) {
      try session.run("BEGIN")
      try session.runScript(migration.sql)
      try session.run(
        "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1::int8, $2, $3)",
        [.int8(Int64(migration.number)), .text(migration.name), .text(migration.checksum)])
      try session.run("COMMIT")
    } catch {
      // The transaction is rolled back when the caller drops the session.
      throw .refused(migration.label, cause: error.description)
    }
  }
}
