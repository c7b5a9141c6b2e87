/// Whether other processes may serve the same database.
public enum PostgresProcessLock: Sendable {
  /// No other process may: this one keeps the nonces of signed requests in its own memory.
  case exclusive
  /// Other processes with a shared lock may: they share a store of nonces.
  case shared

  /// The advisory lock of a serving process. The number is arbitrary, and the same in every version. PostgreSQL
  /// keeps the advisory locks of each database apart.
  static let key: Int64 = 0x6465_7669_6365_7302

  /// Tries to acquire the lock for the session, without waiting. Returns whether it was acquired.
  var sql: String {
    switch self {
    case .exclusive: "SELECT pg_try_advisory_lock(\(Self.key))"
    case .shared: "SELECT pg_try_advisory_lock_shared(\(Self.key))"
    }
  }
}

/// Another process serves the database, and at least one of the two keeps nonces in its own memory.
public struct PostgresProcessLockError: Error, Hashable, CustomStringConvertible {
  public var description: String {
    "another process serves this database; stop it, or set the same REPLAY_STORE=redis://... for all processes"
  }
}
