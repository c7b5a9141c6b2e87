import Registry
import Testing

@Suite("Every store: clients") struct ClientContractTests {
  @Test(arguments: StoreKind.allCases)
  func `A stored client is read back unchanged`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let full = client("alice", email: "Alice@Example.org", telegramID: .max)
      let bare = client("!~%'\"\\")
      try await store.insertClient(full)
      try await store.insertClient(bare)
      #expect(try await store.client(alice) == full)
      #expect(try await store.client(bare.id) == bare)
      #expect(try await store.client(ClientID("Alice")!) == nil)
      try await store.ping()
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Ids and email addresses are unique; addresses ignore the case of ASCII letters`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice", email: "a@example.org"))
      await #expect(throws: RegistryError.clientIDTaken) { try await store.insertClient(client("alice")) }
      await #expect(throws: RegistryError.clientIDTaken) {
        try await store.insertClient(client("alice", email: "a@example.org"))
      }
      await #expect(throws: RegistryError.clientEmailTaken) {
        try await store.insertClient(client("bob", email: "A@EXAMPLE.org"))
      }
      try await store.insertClient(client("carol", email: "ä@example.org"))
      try await store.insertClient(client("dave", email: "Ä@example.org"))
      try await store.insertClient(client("erin"))
      try await store.insertClient(client("frank"))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Clients are listed in pages, oldest first, then by the bytes of their id`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let early = Timestamp(millisecondsSince1970: 5)
      for id in ["b", "Z", "a", "_"] { try await store.insertClient(client(id)) }
      try await store.insertClient(client("zz", at: early))
      let all = try await store.clients(after: nil, limit: 10)
      #expect(all.map(\.id.text) == ["zz", "Z", "_", "a", "b"])
      let cursor = ClientCursor(createdAt: all[2].createdAt, id: all[2].id)
      #expect(try await store.clients(after: cursor, limit: 1) == [all[3]])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Deleting a client deletes its devices`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let gone = try await store.add("one")
      try await store.add("two")
      let kept = try await store.add("one", of: "bob")
      #expect(try await store.deleteClient(alice) == true)
      #expect(try await store.deleteClient(alice) == false)
      try await store.clearDeletedClients()
      #expect(try await store.device(gone.id) == nil)
      #expect(try await store.devices(of: alice, after: nil, limit: 10) == [])
      #expect(try await store.device(kept.id) == kept)
    }
    #expect(try await database.sql("SELECT count(*) FROM devices") == "1")
  }

  @Test(arguments: StoreKind.allCases)
  func `A client is changed; null clears, and what changes nothing records nothing`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice", email: "a@example.org", telegramID: 7))
      try await store.insertClient(client("bob", email: "b@example.org"))
      func update(_ update: ClientUpdate, _ id: ClientID = alice) async throws(RegistryError) -> Client? {
        try await store.updateClient(id, update, change: .at(noon))
      }
      let limited = try await update(ClientUpdate(maxDevices: 5))
      #expect(limited?.maxDevices == 5 && limited?.email?.text == "a@example.org" && limited?.telegramID == 7)
      #expect(try await store.client(alice) == limited)
      #expect(try await update(ClientUpdate(maxDevices: 5)) == nil)
      #expect(try await update(ClientUpdate()) == nil)
      let cleared = try await update(
        ClientUpdate(email: .some(nil), telegramID: .some(nil), maxDevices: .some(nil)))
      #expect(cleared == client("alice"))
      await #expect(throws: RegistryError.clientEmailTaken) {
        _ = try await update(ClientUpdate(email: Email("B@example.org")))
      }
      #expect(try await update(ClientUpdate(email: Email("c@example.org")))?.email?.text == "c@example.org")
      #expect(try await update(ClientUpdate(maxDevices: 5), ClientID("carol")!) == nil)
      let events = try await store.seenEvents().events
      #expect(events.map(\.type) == ["client.created", "client.updated", "client.updated", "client.updated"])
      let changes = events.map {
        String(decoding: ($0.changes ?? []).filter { $0 != UInt8(ascii: " ") }, as: UTF8.self)
      }
      #expect(
        changes.dropFirst() == [
          #"{"max_devices":[null,5]}"#,
          #"{"email":[true,false],"telegram_id":[true,false],"max_devices":[5,null]}"#,
          #"{"email":[false,true]}"#,
        ])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A client is suspended and resumed as a whole; repeating it changes nothing`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let id = try await store.add("one").id
      func suspend(_ reason: String?) async throws -> Client? {
        try await store.suspendClient(alice, change: Change.at(noon).because(reason))
      }
      #expect(try await store.resumeClient(alice, change: .at(noon)) == nil)
      #expect(try await suspend("unpaid")?.suspension == .init(reason: "unpaid"))
      #expect(try await store.client(alice)?.suspension == .init(reason: "unpaid"))
      #expect(
        try await store.credentials(of: id)?.access.refusal(at: noon) == .clientSuspended(reason: "unpaid"))
      #expect(try await suspend("unpaid") == nil)
      #expect(try await suspend(nil) == nil)
      #expect(try await suspend("sold")?.suspension == .init(reason: "sold"))
      #expect(try await store.resumeClient(alice, change: .at(noon))?.suspension == nil)
      #expect(try await store.credentials(of: id)?.access.refusal(at: noon) == nil)
      #expect(try await store.resumeClient(alice, change: .at(noon)) == nil)
      #expect(try await store.suspendClient(bob, change: .at(noon)) == nil)
      #expect(
        try await store.seenEvents().events.map(\.type).dropFirst(2)
          == ["client.suspended", "client.suspended", "client.resumed"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A client's own limit of devices counts, lower or higher than the registry's`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.add("one", maxDevices: 1)
      await #expect(throws: RegistryError.tooManyDevices(limit: 1)) {
        try await store.add("two", maxDevices: 1)
      }
      _ = try await store.updateClient(alice, ClientUpdate(maxDevices: 2), change: .at(noon))
      try await store.checkRegistration(of: DeviceName("two"), for: alice, maxDevices: 1)
      try await store.add("two", maxDevices: 1)
      for limit in [1, 100] {
        await #expect(throws: RegistryError.tooManyDevices(limit: 2)) {
          try await store.add("three", maxDevices: limit)
        }
        await #expect(throws: RegistryError.tooManyDevices(limit: 2)) {
          try await store.checkRegistration(of: DeviceName("three"), for: alice, maxDevices: limit)
        }
      }
      #expect(try await store.client(alice)?.deviceCount == 2)
    }
  }
}
