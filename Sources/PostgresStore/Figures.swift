internal import Migrations
public import Registry

/// Reads how much a database has, for a command. It blocks.
public enum PostgresFigures {
  /// How long a statement may take.
  static let statementMilliseconds = 10_000

  /// The figures of a database whose migrations are complete. Changes nothing.
  ///
  /// Throws `MigrationError.unavailable`, `PostgresURLError`.
  public static func read(url: String, at now: Timestamp) throws -> DatabaseFigures {
    let parameters = try PostgresParameters(url: url)
    do throws(PostgresFailure) {
      let session = try PostgresSession(parameters)
      try session.run("SET statement_timeout = \(statementMilliseconds)")
      guard var figures = try session.run(select, [.timestamp(now)]).firstRow(figures) else {
        return DatabaseFigures()
      }
      figures.serving = try holders(of: PostgresProcessLock.key, session)
      figures.delivering = try holders(of: PostgresProcessLock.deliveryKey, session).first
      return figures
    } catch {
      throw MigrationError.unavailable(cause: error.description)
    }
  }

  /// How many events there are is an estimate of VACUUM and ANALYZE or, before the first of them, of the statistics.
  private static let select = """
    SELECT pg_database_size(current_database()), (SELECT count(*) FROM clients),
      (SELECT coalesce(sum(device_count), 0)::int8 FROM clients),
      (SELECT coalesce(sum(signal_count), 0)::int8 FROM clients),
      (SELECT count(*) FROM (
        SELECT 1 FROM signals WHERE expires_at > $1::timestamptz AND cancelled_at IS NULL AND is_visible
        LIMIT \(DatabaseFigures.maximumCounted)) AS live),
      (SELECT greatest(reltuples::int8, pg_stat_get_live_tuples(oid), 0) FROM pg_class WHERE oid = 'events'::regclass),
      (SELECT count(*) FROM webhooks),
      (SELECT count(*) FROM webhooks WHERE failures > 0 AND disabled_at IS NULL),
      (SELECT count(*) FROM webhooks WHERE failures > 0 AND disabled_at IS NOT NULL),
      (SELECT min(failing_since) FROM webhooks WHERE failures > 0 AND disabled_at IS NULL)
    """

  private static func figures(_ row: inout PostgresRow) -> DatabaseFigures {
    var figures = DatabaseFigures()
    figures.bytes = row.integer()
    figures.clients = Int(row.integer())
    figures.devices = Int(row.integer())
    figures.keptSignals = Int(row.integer())
    figures.liveSignals = Int(row.integer())
    figures.keptEvents = Int(row.integer())
    figures.webhooks = Int(row.integer())
    figures.failingWebhooks = Int(row.integer())
    figures.disabledWebhooks = Int(row.integer())
    figures.failingSince = row.optionalTime()
    return figures
  }

  /// The sessions that have an advisory lock. Of another user's session, only an administrator sees the address.
  private static func holders(of key: Int64, _ session: PostgresSession) throws(PostgresFailure)
    -> [ServingProcess]
  {
    try session.run(
      """
      SELECT coalesce(nullif(application_name, ''), 'a process') || ' at '
          || coalesce(host(client_addr), 'the database''s machine'),
        pg_locks.mode = 'ExclusiveLock', backend_start
      FROM pg_locks JOIN pg_stat_activity USING (pid)
      WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = (($1::int8 >> 32) & 4294967295)::oid AND objid = ($1::int8 & 4294967295)::oid
      ORDER BY backend_start
      """, [.int8(key)]
    ).rows { ServingProcess(name: $0.text(), isExclusive: $0.bool(), since: $0.optionalTime()) }
  }
}
