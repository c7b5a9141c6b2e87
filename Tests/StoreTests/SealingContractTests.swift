import Registry
import Testing

@testable import Server

@Suite("Every store: sealing") struct SealingContractTests {
  @Test(arguments: StoreKind.allCases)
  func `Keys are stored as boxes, through rotation and promotion, and are opened when they are read`(
    _ kind: StoreKind
  ) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { (store) async throws in
      let (id, first) = try await store.addDevice()
      #expect(try await database.lengths() == "81 81 - -")
      #expect(try await store.credentials(of: id)?.current == first)
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      #expect(try await database.lengths() == "81 81 81 81")
      #expect(try await store.credentials(of: id)?.current == first)
      #expect(try await store.credentials(of: id)?.next == second)
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash))
      #expect(try await database.lengths() == "81 81 - -")
      #expect(try await store.credentials(of: id)?.current == second)
      let (third, hash) = (verifier(), newHash())
      _ = try await store.rotate(id, to: third, until: noon)
      #expect(try await store.credentials(of: id)?.current == third)
      #expect(try await store.addToken(hash, of: id, third))
      #expect(try await store.credentials(ofToken: hash, at: noon)?.device.current == third)
      #expect(try await store.sealingKeys(limit: 10) == Set(testSealer(1).keys))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Without a sealer keys are stored plain, and plain keys are read with one`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind)
    let (id, first) = try await database.withStore(sealer: nil) { (store) async throws in
      let (id, first) = try await store.addDevice()
      #expect(try await store.credentials(of: id)?.current == first)
      #expect(try await store.sealingKeys(limit: 10).isEmpty)
      #expect(
        try await store.sealDevices(after: nil, limit: 10)
          == SealingStep(last: id, count: 1, sealed: 0, passedOver: 0))
      return (id, first)
    }
    #expect(try await database.lengths() == "32 32 - -")
    try await database.withStore { (store) async throws in
      let read = try await store.credentials(of: id)
      #expect(read?.current == first)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A box does not open without its key`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    let (id, hash) = try await database.withStore { (store) async throws in
      let (id, secret) = try await store.addDevice()
      let hash = newHash()
      _ = try await store.addToken(hash, of: id, secret)
      return (id, hash)
    }
    for (sealer, problem) in [
      (nil, "is sealed, and SEALING_KEY_FILE is not set"),
      (testSealer(2), "was sealed with key \(testSealer(1).keys[0]), which is not in sealing-key"),
    ] {
      let expected = RegistryError.unavailable(cause: "devices.stored_key of \(id) \(problem)")
      try await database.withStore(sealer: sealer) { (store) async throws in
        await #expect(throws: expected) { try await store.credentials(of: id) }
        await #expect(throws: expected) { try await store.credentials(ofToken: hash, at: noon) }
        if sealer != nil {
          await #expect(throws: expected) { try await store.sealDevices(after: nil, limit: 1) }
        }
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Boxes open in no other place`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { (store) async throws in
      let (one, first) = try await store.addDevice()
      let two = try await store.add("two").id
      func swap(_ change: String) async throws {
        try await database.sql("UPDATE devices SET \(change) WHERE id = '\(two)'")
        await #expect(throws: RegistryError.self, "\(change)") { try await store.credentials(of: two) }
      }
      try await swap("stored_key = server_key, server_key = stored_key")
      // Back in their places they open.
      try await database.sql(
        "UPDATE devices SET stored_key = server_key, server_key = stored_key WHERE id = '\(two)'")
      #expect(try await store.credentials(of: two) != nil)
      try await swap("stored_key = (SELECT stored_key FROM devices WHERE id = '\(one)')")
      try await swap("server_key = (SELECT server_key FROM devices WHERE id = '\(one)')")
      #expect(try await store.credentials(of: one)?.current == first)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Steps seal what is plain or has another key, and change nothing else`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    let hash = newHash()
    let (ids, before) = try await database.withStore(sealer: nil) { (store) async throws in
      var ids = try await store.addDevices(4)
      _ = try await store.rotate(ids[1], until: noon.plus(seconds: 60))
      _ = try await store.revokeDevice(ids[2], of: alice, at: noon)
      let secret = try #require(try await store.credentials(of: ids[0])).current
      _ = try await store.addToken(hash, of: ids[0], secret)
      try await store.insertClient(client("bob"))
      ids.append(try await store.add("deleted", of: "bob").id)
      _ = try await store.deleteClient(bob)
      var before: [DeviceCredentials?] = []
      for id in ids { before.append(try await store.credentials(of: id)) }
      return (ids, before)
    }
    for (sealer, key) in [(testSealer(1), testSealer(1)), (testSealer(2, 1), testSealer(2))] {
      try await database.withStore(sealer: sealer) { (store) async throws in
        _ = try await store.sealDevices(after: ids[1], limit: 1)
        var (last, sealed): (DeviceID?, [Int]) = (nil, [])
        repeat {
          let step = try await store.sealDevices(after: last, limit: 2)
          #expect(step.passedOver == 0)
          last = step.last
          sealed.append(step.sealed)
        } while last != nil
        #expect(sealed == [2, 1, 1, 0])
        #expect(try await store.sealingKeys(limit: 10) == Set(key.keys))
      }
      try await database.withStore(sealer: key) { (store) async throws in
        for (id, before) in zip(ids, before) { #expect(try await store.credentials(of: id) == before) }
        #expect(try await store.credentials(ofToken: hash, at: noon) != nil)
        #expect(try await store.sealDevices(after: nil, limit: 10).sealed == 0)
      }
    }
    #expect(try await database.sql("SELECT count(*) FROM devices WHERE length(stored_key) = 32") == "0")
  }

  @Test(arguments: StoreKind.allCases)
  func `The keys in use are those of current and next secrets`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    let ids = try await database.withStore(sealer: testSealer(3)) { try await $0.addDevices(2) }
    _ = try await database.withStore(sealer: testSealer(1)) { (store) async throws in
      try await store.rotate(ids[0], until: noon.plus(seconds: 60))
    }
    try await database.withStore(sealer: testSealer(2)) { (store) async throws in
      try await store.add("three")
      try await store.add("four")
      #expect(try await store.sealingKeys(limit: 10) == Set(testSealer(1, 2, 3).keys))
    }
  }
}

extension TestDatabase {
  /// The lengths of the four keys of the only device.
  fileprivate func lengths() async throws -> String? {
    let columns = ["stored_key", "server_key", "next_stored_key", "next_server_key"]
      .map { "coalesce(CAST(length(\($0)) AS text), '-')" }
    return try await sql("SELECT \(columns.joined(separator: " || ' ' || ")) FROM devices")
  }
}
