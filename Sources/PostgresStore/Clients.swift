public import Registry

extension PostgresStore {
  public func insertClient(_ client: Client, change: Change) async throws(RegistryError) {
    let values: [PostgresValue] = [
      .text(client.id.text), .text(orNull: client.email?.text), .int8(orNull: client.telegramID),
      .timestamp(client.createdAt),
    ]
    try await run(.insertClient, values) { (_) throws(RegistryError) in }
  }

  public func client(_ id: ClientID) async throws(RegistryError) -> Client? {
    try await run(.client, [.text(id.text)]) { $0.firstRow.map(Client.init(row:)) }
  }

  public func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client] {
    let values: [PostgresValue] = [
      cursor.map { .timestamp($0.createdAt) } ?? .earliest, .text(cursor?.id.text ?? ""), .int8(Int64(limit)),
    ]
    return try await run(.clients, values) { $0.map(Client.init(row:)) }
  }

  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool {
    try await run(.deleteClient, [.text(id.text)]) { $0.changedRowCount > 0 }
  }
}

extension Client {
  /// Reads `PostgresStatement.clientColumns`. An address that hand-written SQL spoiled is shown as none.
  fileprivate init(row: PostgresAnswer.Row) {
    self.init(
      id: ClientID(row.text(0)!)!, email: row.text(1).flatMap { Email($0) }, telegramID: row.int8(2),
      createdAt: row.timestamp(3)!)
  }
}
