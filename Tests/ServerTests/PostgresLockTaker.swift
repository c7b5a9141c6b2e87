import CPostgres
import TestSupport
import Testing

/// A session of hand-written SQL that blocks a service. Its calls block separate threads.
///
/// `@unchecked Sendable`: a test makes one call after another.
final class PostgresLockTaker: @unchecked Sendable {
  private let url: String
  private let connection: OpaquePointer?

  init(_ url: String) async {
    self.url = url
    nonisolated(unsafe) let connection = await onOwnThread { Connection(pointer: PQconnectdb(url)) }.pointer
    self.connection = connection
  }

  /// On its way from one thread to another.
  private struct Connection: @unchecked Sendable {
    let pointer: OpaquePointer?
  }

  deinit { PQfinish(connection) }

  /// Answers the first column of each row that is not null.
  @discardableResult
  func run(_ text: String) async throws -> [String] {
    try await onOwnThread { [self] in
      let result = PQexec(connection, text)
      defer { PQclear(result) }
      let isGood = [PGRES_TUPLES_OK, PGRES_COMMAND_OK].contains(PQresultStatus(result))
      try #require(isGood, "\(String(cString: PQresultErrorMessage(result)))")
      return (0..<PQntuples(result)).map { String(cString: PQgetvalue(result, $0, 0)) }
    }
  }

  /// Waits until a statement like this waits for a lock on the database.
  func waitForBlocked(_ pattern: String) async throws {
    try await wait {
      try await run(
        """
        SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '\(pattern)'
        """
      ).count == 1
    }
  }

  /// Takes the lock of the process that serves the database, whose session it ends.
  func takeFromHolder() async throws {
    let key = try await run("SELECT (classid::bigint << 32) | objid::bigint \(Self.holder)")[0]
    // If what follows fails, it is awaited all the same.
    try await run("SET lock_timeout = '60s'")
    // Next in line, so that it has the lock before the service is back.
    async let taken = run("SELECT pg_advisory_lock(\(key))")
    let killer = await PostgresLockTaker(url)
    try await killer.waitForBlocked("SELECT pg_advisory_lock(%")
    try await killer.run("SELECT pg_terminate_backend(pid) \(Self.holder)")
    _ = try await taken
    try await run("UPDATE serving_term SET term = 'of another process'")
  }

  /// Ends the session of the process that serves the database.
  func cutHolder() async throws {
    try await run("SELECT pg_terminate_backend(pid) \(Self.holder)")
  }

  /// The lock for serving, which is not the only one. An advisory lock's key is in two parts (pg_locks).
  private static let holder = """
    FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND granted AND datname = current_database() AND objid = \(0x6365_7302)
    """

  func release() async throws { try await run("SELECT pg_advisory_unlock_all()") }
}
