/// Whether other processes may serve the same database.
public enum PostgresProcessLock: Sendable {
  /// No other process may: this one keeps the nonces of signed requests in its own memory.
  case exclusive
  /// Other processes with a shared lock may: they share a store of nonces.
  case shared

  /// The advisory lock of a serving process. The number is arbitrary, and the same in every version. PostgreSQL
  /// keeps the advisory locks of each database apart.
  static let key: Int64 = 0x6465_7669_6365_7302

  /// An expression that tries to acquire the lock for the session, without waiting, and says whether it was acquired.
  var attempt: String {
    switch self {
    case .exclusive: "pg_try_advisory_lock(\(Self.key))"
    case .shared: "pg_try_advisory_lock_shared(\(Self.key))"
    }
  }

  /// A statement that begins a term, and returns the names of the previous one and of the new one. Only the session that
  /// has the lock runs it. A name also tells the cluster, its timeline and the database: a copy, and a standby that was
  /// promoted and may lack the last terms, have other names.
  static let beginTerm = """
    WITH place AS (
      SELECT format('@%s/%s/%s', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), pg_database.oid)
        AS name
      FROM pg_control_system(), pg_database WHERE datname = current_database()
    ), old AS (SELECT term FROM serving_term FOR UPDATE)
    UPDATE serving_term SET term = gen_random_uuid() FROM old, place
    RETURNING old.term || place.name, serving_term.term || place.name
    """

  /// The advisory lock of the process that delivers to webhooks.
  static let deliveryKey: Int64 = 0x6465_7669_6365_7303

  /// The same for that lock, which one process has at a time.
  static let deliveryAttempt = "pg_try_advisory_lock(\(deliveryKey))"
}

/// Another process serves the database, and at least one of the two keeps nonces in its own memory.
public struct PostgresProcessLockError: Error, Hashable, CustomStringConvertible {
  public var description: String {
    "another process serves this database; stop it, or set the same REPLAY_STORE=redis://... for all processes"
  }
}
