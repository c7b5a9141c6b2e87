/// How a process that serves requests shares its database with others.
public enum PostgresProcessLock: Sendable {
  /// With no other: it alone remembers the nonces of signed requests.
  case exclusive
  /// With others that hold it so, and remember them together.
  case shared

  /// Any number, the same in every version: whoever serves this database holds this advisory lock. PostgreSQL
  /// keeps advisory locks for each database apart.
  static let key: Int64 = 0x6465_7669_6365_7302

  /// Takes the lock for as long as the session lasts, if it is to be had now; answers whether it was.
  var sql: String {
    switch self {
    case .exclusive: "SELECT pg_try_advisory_lock(\(Self.key))"
    case .shared: "SELECT pg_try_advisory_lock_shared(\(Self.key))"
    }
  }
}

/// Another process serves the database, and one of the two remembers nonces by itself.
public struct PostgresProcessLockError: Error, Hashable, CustomStringConvertible {
  public var description: String {
    "another process serves this database; stop it, or give all of them one REPLAY_STORE=redis://..."
  }
}
