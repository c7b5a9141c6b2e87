public import Registry

extension PostgresStore {
  static let tokenStatements = [insertToken.prepared, selectToken.prepared, removeTokens.prepared]

  public func insertToken(
    _ hash: TokenHash, of id: DeviceID, owner: ClientID, hmacKeyHash: String, expiresAt: Timestamp,
    at time: Timestamp, maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool {
    let waitSeconds = try await firstRow(
      of: Self.insertToken, for: owner, .bytes(hash.bytes), .uuid(id), .text(owner.text), .text(hmacKeyHash),
      .timestamp(expiresAt), .timestamp(time), .int8(Int64(maxLive)), .int8(Int64(windowSeconds)))
    guard let waitSeconds = waitSeconds ?? nil else { return false }
    guard waitSeconds == 0 else { throw .tooManyTokens(retryAfterSeconds: Int(waitSeconds)) }
    return true
  }

  static let insertToken = PostgresStatement(
    .waitingWrite,
    """
    SELECT insert_token(
      $1::bytea, $2::uuid, $3::text, $4::text, $5::timestamptz, $6::timestamptz, $7::int8, $8::int8)
    """
  ) { $0.optionalInteger() }

  public func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials? {
    let found = try await firstRow(of: Self.selectToken, .bytes(hash.bytes), .timestamp(time))
    guard let found else { return nil }
    return TokenCredentials(device: try sealing.open(found.device), expiresAt: found.expiresAt)
  }

  static let selectToken = PostgresStatement(
    .read,
    """
    SELECT \(credentialColumns), token_expires_at FROM (
      SELECT device_id, expires_at AS token_expires_at FROM device_tokens
      WHERE token_hash = $1::bytea AND expires_at > $2::timestamptz
    ) AS token JOIN devices ON devices.id = device_id
    WHERE \(isKept(client: "client_id"))
    """
  ) { (device: credentialColumns.read(&$0), expiresAt: $0.time()) }

  public func removeTokens(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int {
    try await run(Self.removeTokens, .timestamp(time), .int8(Int64(limit)))
  }

  /// Skips rows that another process is removing.
  static let removeTokens = PostgresStatement(
    .backgroundWrite,
    """
    DELETE FROM device_tokens WHERE token_hash = ANY (ARRAY(
      SELECT token_hash FROM device_tokens WHERE expires_at < $1::timestamptz
      ORDER BY expires_at LIMIT $2::int8 FOR UPDATE SKIP LOCKED))
    """)
}
