internal import CPostgres
internal import Migrations

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
    do throws(PostgresFailure) {
      session = try PostgresSession(parameters)
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
    } catch {
      throw MigrationError.unavailable(cause: error.description)
    }
    // The lock is released when the session ends.
    let pending = try migrations.pending(after: applied(session))
    for migration in pending { try apply(migration, session) }
    return pending.map(\.label)
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

/// A blocking connection.
private final class PostgresSession {
  private let handle: PostgresHandle

  init(_ parameters: PostgresParameters) throws(PostgresFailure) {
    handle = try PostgresHandle(connecting: parameters)
  }

  @discardableResult
  func run(_ sql: String, _ values: [PostgresValue] = []) throws(PostgresFailure) -> PostgresAnswer {
    let encoded = values.map { value in
      var bytes: [UInt8] = []
      _ = value.encode(into: &bytes)
      return bytes
    }
    let bytes = encoded.flatMap { $0 }.map { CChar(bitPattern: $0) } + [0]
    var offset = 0
    let offsets = encoded.map { value in
      defer { offset += value.count }
      return offset
    }
    return try check(
      bytes.withUnsafeBufferPointer { buffer in
        PQexecParams(
          handle.pointer, sql, Int32(values.count), nil, offsets.map { buffer.baseAddress! + $0 },
          encoded.map { Int32($0.count) }, [Int32](repeating: 1, count: values.count), 1)
      })
  }

  /// Runs several statements without parameters.
  func runScript(_ sql: String) throws(PostgresFailure) {
    _ = try check(PQexec(handle.pointer, sql))
  }

  private func check(_ result: OpaquePointer?) throws(PostgresFailure) -> PostgresAnswer {
    guard let result else { throw PostgresFailure(lost: handle.pointer) }
    let answer = PostgresAnswer(result)
    switch PQresultStatus(result) {
    case PGRES_TUPLES_OK, PGRES_COMMAND_OK: return answer
    default: throw PostgresFailure(result: result)
    }
  }
}
