internal import Migrations

/// Applies migrations to a SQLite file, and creates it if necessary. It blocks, so call it before an event loop
/// runs, or on another thread.
public enum SQLiteMigrator {
  static let migrations = [
    Migration(
      number: 1, name: "clients_and_devices", sql: PackageResources._001_clients_and_devices_sql),
    Migration(
      number: 2, name: "credentials_and_signals", sql: PackageResources._002_credentials_and_signals_sql),
    Migration(number: 3, name: "bounded_storage", sql: PackageResources._003_bounded_storage_sql),
  ]

  /// How long to wait for another process that migrates or writes.
  static let busyTimeoutMilliseconds: Int32 = 60_000

  /// Applies the missing migrations, each in a separate transaction that holds the file's write lock, and
  /// returns their labels. When several processes start at once, one applies them and the others wait.
  ///
  /// Throws `MigrationError`, `SQLiteFileError`.
  public static func migrate(path: String) throws -> [String] {
    try migrate(path: path, migrations: migrations)
  }

  static func migrate(path: String, migrations: [Migration]) throws -> [String] {
    try SQLiteFile.create(path)
    let connection: SQLiteConnection
    do throws(SQLiteFailure) {
      connection = try SQLiteConnection(
        path: path, isReader: false, busyTimeoutMilliseconds: busyTimeoutMilliseconds)
    } catch {
      throw MigrationError.unavailable(cause: error.description)
    }
    var labels: [String] = []
    while let label = try applyNext(of: migrations, connection) { labels.append(label) }
    return labels
  }

  /// Returns nil when none is missing. After an error the transaction stays open; the caller drops the
  /// connection.
  private static func applyNext(
    of migrations: [Migration], _ connection: SQLiteConnection
  ) throws(MigrationError) -> String? {
    let applied: [AppliedMigration]
    do throws(SQLiteFailure) {
      applied = try beginAndReadApplied(connection)
    } catch {
      throw .unavailable(cause: error.description)
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
