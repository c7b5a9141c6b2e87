public import Migrations

/// Applies migrations to a SQLite file, and creates it if necessary. It blocks, so call it before an event loop
/// runs, or on another thread.
public enum SQLiteMigrator {
  static let migrations = [
    Migration(
      number: 1, name: "clients_and_devices", sql: PackageResources._001_clients_and_devices_sql),
    Migration(
      number: 2, name: "credentials_and_signals", sql: PackageResources._002_credentials_and_signals_sql),
    Migration(number: 3, name: "bounded_storage", sql: PackageResources._003_bounded_storage_sql),
    Migration(number: 4, name: "sealing", sql: PackageResources._004_sealing_sql),
    Migration(number: 5, name: "events", sql: PackageResources._005_events_sql),
    Migration(number: 6, name: "webhooks", sql: PackageResources._006_webhooks_sql),
    Migration(number: 7, name: "idempotency_keys", sql: PackageResources._007_idempotency_keys_sql),
    Migration(number: 8, name: "fleet", sql: PackageResources._008_fleet_sql),
    Migration(number: 9, name: "signing_ahead", sql: PackageResources._009_signing_ahead_sql),
    Migration(number: 10, name: "enrolments", sql: PackageResources._010_enrolments_sql),
    Migration(number: 11, name: "selectors", sql: PackageResources._011_selectors_sql),
    Migration(number: 12, name: "bulk", sql: PackageResources._012_bulk_sql),
    Migration(number: 13, name: "cancelling", sql: PackageResources._013_cancelling_sql),
    Migration(number: 14, name: "handing_out", sql: PackageResources._014_handing_out_sql),
    Migration(number: 15, name: "serving_term", sql: PackageResources._015_serving_term_sql),
    Migration(number: 16, name: "terminals", sql: PackageResources._016_terminals_sql),
    Migration(number: 17, name: "statistics", sql: PackageResources._017_statistics_sql),
    Migration(number: 18, name: "telegram", sql: PackageResources._018_telegram_sql),
  ]

  /// How long to wait for another process that migrates or writes.
  static let busyTimeoutMilliseconds: Int32 = 5000

  /// Applies the missing migrations, each in a separate transaction that holds the file's write lock, and
  /// returns their labels. When several processes start at once, one applies them and the others wait.
  ///
  /// Throws `MigrationError`, `SQLiteFileError`.
  ///
  /// - Parameter exposed: called for each of the database's files that others could read or write, after it was made
  ///   private.
  public static func migrate(path: String, exposed: (_ path: String) -> Void = { _ in }) throws -> [String] {
    try migrate(path: path, migrations: migrations, exposed: exposed)
  }

  static func migrate(
    path: String, migrations: [Migration], busyTimeoutMilliseconds: Int32 = busyTimeoutMilliseconds,
    exposed: (_ path: String) -> Void = { _ in }
  ) throws -> [String] {
    try SQLiteFile.create(path)
    for file in try SQLiteFile.secure(path) { exposed(file) }
    let connection: SQLiteConnection
    do throws(SQLiteFailure) {
      connection = try SQLiteConnection(
        path: path, isReader: false, isNew: SQLiteFile.isEmpty(path),
        busyTimeoutMilliseconds: busyTimeoutMilliseconds)
    } catch {
      throw MigrationError.unavailable(cause: error.cause(path: path))
    }
    var labels: [String] = []
    while let label = try applyNext(of: migrations, connection, path: path) { labels.append(label) }
    return labels
  }

  /// Whether the path names a file.
  public static func hasFile(_ path: String) -> Bool { SQLiteFile.identity(of: path) != nil }

  /// Why this process could not create the file; nil if it could. Changes nothing.
  public static func objection(toCreating path: String) -> String? {
    SQLiteFile.objection(toCreating: path)?.description
  }

  /// The state of the file's schema; nil if there is no file, or none of a registry. Changes nothing. It blocks.
  ///
  /// Throws `MigrationError`, `SQLiteFileError`.
  public static func state(path: String) throws -> SchemaState? {
    guard hasFile(path) else { return nil }
    try SQLiteFile.testAccess(path)
    let applied: [AppliedMigration]
    do throws(SQLiteFailure) {
      let connection = try SQLiteConnection(
        inspecting: path, busyTimeoutMilliseconds: busyTimeoutMilliseconds)
      guard try !connection.execute(hasMigrations).isEmpty else { return nil }
      applied = try connection.execute(selectApplied)
    } catch {
      throw MigrationError.unavailable(cause: error.cause(path: path))
    }
    return try SchemaState(product: SQLiteConnection.product, applied: applied, of: migrations)
  }

  /// Whether a migration is missing. Takes no lock, so that a database that is up to date can be opened while another
  /// process writes.
  private static func isIncomplete(
    _ migrations: [Migration], _ connection: SQLiteConnection, path: String
  ) throws(MigrationError) -> Bool {
    let applied: [AppliedMigration]
    do throws(SQLiteFailure) {
      guard try !connection.execute(hasMigrations).isEmpty else { return true }
      applied = try connection.execute(selectApplied)
    } catch {
      throw .unavailable(cause: error.cause(path: path))
    }
    return try !migrations.pending(after: applied).isEmpty
  }

  private static let hasMigrations = SQLiteStatement(
    "SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'")

  /// Returns nil when none is missing. After an error the transaction stays open; the caller drops the
  /// connection.
  private static func applyNext(
    of migrations: [Migration], _ connection: SQLiteConnection, path: String
  ) throws(MigrationError) -> String? {
    guard try isIncomplete(migrations, connection, path: path) else { return nil }
    let applied: [AppliedMigration]
    do throws(SQLiteFailure) {
      applied = try beginAndReadApplied(connection)
    } catch {
      throw .unavailable(cause: error.cause(path: path))
    }
    let next = try migrations.pending(after: applied).first
    do throws(SQLiteFailure) {
      if let next { try apply(next, connection) }
      try connection.execute("COMMIT")
      return next?.label
    } catch {
      throw .refused(next?.label ?? "none", cause: error.description)
    }
  }

  private static func beginAndReadApplied(
    _ connection: SQLiteConnection
  ) throws(SQLiteFailure) -> [AppliedMigration] {
    try connection.execute(
      """
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS schema_migrations (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        checksum TEXT NOT NULL,
        applied_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER))
      ) STRICT
      """)
    return try connection.execute(selectApplied)
  }

  private static let selectApplied = SQLiteStatement(
    "SELECT number, name, checksum FROM schema_migrations ORDER BY number"
  ) { AppliedMigration(number: Int($0.integer()), name: $0.text(), checksum: $0.text()) }

  private static func apply(_ migration: Migration, _ connection: SQLiteConnection) throws(SQLiteFailure) {
    try connection.execute(migration.sql)
    _ = try connection.execute(
      SQLiteStatement("INSERT INTO schema_migrations (number, name, checksum) VALUES (?1, ?2, ?3)"),
      [.integer(Int64(migration.number)), .text(migration.name), .text(migration.checksum)])
  }
}
