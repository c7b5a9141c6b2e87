/// The database's part on clients.
public protocol ClientStore: Sendable {
  /// Throws `clientIDTaken`, `clientEmailTaken`.
  func insertClient(_ client: Client, change: Change) async throws(RegistryError)

  func client(_ id: ClientID) async throws(RegistryError) -> Client?

  /// At most `limit` clients behind `cursor`, oldest first, then by the bytes of their id.
  func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client]

  /// Deletes the client and, by the database's cascade, its devices. False if there was none.
  func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool
}

/// Where a list that comes in pages goes on: behind this row.
public struct ClientCursor: Hashable, Sendable {
  public let createdAt: Timestamp
  public let id: ClientID

  public init(createdAt: Timestamp, id: ClientID) {
    self.createdAt = createdAt
    self.id = id
  }
}
