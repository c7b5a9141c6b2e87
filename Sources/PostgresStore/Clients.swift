public import Registry

extension PostgresStore {
  static let clientStatements = [
    insertClient.prepared, selectClient.prepared, selectClients.prepared, deleteClient.prepared,
    clearDeletedClients.prepared,
  ]

  /// An email address that hand-written SQL made invalid is read as nil.
  private static let clientColumns = PostgresColumns("id, email, telegram_id, created_at") {
    Client(
      id: $0.clientID(), email: $0.optionalText().flatMap { Email($0) }, telegramID: $0.optionalInteger(),
      createdAt: $0.time())
  }

  public func insertClient(_ client: Client, change: Change) async throws(RegistryError) {
    try await run(
      Self.insertClient, for: client.id,
      [
        .text(client.id.text), .text(orNull: client.email?.text),
        .int8(orNull: client.telegramID), .timestamp(client.createdAt),
      ] + Self.values(of: change) + Self.values(of: change.idempotencyClaim))
  }

  static let insertClient = PostgresStatement(
    .write,
    """
    WITH created AS (
      INSERT INTO clients (\(clientColumns)) VALUES (\(clientColumns.parameters(from: 1))) RETURNING id
    ), used AS (
      \(useKey(forEachOf: "created", resource: "id", from: 10, at: "$5::timestamptz"))
    )
    \(record(.clientCreated, forEachOf: "created", client: "id", by: change(from: 5)))
    """)

  public func client(_ id: ClientID) async throws(RegistryError) -> Client? {
    try await firstRow(of: Self.selectClient, .text(id.text))
  }

  static let selectClient = PostgresStatement(
    .read, "SELECT \(clientColumns) FROM clients WHERE id = $1::text AND deleted_at IS NULL",
    row: clientColumns.read)

  public func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client] {
    try await rows(
      of: Self.selectClients, cursor.map { .timestamp($0.createdAt) } ?? .earliest,
      .text(cursor?.id.text ?? ""), .int8(Int64(limit)))
  }

  static let selectClients = PostgresStatement(
    .read,
    """
    SELECT \(clientColumns) FROM clients
    WHERE (created_at, id) > ($1::timestamptz, $2::text COLLATE "C") AND deleted_at IS NULL
    ORDER BY created_at, id LIMIT $3::int8
    """, row: clientColumns.read)

  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool {
    try await run(Self.deleteClient, for: id, [.text(id.text)] + Self.values(of: change)) > 0
  }

  static let deleteClient = PostgresStatement(
    .urgentWrite,
    """
    WITH deleted AS (
      UPDATE clients SET deleted_at = $2::timestamptz, email = NULL, telegram_id = NULL
      WHERE id = $1::text AND deleted_at IS NULL RETURNING id
    )
    \(record(.clientDeleted, forEachOf: "deleted", client: "id", by: change(from: 2)))
    """)

  public func clearDeletedClients(
    _ id: ClientID?, maximumRows: Int, change: Change
  ) async throws(RegistryError) -> Int {
    let who = PostgresValue.text(orNull: id?.text)
    let enrolments = try await run(
      Self.removeEnrolmentsOfDeletedClients, [who, .int8(Int64(maximumRows))] + Self.values(of: change))
    let others = try await firstRow(
      of: Self.clearDeletedClients, [who, .int8(Int64(maximumRows - enrolments))] + Self.values(of: change))
    return enrolments + Int(others ?? 0)
  }

  static let clearDeletedClients = PostgresStatement(
    .backgroundWrite, "SELECT clear_deleted_clients($1::text, $2::int8, \(change(from: 3)))"
  ) { $0.integer() }

  /// The condition that the client of a row is not deleted.
  static func isKept(client column: String) -> String {
    "NOT EXISTS (SELECT FROM clients AS gone WHERE gone.id = \(column) AND gone.deleted_at IS NOT NULL)"
  }
}
