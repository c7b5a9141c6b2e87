/// Signals, and what became of them.
extension PostgresStatement {
  static let signalColumns = "signals.id, client_id, payload, created_at, expires_at"

  static let insertSignalSQL = """
    SELECT refusal, addressee_count FROM insert_signal(
      $1::uuid, $2::text, $3::text, $4::timestamptz, $5::timestamptz, $6::uuid[], $7::int8)
    """

  static let signalsSQL = """
    SELECT id, created_at, expires_at, devices::int8 FROM signals
    WHERE client_id = $1::text AND id < $2::uuid
    ORDER BY id DESC LIMIT $3::int8
    """

  static let signalSQL = "SELECT \(signalColumns), devices::int8 FROM signals WHERE id = $1::uuid"

  static let deliveriesSQL = """
    SELECT signal_id, device_id, status, broker_ticket, error, acked_at FROM deliveries
    WHERE signal_id = $1::uuid ORDER BY device_id
    """

  static let pendingSignalsSQL = """
    SELECT \(signalColumns) FROM deliveries JOIN signals ON signals.id = signal_id
    WHERE device_id = $1::uuid AND acked_at IS NULL AND expires_at > $2::timestamptz
    ORDER BY signal_id LIMIT $3::int8
    """

  /// Requests that acknowledge the same signals lock them in the same order, so that none waits for one that waits
  /// for it. Who comes second finds `acked_at` set: after a wait for a lock, PostgreSQL reads the row anew (manual,
  /// section 13.2.1).
  static let acknowledgeSQL = """
    WITH known AS (
      SELECT signal_id, given.status, given.broker_ticket, given.error
      FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
        AS given (signal_id, status, broker_ticket, error) JOIN deliveries USING (signal_id)
      WHERE device_id = $1::uuid ORDER BY signal_id FOR NO KEY UPDATE OF deliveries
    ), stored AS (
      UPDATE deliveries SET status = known.status, broker_ticket = known.broker_ticket, error = known.error,
        acked_at = $6::timestamptz
      FROM known
      WHERE deliveries.signal_id = known.signal_id AND device_id = $1::uuid AND acked_at IS NULL
      RETURNING deliveries.signal_id
    )
    SELECT signal_id, stored.signal_id IS NOT NULL FROM known LEFT JOIN stored USING (signal_id)
    """

  /// What another process removes at this moment is left to it.
  static let removeSignalsSQL = """
    DELETE FROM signals WHERE id = ANY (ARRAY(
      SELECT id FROM signals WHERE expires_at < $1::timestamptz
      ORDER BY expires_at LIMIT $2::int8 FOR UPDATE SKIP LOCKED))
    """
}
