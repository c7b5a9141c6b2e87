public import Registry

extension PostgresStore {
  static let credentialStatements = [
    hasDevices.prepared, selectCredentials.prepared, rotateSecret.prepared, promoteNextSecret.prepared,
    noteSigningAhead.prepared,
  ]

  /// Database constraints guarantee the lengths, and that the columns of the next secret are all set or all
  /// null.
  static let credentialColumns = PostgresColumns(
    """
    devices.id, client_id, hmac_key_hash, stored_key, server_key,
    next_hmac_key_hash, next_stored_key, next_server_key, grace_expires_at, signs_ahead_until, \(terminalColumns),
    \(accessColumns)
    """
  ) { row in
    let (id, client): (DeviceID, _) = (row.id(), row.clientID())
    let (current, next) = (row.optionalVerifier()!, row.optionalVerifier())
    let (graceExpiresAt, signsAheadUntil) = (row.optionalTime(), row.optionalTime())
    let terminal = terminalColumns.read(&row)
    return StoredCredentials(
      deviceID: id, clientID: client, access: accessColumns.read(&row), current: current, next: next,
      graceExpiresAt: graceExpiresAt, signsAheadUntil: signsAheadUntil, terminal: terminal)
  }

  /// What the device may do, and whether its client is suspended as a whole.
  private static let accessColumns = PostgresColumns(
    """
    \(stateColumns), \(modeColumns),
    (SELECT COALESCE(clients.status_reason, '') FROM clients WHERE clients.id = client_id AND clients.suspended_at IS NOT NULL)
    """
  ) { row in
    let (state, mode) = (stateColumns.read(&row), modeColumns.read(&row))
    let suspension = row.optionalText().map { reason in
      DeviceAccess.ClientSuspension(reason: reason.isEmpty ? nil : reason)
    }
    return DeviceAccess(state: state, clientSuspension: suspension, tradingMode: mode)
  }

  /// The condition that a device may be used at a time, as `DeviceAccess.refusal` has it, and that its client is kept.
  static func isUsable(at time: String) -> String {
    """
    is_active AND (suspended_at IS NULL OR suspended_until <= \(time)) AND (expires_at IS NULL OR expires_at > \(time))
      AND NOT EXISTS (
        SELECT FROM clients AS theirs
        WHERE theirs.id = client_id AND (theirs.deleted_at IS NOT NULL OR theirs.suspended_at IS NOT NULL))
    """
  }

  public func hasDevices() async throws(RegistryError) -> Bool {
    try await firstRow(of: Self.hasDevices) ?? false
  }

  static let hasDevices = PostgresStatement(
    .read, "SELECT EXISTS (SELECT FROM devices WHERE \(isKept(client: "client_id")))"
  ) { $0.bool() }

  public func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    guard let stored = try await firstRow(of: Self.selectCredentials, .uuid(id)) else { return nil }
    return try sealing.open(stored)
  }

  static let selectCredentials = PostgresStatement(
    .read,
    """
    SELECT \(credentialColumns) FROM devices WHERE id = $1::uuid AND \(isKept(client: "client_id"))
    """, row: credentialColumns.read)

  public func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    change: Change
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)? {
    let stored = sealing.seal(verifier, of: id)
    return try await firstRow(
      of: Self.rotateSecret, for: owner,
      [
        .uuid(id), .text(owner.text), .text(stored.hmacKeyHash), .bytes(stored.storedKey),
        .bytes(stored.serverKey), .timestamp(graceExpiresAt),
      ] + Self.values(of: change) + Self.values(of: change.idempotencyClaim))
  }

  /// Without a grace period, `$6 <= $7`, the new secret replaces the current one. LEAST ignores a null: if no
  /// rotation is pending, the grace period ends at `$6`.
  static let rotateSecret = PostgresStatement(
    .urgentWrite,
    """
    WITH rotated AS (
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
    RETURNING \(deviceColumns), COALESCE(grace_expires_at, $6) AS grace_ends_at
    ), recorded AS (
      \(record(
        .secretRotated, forEachOf: "rotated", device: "id", by: change(from: 7),
        changes: "json_build_object('grace_expires_at', json_build_array(NULL, \(text(ofTime: "grace_ends_at"))))"))
    ), used AS (
      \(useKey(forEachOf: "rotated", resource: "id", from: 12, at: "$7::timestamptz"))
    )
    SELECT \(deviceColumns), grace_ends_at FROM rotated
    """
  ) { (device: deviceColumns.read(&$0), graceExpiresAt: $0.time()) }

  public func promoteNextSecret(
    of id: DeviceID, owner: ClientID, hmacKeyHash: String, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.promoteNextSecret, for: owner,
      [.uuid(id), .text(owner.text), .text(hmacKeyHash)] + Self.values(of: change)) > 0
  }

  static let promoteNextSecret = PostgresStatement(
    .urgentWrite,
    """
    WITH promoted AS (
      UPDATE devices SET
        hmac_key_hash = next_hmac_key_hash, stored_key = next_stored_key, server_key = next_server_key,
        next_hmac_key_hash = NULL, next_stored_key = NULL, next_server_key = NULL, grace_expires_at = NULL
      WHERE id = $1::uuid AND client_id = $2::text AND next_hmac_key_hash = $3::text
        AND \(isUsable(at: "$4::timestamptz"))
      RETURNING id, client_id
    )
    \(record(.secretPromoted, forEachOf: "promoted", device: "id", by: change(from: 4)))
    """)

  public func noteSigningAhead(
    of id: DeviceID, owner: ClientID, until time: Timestamp
  ) async throws(RegistryError) {
    try await run(Self.noteSigningAhead, for: owner, .uuid(id), .text(owner.text), .timestamp(time))
  }

  /// GREATEST ignores a null.
  static let noteSigningAhead = PostgresStatement(
    .write,
    """
    UPDATE devices SET signs_ahead_until = GREATEST(signs_ahead_until, $3::timestamptz)
    WHERE id = $1::uuid AND client_id = $2::text
    """)
}

extension PostgresRow {
  /// Three columns: argon2id hash, StoredKey, ServerKey.
  fileprivate mutating func optionalVerifier() -> StoredVerifier? {
    let (hash, storedKey, serverKey) = (optionalText(), optionalBytes(), optionalBytes())
    return hash.map { StoredVerifier(hmacKeyHash: $0, storedKey: storedKey!, serverKey: serverKey!) }
  }
}
