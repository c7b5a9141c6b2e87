/// Stores clients.
public protocol ClientStore: Sendable {
  /// Throws `clientIDTaken`, `clientEmailTaken`.
  func insertClient(_ client: Client, change: Change) async throws(RegistryError)

  func client(_ id: ClientID) async throws(RegistryError) -> Client?

  /// At most `limit` clients after `cursor`, oldest first, then by the bytes of their id.
  func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client]

  /// Deletes the client and, by cascade, its devices. False if there is no such client.
  func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool
}

/// The last row of a page; the next page starts after it.
public struct ClientCursor: Hashable, Sendable {
  public let createdAt: Timestamp
  public let id: ClientID

  public init(createdAt: Timestamp, id: ClientID) {
    self.createdAt = createdAt
    self.id = id
  }
}
