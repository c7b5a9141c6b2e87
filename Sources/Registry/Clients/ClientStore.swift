/// Stores clients.
public protocol ClientStore: Sendable {
  /// Throws `clientIDTaken`, `clientEmailTaken`.
  func insertClient(_ client: Client, change: Change) async throws(RegistryError)

  func client(_ id: ClientID) async throws(RegistryError) -> Client?

  /// At most `limit` clients after `cursor`, oldest first, then by the bytes of their id.
  func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client]

  /// Changes the client, and returns it. Nil, without effect, if there is no such client or nothing would change. Throws
  /// `clientEmailTaken`.
  func updateClient(_ id: ClientID, _ update: ClientUpdate, change: Change) async throws(RegistryError)
    -> Client?

  /// Suspends the client for the change's reason, and returns it. Nil, without effect, if there is no such client, or if it
  /// is suspended and the change has no other reason.
  func suspendClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client?

  /// Ends the client's suspension, and returns the client. Nil, without effect, if there is none.
  func resumeClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client?

  /// Deletes the client: no operation shows it, its devices no longer authenticate, nothing can be added to it, and its
  /// e-mail address is free. False if there is no such client. Its rows, and its id, are there until
  /// `clearDeletedClients` has deleted them; `ClientService.testStanding` refuses its owner's requests.
  func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool

  /// Deletes rows of clients that were deleted: deliveries, signals, tokens, devices, and last the client's own.
  /// Returns how many it deleted, at most `maximumRows`; fewer if there are no more.
  ///
  /// - Parameter id: the client; nil for any.
  func clearDeletedClients(_ id: ClientID?, maximumRows: Int, change: Change) async throws(RegistryError) -> Int
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
