internal import EventLoop
public import Registry

extension SQLiteStore {
  public func idempotencyKey(
    _ key: IdempotencyKey, of client: ClientID, maximum: Int
  ) async throws(RegistryError) -> (used: UsedIdempotencyKey?, isFull: Bool) {
    let found = try await firstRow(
      of: Self.selectIdempotencyKey, .text(client.text), .text(key.text), .integer(Int64(maximum)))
    return found ?? (nil, false)
  }

  static let selectIdempotencyKey = SQLiteStatement(
    """
    SELECT (SELECT count(*) FROM (SELECT 1 FROM idempotency_keys WHERE client_id = ?1 LIMIT ?3)) >= ?3,
      request, resource_id
    FROM (SELECT 1) LEFT JOIN idempotency_keys ON client_id = ?1 AND key = ?2
    """
  ) { row in
    let (isFull, request, resourceID) = (row.bool(), row.optionalText(), row.optionalText())
    return (used: request.map { UsedIdempotencyKey(request: $0, resourceID: resourceID!) }, isFull: isFull)
  }

  public func removeIdempotencyKeys(
    usedBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.run(Self.removeIdempotencyKeys, .time(time), .integer(Int64(maximumRows)))
    }
  }

  static let removeIdempotencyKeys = SQLiteStatement(
    """
    DELETE FROM idempotency_keys WHERE (client_id, key) IN (
      SELECT client_id, key FROM idempotency_keys WHERE used_at < ?1 ORDER BY used_at LIMIT ?2)
    """)

  fileprivate static let insertIdempotencyKey = SQLiteStatement(
    "INSERT INTO idempotency_keys (client_id, key, request, resource_id, used_at) VALUES (?1, ?2, ?3, ?4, ?5)")
}

extension SQLiteConnection {
  /// Stores the change's key, if it has one, in the transaction that makes the change. Throws `idempotencyKeyUsed`.
  ///
  /// - Parameter resource: the id of what the change creates or changes.
  func useKey(of change: Change, for resource: String) throws(RegistryError) {
    guard let claim = change.idempotencyClaim else { return }
    try run(
      SQLiteStore.insertIdempotencyKey, .text(claim.clientID.text), .text(claim.key.text),
      .text(claim.key.request), .text(resource), .time(change.time),
      uniqueViolation: { _ in .idempotencyKeyUsed })
  }
}
