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
    id: ClientID?, email: Email?, telegramID: Int64?, maxDevices: Int? = nil, change: Change
  ) async throws(RegistryError) -> Client {
    let client = Client(
      id: id ?? ClientID(DeviceID(at: change.time, random: random).description)!,
      email: email, telegramID: telegramID, createdAt: change.time, maxDevices: maxDevices)
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

  /// Tests that the owner's client exists and is not suspended, before its request is handled. Throws `clientNotFound`,
  /// `refused`.
  public func testStanding(of id: ClientID) async throws(RegistryError) {
    if let suspension = try await standing(of: id).suspension {
      throw .refused(.clientSuspended(reason: suspension.reason))
    }
  }

  private func standing(of id: ClientID) async throws(RegistryError) -> ClientCache.Standing {
    if live.cache.isTrusted, let standing = live.clients.standing(of: id) { return standing }
    let ticket = live.clients.ticket()
    guard let client = try await store.client(id) else { throw .clientNotFound }
    let standing = ClientCache.Standing(suspension: client.suspension)
    live.clients.remember(id, standing, fetchedWith: ticket)
    return standing
  }

  /// Changes the client. Throws `clientNotFound`, `clientEmailTaken`.
  public func updateClient(
    _ id: ClientID, _ update: ClientUpdate, change: Change
  ) async throws(RegistryError) -> Client {
    guard let client = try await store.updateClient(id, update, change: change) else {
      return try await getClient(id)
    }
    observer.changed(RegistryEvent(.clientUpdated, by: change, of: id))
    return client
  }

  /// Suspends the client at once: its owner's requests and those of all its devices are refused. Repeating it changes
  /// nothing. Throws `clientNotFound`.
  public func suspendClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client {
    try await changeState(of: id, .clientSuspended, change) { () async throws(RegistryError) in
      try await store.suspendClient(id, change: change)
    }
  }

  /// Ends the client's suspension. Repeating it changes nothing. Throws `clientNotFound`.
  public func resumeClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client {
    try await changeState(of: id, .clientResumed, change) { () async throws(RegistryError) in
      try await store.resumeClient(id, change: change)
    }
  }

  private func changeState(
    of id: ClientID, _ kind: RegistryEvent.Kind, _ change: Change,
    _ make: () async throws(RegistryError) -> Client?
  ) async throws(RegistryError) -> Client {
    do {
      // Also after an error: the database may have committed the change.
      defer { live.clientChanged(id) }
      if let client = try await make() {
        observer.changed(RegistryEvent(kind, by: change, of: id))
        return client
      }
    }
    return try await getClient(id)
  }

  /// Rows that one statement deletes, so that it delays no other write for long.
  public static let rowsPerStatement = 1000

  /// Deletes the client at once: none of its devices gets in, and no request shows it. Its rows are deleted by
  /// `clearDeletedClients`. Throws `clientNotFound`.
  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) {
    do {
      // Also after an error: the database may have committed the change.
      defer { live.clientChanged(id) }
      guard try await store.deleteClient(id, change: change) else { throw RegistryError.clientNotFound }
    }
    observer.changed(RegistryEvent(.clientDeleted, by: change, of: id))
    // A client with few rows is gone when the answer arrives, and its id is free. If this fails, the background work
    // does it.
    _ = try? await store.clearDeletedClients(id, maximumRows: Self.rowsPerStatement, change: change)
  }

  /// Deletes rows of deleted clients, until none are left or `maximumRows` are deleted. Returns how many it deleted.
  ///
  /// - Parameter id: the client; nil for all.
  @discardableResult
  public func clearDeletedClients(
    _ id: ClientID? = nil, maximumRows: Int = .max, change: Change
  ) async throws(RegistryError) -> Int {
    var sum = 0
    while sum < maximumRows {
      let rows = min(Self.rowsPerStatement, maximumRows - sum)
      let deleted = try await store.clearDeletedClients(id, maximumRows: rows, change: change)
      sum += deleted
      if deleted < rows { break }
    }
    return sum
  }
}
