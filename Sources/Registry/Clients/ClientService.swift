/// The operations on clients. Each event loop has one, with the loop's own store.
public struct ClientService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let random: any RandomSource
  private let observer: any RegistryObserver

  /// The page size of `listClients` when the caller gives no limit.
  public static let maximumPage = 1000

  public init(
    store: any RegistryStore, live: LiveDevices, random: any RandomSource, observer: any RegistryObserver
  ) {
    self.store = store
    self.live = live
    self.random = random
    self.observer = observer
  }

  /// Adds a client; generates a UUID if `id` is nil. Throws `clientIDTaken`, `clientEmailTaken`.
  public func createClient(
    id: ClientID?, email: Email?, telegramID: Int64?, change: Change
  ) async throws(RegistryError) -> Client {
    let client = Client(
      id: id ?? ClientID(DeviceID(at: change.time, random: random).description)!,
      email: email, telegramID: telegramID, createdAt: change.time)
    try await store.insertClient(client, change: change)
    observer.changed(RegistryEvent(.clientCreated, by: change, of: client.id))
    return client
  }

  /// Throws `clientNotFound`.
  public func getClient(_ id: ClientID) async throws(RegistryError) -> Client {
    guard let client = try await store.client(id) else { throw .clientNotFound }
    return client
  }

  /// All clients, oldest first, `limit` at a time.
  public func listClients(
    limit: Int = maximumPage, after cursor: ClientCursor? = nil
  ) async throws(RegistryError) -> Page<Client, ClientCursor> {
    let clients = try await store.clients(after: cursor, limit: limit + 1)
    return Page(clients, limit: limit) { ClientCursor(createdAt: $0.createdAt, id: $0.id) }
  }

  /// Deletes the client with its devices and everything that belongs to them. Throws `clientNotFound`.
  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) {
    // Also after an error: the database may have committed the change.
    defer { live.credentialsChanged(ofDevicesOf: id) }
    guard try await store.deleteClient(id, change: change) else { throw .clientNotFound }
    observer.changed(RegistryEvent(.clientDeleted, by: change, of: id))
  }
}
