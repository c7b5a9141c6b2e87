public import Registry

extension SQLiteStore {
  public func insertClient(_ client: Client, change: Change) async throws(RegistryError) {
    let id = SQLiteValue.text(client.id.text)
    let values: [SQLiteValue] = [
      id, .text(client.email?.text), client.telegramID.map { .integer($0) } ?? .null,
      .time(client.createdAt),
    ]
    try await database.write { (writer) throws(RegistryError) in
      _ = try writer.write(
        "INSERT INTO clients (id, email, telegram_id, created_at) VALUES (?1, ?2, ?3, ?4)", values,
        read: { _ in }
      ) { (_) throws(RegistryError) in
        // There are two unique indexes: the id's and the address's.
        try writer.hasRow("SELECT 1 FROM clients WHERE id = ?1", [id]) ? .clientIDTaken : .clientEmailTaken
      }
    }
  }

  public func client(_ id: ClientID) async throws(RegistryError) -> Client? {
    try await read(
      "SELECT \(Self.clientColumns) FROM clients WHERE id = ?1", [.text(id.text)], row: Client.init(row:)
    ).first
  }

  public func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client] {
    try await read(
      Self.selectClients,
      [
        cursor.map { .time($0.createdAt) } ?? .integer(.min), .text(cursor?.id.text ?? ""),
        .integer(Int64(limit)),
      ], row: Client.init(row:))
  }

  static let selectClients = """
    SELECT \(clientColumns) FROM clients
    WHERE (created_at, id) > (?1, ?2)
    ORDER BY created_at, id LIMIT ?3
    """

  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool {
    try await database.write { (writer) throws(RegistryError) in
      try writer.hasRow("DELETE FROM clients WHERE id = ?1 RETURNING 1", [.text(id.text)])
    }
  }

  private static let clientColumns = "id, email, telegram_id, created_at"
}

extension Client {
  /// Reads `SQLiteStore.clientColumns`. An address that hand-written SQL spoiled is shown as none.
  fileprivate init(row: SQLiteRow) {
    self.init(
      id: ClientID(row.text(0))!, email: row.optionalText(1).flatMap { Email($0) },
      telegramID: row.optionalInteger(2), createdAt: row.time(3))
  }
}
