public import Registry

extension PostgresStore {
  static let idempotencyStatements = [selectIdempotencyKey.prepared, removeIdempotencyKeys.prepared]

  /// The values of a change's key, which a statement has as three consecutive parameters: client, key, request.
  static func values(of claim: IdempotencyClaim?) -> [PostgresValue] {
    [.text(orNull: claim?.clientID.text), .text(orNull: claim?.key.text), .text(orNull: claim?.key.request)]
  }

  /// An INSERT that stores the key, if the change has one, in the statement that makes the change.
  ///
  /// - Parameters:
  ///   - rows: a FROM list, with a row if the change is made.
  ///   - first: the number of the first of the key's parameters.
  ///   - time: the change's time.
  static func useKey(forEachOf rows: String, resource: String, from first: Int, at time: String) -> String {
    """
    INSERT INTO idempotency_keys (client_id, key, request, resource_id, used_at)
    SELECT $\(first)::text, $\(first + 1)::text, $\(first + 2)::text, made.id::text, \(time)
    FROM (SELECT \(resource) AS id FROM \(rows)) AS made WHERE $\(first + 1)::text IS NOT NULL
    """
  }

  public func idempotencyKey(
    _ key: IdempotencyKey, of client: ClientID, maximum: Int
  ) async throws(RegistryError) -> (used: UsedIdempotencyKey?, isFull: Bool) {
    let found = try await firstRow(
      of: Self.selectIdempotencyKey, .text(client.text), .text(key.text), .int8(Int64(maximum)))
    return found ?? (nil, false)
  }

  static let selectIdempotencyKey = PostgresStatement(
    .read,
    """
    SELECT (
        SELECT count(*) FROM (
          SELECT FROM idempotency_keys WHERE client_id = $1::text LIMIT $3::int8
        ) AS kept
      ) >= $3::int8, request, resource_id
    FROM (SELECT) AS one LEFT JOIN idempotency_keys ON client_id = $1::text AND key = $2::text
    """
  ) { row in
    let (isFull, request, resourceID) = (row.bool(), row.optionalText(), row.optionalText())
    return (used: request.map { UsedIdempotencyKey(request: $0, resourceID: resourceID!) }, isFull: isFull)
  }

  public func removeIdempotencyKeys(
    usedBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await run(Self.removeIdempotencyKeys, .timestamp(time), .int8(Int64(maximumRows)))
  }

  static let removeIdempotencyKeys = PostgresStatement(
    .backgroundWrite,
    """
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM idempotency_keys WHERE used_at < $1::timestamptz ORDER BY used_at LIMIT $2::int8
      FOR UPDATE SKIP LOCKED))
    """)
}
