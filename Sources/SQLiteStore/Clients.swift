internal import EventLoop
public import Registry

extension SQLiteStore {
  /// An email address that hand-written SQL made invalid is read as nil.
  private static let clientColumns = SQLiteColumns("id, email, telegram_id, created_at") {
    Client(
      id: $0.clientID(), email: $0.optionalText().flatMap { Email($0) }, telegramID: $0.optionalInteger(),
      createdAt: $0.time())
  }

  public func insertClient(_ client: Client, change: Change) async throws(RegistryError) {
    try await write(Turn(of: nil)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        try writer.run(
          Self.insertClient, .text(client.id.text), .text(client.email?.text), .integer(client.telegramID),
          .time(client.createdAt)
        ) { (_) throws(RegistryError) in
          // There are two unique indexes: id and email. A deleted client keeps its id until its rows are cleared.
          try writer.hasRow(Self.hasClientRow, .text(client.id.text)) ? .clientIDTaken : .clientEmailTaken
        }
        try writer.useKey(of: change, for: client.id.text)
        try writer.record(.clientCreated, of: client.id, by: change)
      }
    }
  }

  static let insertClient = SQLiteStatement(
    "INSERT INTO clients (\(clientColumns)) VALUES (\(clientColumns.parameters(from: 1)))")

  private static let hasClientRow = SQLiteStatement("SELECT 1 FROM clients WHERE id = ?1")

  static let hasClient = SQLiteStatement("SELECT 1 FROM clients WHERE id = ?1 AND deleted_at IS NULL")

  public func client(_ id: ClientID) async throws(RegistryError) -> Client? {
    try await firstRow(of: Self.selectClient, .text(id.text))
  }

  static let selectClient = SQLiteStatement(
    "SELECT \(clientColumns) FROM clients WHERE id = ?1 AND deleted_at IS NULL", row: clientColumns.read)

  public func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client] {
    try await rows(
      of: Self.selectClients, cursor.map { .time($0.createdAt) } ?? .integer(.min),
      .text(cursor?.id.text ?? ""), .integer(Int64(limit)))
  }

  static let selectClients = SQLiteStatement(
    """
    SELECT \(clientColumns) FROM clients
    WHERE (created_at, id) > (?1, ?2) AND deleted_at IS NULL
    ORDER BY created_at, id LIMIT ?3
    """, row: clientColumns.read)

  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool {
    // In the service's line, not in the client's: the client's own writes neither delay nor refuse it.
    try await write(Turn(of: nil, .urgent)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.run(Self.deleteClient, .text(id.text), .time(change.time)) > 0 else { return false }
        try writer.record(.clientDeleted, of: id, by: change)
        return true
      }
    }
  }

  /// The condition that the client of a row is not deleted.
  static func isKept(client column: String) -> String {
    """
    NOT EXISTS (
      SELECT 1 FROM clients AS gone INDEXED BY ix_clients_deleted
      WHERE gone.id = \(column) AND gone.deleted_at IS NOT NULL)
    """
  }

  static let deleteClient = SQLiteStatement(
    """
    UPDATE clients SET deleted_at = ?2, email = NULL, telegram_id = NULL WHERE id = ?1 AND deleted_at IS NULL
    """)
}
