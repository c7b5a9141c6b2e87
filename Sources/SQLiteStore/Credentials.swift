public import Registry

extension SQLiteStore {
  public func hasDevices() async throws(RegistryError) -> Bool {
    try await !read("SELECT 1 FROM devices LIMIT 1") { _ in true }.isEmpty
  }

  public func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    try await read(Self.selectCredentials, [.id(id)], row: DeviceCredentials.init(row:)).first
  }

  static let selectCredentials = "SELECT \(credentialColumns) FROM devices WHERE id = ?1"

  private static let credentialColumns = """
    devices.id, client_id, is_active AND NOT revoked, hmac_key_hash, stored_key, server_key,
    next_hmac_key_hash, next_stored_key, next_server_key, grace_expires_at
    """

  public func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    change: Change
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)? {
    let sql = graceExpiresAt > change.time ? Self.beginRotation : Self.replaceSecret
    let values: [SQLiteValue] = [
      .id(id), .text(owner.text), .text(verifier.hmacKeyHash), .blob(verifier.storedKey),
      .blob(verifier.serverKey), .time(change.time), .time(graceExpiresAt),
    ]
    return try await database.write { (writer) throws(RegistryError) in
      try writer.write(
        sql, values, read: { (device: Device(row: $0), graceExpiresAt: $0.time(Device.columnCount)) }
      ).first
    }
  }

  /// The end of a rotation that is under way is never put off.
  static let beginRotation = """
    UPDATE devices SET next_hmac_key_hash = ?3, next_stored_key = ?4, next_server_key = ?5, updated_at = ?6,
      grace_expires_at = min(?7, ifnull(grace_expires_at, ?7))
    WHERE id = ?1 AND client_id = ?2 AND NOT revoked
    RETURNING \(columns), grace_expires_at
    """

  /// A trigger removes the tokens of the secret that was.
  static let replaceSecret = """
    UPDATE devices SET hmac_key_hash = ?3, stored_key = ?4, server_key = ?5, updated_at = ?6, \(nothingIsNext)
    WHERE id = ?1 AND client_id = ?2 AND NOT revoked
    RETURNING \(columns), ?7
    """

  private static let nothingIsNext = """
    next_hmac_key_hash = NULL, next_stored_key = NULL, next_server_key = NULL, grace_expires_at = NULL
    """

  public func promoteNextSecret(of id: DeviceID, storedKey: [UInt8], change: Change) async throws(RegistryError)
    -> Bool
  {
    try await database.write { (writer) throws(RegistryError) in
      try writer.hasRow(Self.promoteNextSecret, [.id(id), .blob(storedKey)])
    }
  }

  static let promoteNextSecret = """
    UPDATE devices SET hmac_key_hash = next_hmac_key_hash, stored_key = next_stored_key,
      server_key = next_server_key, \(nothingIsNext)
    WHERE id = ?1 AND next_stored_key = ?2 AND is_active AND NOT revoked
    RETURNING 1
    """

  public func recordPresence(_ presence: [DeviceID: Presence]) async throws(RegistryError) {
    guard !presence.isEmpty else { return }
    try await database.write { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        for (id, times) in presence {
          _ = try writer.write(
            Self.updatePresence,
            [.id(id), .time(times.lastSeen), .time(times.lastPoll), .time(times.lastAck)], read: { _ in })
        }
      }
    }
  }

  /// A comparison with NULL is not true: what is not known moves nothing.
  static let updatePresence = """
    UPDATE devices SET
      last_seen = CASE WHEN ?2 > ifnull(last_seen, -1) THEN ?2 ELSE last_seen END,
      last_poll = CASE WHEN ?3 > ifnull(last_poll, -1) THEN ?3 ELSE last_poll END,
      last_ack = CASE WHEN ?4 > ifnull(last_ack, -1) THEN ?4 ELSE last_ack END
    WHERE id = ?1
    """
}

// MARK: Tokens

