internal import EventLoop
public import Registry

extension SQLiteStore {
  /// Database constraints guarantee the lengths, and that the columns of the next secret are all set or all
  /// null.
  static let credentialColumns = SQLiteColumns(
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
  private static let accessColumns = SQLiteColumns(
    """
    \(stateColumns), \(modeColumns),
    (SELECT ifnull(clients.status_reason, '') FROM clients WHERE clients.id = client_id AND clients.suspended_at IS NOT NULL)
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
    is_active AND NOT revoked AND (suspended_at IS NULL OR suspended_until <= \(time))
      AND (expires_at IS NULL OR expires_at > \(time))
      AND NOT EXISTS (
        SELECT 1 FROM clients AS theirs
        WHERE theirs.id = client_id AND (theirs.deleted_at IS NOT NULL OR theirs.suspended_at IS NOT NULL))
    """
  }

  public func hasDevices() async throws(RegistryError) -> Bool {
    try await firstRow(of: Self.hasDevices) != nil
  }

  static let hasDevices = SQLiteStatement("SELECT 1 FROM devices LIMIT 1")

  public func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    guard let stored = try await firstRow(of: Self.selectCredentials, .id(id)) else { return nil }
    return try sealing.open(stored)
  }

  static let selectCredentials = SQLiteStatement(
    """
    SELECT \(credentialColumns) FROM devices WHERE id = ?1 AND \(isKept(client: "client_id"))
    """, row: credentialColumns.read)

  public func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    change: Change
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)? {
    let stored = sealing.seal(verifier, of: id)
    let statement = graceExpiresAt > change.time ? Self.beginRotation : Self.replaceSecret
    return try await write(Turn(of: owner.hashValue, .urgent)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let rotated = try writer.firstRow(
          of: statement, .id(id), .text(owner.text), .text(stored.hmacKeyHash), .blob(stored.storedKey),
          .blob(stored.serverKey), .time(change.time), .time(graceExpiresAt))
        guard let rotated else { return nil }
        try writer.useKey(of: change, for: id.description)
        try writer.record(
          .secretRotated, of: owner, device: id, by: change,
          changes: ["grace_expires_at": (.null, .text(rotated.graceExpiresAt.description))])
        return rotated
      }
    }
  }

  /// Never extends the grace period of a pending rotation.
  static let beginRotation = SQLiteStatement(
    """
    UPDATE devices SET next_hmac_key_hash = ?3, next_stored_key = ?4, next_server_key = ?5, updated_at = ?6,
      grace_expires_at = min(?7, ifnull(grace_expires_at, ?7))
    WHERE id = ?1 AND client_id = ?2 AND NOT revoked
    RETURNING \(deviceColumns), grace_expires_at
    """
  ) { (device: deviceColumns.read(&$0), graceExpiresAt: $0.time()) }

  /// A trigger removes the tokens of the old secret.
  static let replaceSecret = SQLiteStatement(
    """
    UPDATE devices SET hmac_key_hash = ?3, stored_key = ?4, server_key = ?5, updated_at = ?6, \(nothingIsNext)
    WHERE id = ?1 AND client_id = ?2 AND NOT revoked
    RETURNING \(deviceColumns), ?7
    """
  ) { (device: deviceColumns.read(&$0), graceExpiresAt: $0.time()) }

  private static let nothingIsNext = """
    next_hmac_key_hash = NULL, next_stored_key = NULL, next_server_key = NULL, grace_expires_at = NULL
    """

  public func promoteNextSecret(
    of id: DeviceID, owner: ClientID, hmacKeyHash: String, change: Change
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue, .urgent)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard
          try writer.run(
            Self.promoteNextSecret, .id(id), .text(hmacKeyHash), .text(owner.text), .time(change.time)) > 0
        else { return false }
        try writer.record(.secretPromoted, of: owner, device: id, by: change)
        return true
      }
    }
  }

  static let promoteNextSecret = SQLiteStatement(
    """
    UPDATE devices SET hmac_key_hash = next_hmac_key_hash, stored_key = next_stored_key,
      server_key = next_server_key, \(nothingIsNext)
    WHERE id = ?1 AND client_id = ?3 AND next_hmac_key_hash = ?2 AND \(isUsable(at: "?4"))
    """)

  public func noteSigningAhead(
    of id: DeviceID, owner: ClientID, until time: Timestamp
  ) async throws(RegistryError) {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      _ = try writer.run(Self.noteSigningAhead, .id(id), .text(owner.text), .time(time))
    }
  }

  static let noteSigningAhead = SQLiteStatement(
    """
    UPDATE devices SET signs_ahead_until = max(ifnull(signs_ahead_until, 0), ?3)
    WHERE id = ?1 AND client_id = ?2
    """)
}

extension SQLiteRow {
  /// Three columns: argon2id hash, StoredKey, ServerKey.
  fileprivate mutating func optionalVerifier() -> StoredVerifier? {
    let (hash, storedKey, serverKey) = (optionalText(), blob(), blob())
    return hash.map { StoredVerifier(hmacKeyHash: $0, storedKey: storedKey, serverKey: serverKey) }
  }
}
