/// What devices prove themselves with, and when they were last there.
extension PostgresStatement {
  static let credentialColumns = """
    id, client_id, is_active, hmac_key_hash, stored_key, server_key,
    next_hmac_key_hash, next_stored_key, next_server_key, grace_expires_at
    """

  static let hasDevicesSQL = "SELECT EXISTS (SELECT FROM devices)"

  static let credentialsSQL = "SELECT \(credentialColumns) FROM devices WHERE id = $1::uuid"

  static let tokenCredentialsSQL = """
    SELECT \(credentialColumns), token.expires_at
    FROM devices JOIN device_tokens AS token ON token.device_id = devices.id
    WHERE token.token_hash = $1::bytea AND token.expires_at > $2::timestamptz
    """

  /// Where the grace is over already, `$6 <= $7`, the new secret goes where the one in force was. LEAST passes over
  /// a null: without a rotation under way, the end is the new one.
  static let rotateSecretSQL = """
    UPDATE devices SET
      hmac_key_hash = CASE WHEN $6::timestamptz <= $7::timestamptz THEN $3 ELSE hmac_key_hash END,
      stored_key = CASE WHEN $6::timestamptz <= $7::timestamptz THEN $4 ELSE stored_key END,
      server_key = CASE WHEN $6::timestamptz <= $7::timestamptz THEN $5 ELSE server_key END,
      next_hmac_key_hash = CASE WHEN $6::timestamptz > $7::timestamptz THEN $3::text END,
      next_stored_key = CASE WHEN $6::timestamptz > $7::timestamptz THEN $4::bytea END,
      next_server_key = CASE WHEN $6::timestamptz > $7::timestamptz THEN $5::bytea END,
      grace_expires_at = CASE WHEN $6::timestamptz > $7::timestamptz THEN LEAST(grace_expires_at, $6::timestamptz) END,
      updated_at = $7::timestamptz
    WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked
    RETURNING \(deviceColumns), COALESCE(grace_expires_at, $6)
    """

  static let promoteNextSecretSQL = """
    UPDATE devices SET
      hmac_key_hash = next_hmac_key_hash, stored_key = next_stored_key, server_key = next_server_key,
      next_hmac_key_hash = NULL, next_stored_key = NULL, next_server_key = NULL, grace_expires_at = NULL
    WHERE id = $1::uuid AND is_active AND next_stored_key = $2::bytea
    """

  static let insertTokenSQL = """
    SELECT insert_token(
      $1::bytea, $2::uuid, $3::bytea, $4::timestamptz, $5::timestamptz, $6::int8, $7::int8)
    """

  /// What another process removes at this moment is left to it.
  static let removeTokensSQL = """
    DELETE FROM device_tokens WHERE token_hash = ANY (ARRAY(
      SELECT token_hash FROM device_tokens WHERE expires_at < $1::timestamptz
      ORDER BY expires_at LIMIT $2::int8 FOR UPDATE SKIP LOCKED))
    """

  /// Processes that record the presence of the same devices lock them in the same order, so that none waits for
  /// one that waits for it. GREATEST passes over nulls.
  static let recordPresenceSQL = """
    WITH present AS (
      SELECT id, seen.last_seen, seen.last_poll, seen.last_ack
      FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
        AS seen (id, last_seen, last_poll, last_ack) JOIN devices USING (id)
      ORDER BY id FOR NO KEY UPDATE OF devices
    )
    UPDATE devices SET
      last_seen = GREATEST(devices.last_seen, present.last_seen),
      last_poll = GREATEST(devices.last_poll, present.last_poll),
      last_ack = GREATEST(devices.last_ack, present.last_ack)
    FROM present WHERE devices.id = present.id
    """
}
