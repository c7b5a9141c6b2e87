import CPostgres
import TestSupport

struct SQLRefused: Error {
  let message: String
}

/// A session for hand-written SQL, which may hold locks. Its calls block separate threads.
///
/// `@unchecked Sendable`: a test makes one call after another.
final class SQLSession: @unchecked Sendable {
  private let connection: OpaquePointer?

  init(_ url: String) async {
    nonisolated(unsafe) let connection = await onOwnThread { Connection(pointer: PQconnectdb(url)) }.pointer
    self.connection = connection
  }

  /// Passes the handle from one thread to another.
  private struct Connection: @unchecked Sendable {
    let pointer: OpaquePointer?
  }

  deinit { PQfinish(connection) }

  /// Returns the first column of each row where it is not null.
  @discardableResult
  func run(_ text: String) async throws(SQLRefused) -> [String] {
    try await onOwnThread { [self] () throws(SQLRefused) in
      let result = PQexec(connection, text)
      defer { PQclear(result) }
      switch PQresultStatus(result) {
      case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
        return (0..<PQntuples(result)).map { String(cString: PQgetvalue(result, $0, 0)) }
      default:
        throw SQLRefused(message: String(cString: PQresultErrorMessage(result)))
      }
    }
  }

  /// Waits until `count` statements on the database wait for a lock.
  func waitForBlockedStatements(_ count: Int = 1) async throws {
    try await wait {
      try await run(
        """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
        """) == ["\(count)"]
    }
  }

  /// Terminates the store's sessions on this database, and returns their number.
  func terminateStore() async throws -> Int {
    try await run(
      """
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'device-registry'
      """
    ).count
  }
}
