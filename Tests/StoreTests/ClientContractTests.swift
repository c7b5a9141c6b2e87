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
}
