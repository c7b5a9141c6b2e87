internal import EventLoop
public import Registry

extension SQLiteStore {
  public func insertToken(
    _ hash: TokenHash, of id: DeviceID, owner: ClientID, hmacKeyHash: String, expiresAt: Timestamp,
    at time: Timestamp, maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let isCurrent = try writer.hasRow(
          Self.hasCurrentSecret, .id(id), .text(hmacKeyHash), .time(time), .text(owner.text))
        guard isCurrent else { return false }
        try writer.checkTokenRate(of: id, at: time, limit: maxLive, windowSeconds: windowSeconds)
        try writer.run(Self.removeOldestTokens, .id(id), .time(time), .integer(Int64(maxLive - 1)))
        try writer.run(Self.insertToken, .blob(hash.bytes), .id(id), .time(time), .time(expiresAt))
        return true
      }
    }
  }

  private static let hasCurrentSecret = SQLiteStatement(
    """
    SELECT 1 FROM devices
    WHERE id = ?1 AND client_id = ?4 AND hmac_key_hash = ?2
      AND (grace_expires_at IS NULL OR grace_expires_at > ?3) AND \(isUsable(at: "?3"))
    """)

  /// The token that must leave the window, from ?2 to ?4, before another may be stored. Tokens created after
  /// ?4, by a clock that was ahead, do not count.
  static let selectBlockingToken = SQLiteStatement(
    """
    SELECT created_at FROM device_tokens WHERE device_id = ?1 AND created_at > ?2 AND created_at <= ?4
    ORDER BY created_at DESC LIMIT 1 OFFSET ?3
    """
  ) { $0.integer() }

  /// Keeps the ?3 newest of the tokens that are live at ?2.
  static let removeOldestTokens = SQLiteStatement(
    """
    DELETE FROM device_tokens WHERE token_hash IN (
      SELECT token_hash FROM device_tokens WHERE device_id = ?1 AND expires_at > ?2
      ORDER BY created_at DESC LIMIT -1 OFFSET ?3)
    """)

  private static let insertToken = SQLiteStatement(
    "INSERT INTO device_tokens (token_hash, device_id, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)")

  public func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials? {
    let found = try await firstRow(of: Self.selectToken, .blob(hash.bytes), .time(time))
    guard let found else { return nil }
    return TokenCredentials(device: try sealing.open(found.device), expiresAt: found.expiresAt)
  }

  static let selectToken = SQLiteStatement(
    """
    SELECT \(credentialColumns), token_expires_at FROM (
      SELECT device_id, expires_at AS token_expires_at FROM device_tokens WHERE token_hash = ?1 AND expires_at > ?2
    ) JOIN devices ON devices.id = device_id
    WHERE \(isKept(client: "client_id"))
    """
  ) { (device: credentialColumns.read(&$0), expiresAt: $0.time()) }

  public func removeTokens(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int {
    try await write(Turn(of: nil, .background)) { (writer) throws(RegistryError) in
      try writer.run(Self.removeTokens, .time(time), .integer(Int64(limit)))
    }
  }

  static let removeTokens = SQLiteStatement(
    """
    DELETE FROM device_tokens WHERE token_hash IN (
      SELECT token_hash FROM device_tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)
    """)
}

extension SQLiteConnection {
  /// Throws `tooManyTokens` if `limit` tokens, including expired ones, were stored in the window that ends at
  /// `time`.
  fileprivate func checkTokenRate(
    of id: DeviceID, at time: Timestamp, limit: Int, windowSeconds: Int
  ) throws(RegistryError) {
    let start = time.millisecondsSince1970 - Int64(windowSeconds) * 1000
    let blocking = try firstRow(
      of: SQLiteStore.selectBlockingToken, .id(id), .integer(start), .integer(Int64(limit - 1)), .time(time))
    guard let blocking else { return }
    throw .tooManyTokens(retryAfterSeconds: Int(max(1, (blocking - start + 999) / 1000)))
  }
}