extension SQLiteStore {
  public func insertToken(
    _ hash: TokenHash, of id: DeviceID, storedKey: [UInt8], expiresAt: Timestamp, at time: Timestamp,
    maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool {
    try await database.write { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.hasRow(Self.selectCurrentSecret, [.id(id), .blob(storedKey), .time(time)]) else {
          return false
        }
        try writer.checkTokenRate(of: id, at: time, limit: maxLive, windowSeconds: windowSeconds)
        _ = try writer.write(
          Self.deleteOldestTokens, [.id(id), .time(time), .integer(Int64(maxLive - 1))], read: { _ in })
        _ = try writer.write(
          "INSERT INTO device_tokens (token_hash, device_id, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
          [.blob(hash.bytes), .id(id), .time(time), .time(expiresAt)], read: { _ in })
        return true
      }
    }
  }

  static let selectCurrentSecret = """
    SELECT 1 FROM devices
    WHERE id = ?1 AND stored_key = ?2 AND is_active AND NOT revoked
      AND (grace_expires_at IS NULL OR grace_expires_at > ?3)
    """

  /// Of the tokens that are live at ?2, leaves the ?3 newest.
  static let deleteOldestTokens = """
    DELETE FROM device_tokens WHERE token_hash IN (
      SELECT token_hash FROM device_tokens WHERE device_id = ?1 AND expires_at > ?2
      ORDER BY created_at DESC LIMIT -1 OFFSET ?3)
    """

  public func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials? {
    try await read(Self.selectToken, [.blob(hash.bytes), .time(time)]) {
      TokenCredentials(device: DeviceCredentials(row: $0), expiresAt: $0.time(DeviceCredentials.columnCount))
    }.first
  }

  static let selectToken = """
    SELECT \(credentialColumns), expires_at
    FROM device_tokens JOIN devices ON devices.id = device_id
    WHERE token_hash = ?1 AND expires_at > ?2
    """

  public func removeTokens(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int {
    try await database.write { (writer) throws(RegistryError) in
      try writer.write(
        Self.deleteExpiredTokens, [.time(time), .integer(Int64(limit))], read: { _ in }
      ).count
    }
  }

  static let deleteExpiredTokens = """
    DELETE FROM device_tokens WHERE token_hash IN (
      SELECT token_hash FROM device_tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)
    RETURNING 1
    """

  /// The token that must leave the window, from ?2 to ?4, before another one may come. Those of a clock that was ahead
  /// keep nobody waiting.
  static let selectBlockingToken = """
    SELECT created_at FROM device_tokens WHERE device_id = ?1 AND created_at > ?2 AND created_at <= ?4
    ORDER BY created_at DESC LIMIT 1 OFFSET ?3
    """
}

extension SQLiteConnection {
  /// Throws `tooManyTokens` if `limit` tokens were stored in the window that ends at `time`, expired ones included.
  fileprivate func checkTokenRate(
    of id: DeviceID, at time: Timestamp, limit: Int, windowSeconds: Int
  ) throws(RegistryError) {
    let window = Int64(windowSeconds) * 1000
    let start = time.millisecondsSince1970 - window
    let blocking = try write(
      SQLiteStore.selectBlockingToken, [.id(id), .integer(start), .integer(Int64(limit - 1)), .time(time)],
      read: { $0.integer(0) }
    ).first
    guard let blocking else { return }
    throw .tooManyTokens(retryAfterSeconds: Int(max(1, (blocking - start + 999) / 1000)))
  }
}

extension DeviceCredentials {
  /// Columns that `init(row:)` reads.
  fileprivate static let columnCount: Int32 = 10

  /// Reads `SQLiteStore.credentialColumns`. What the database's constraints hold is not tested again.
  fileprivate convenience init(row: SQLiteRow) {
    self.init(
      deviceID: row.id(0), clientID: ClientID(row.text(1))!, isActive: row.bool(2),
      current: SecretVerifier(
        hmacKeyHash: row.text(3), storedKey: row.blob(4), serverKey: row.blob(5)),
      next: row.isNull(6)
        ? nil
        : SecretVerifier(hmacKeyHash: row.text(6), storedKey: row.blob(7), serverKey: row.blob(8)),
      graceExpiresAt: row.optionalTime(9))
  }
}
