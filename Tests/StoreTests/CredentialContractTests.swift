import Registry
import Testing

@Suite("Every store: credentials") struct CredentialContractTests {
  @Test(arguments: StoreKind.allCases)
  func `It is known whether there are devices`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      #expect(try await store.hasDevices() == false)
      try await store.insertClient(client("alice"))
      #expect(try await store.hasDevices() == false)
      try await store.add("one")
      #expect(try await store.hasDevices() == true)
      _ = try await store.deleteClient(alice)
      #expect(try await store.hasDevices() == false)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A device's credentials are its secret's, and say whether it may come in`(_ kind: StoreKind) async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      let secret = verifier()
      let one = try await store.add("one", verifier: secret)
      func expected(isActive: Bool) -> DeviceCredentials {
        DeviceCredentials(
          deviceID: one.id, clientID: alice, isActive: isActive, current: secret, next: nil, graceExpiresAt: nil
        )
      }
      #expect(try await store.credentials(of: one.id) == expected(isActive: true))
      #expect(try await store.credentials(of: newID()) == nil)
      try await database.sql("UPDATE devices SET is_active = \(kind == .postgres ? "false" : "0")")
      #expect(try await store.credentials(of: one.id) == expected(isActive: false))
      _ = try await store.revokeDevice(one.id, of: alice, at: noon)
      #expect(try await store.credentials(of: one.id) == expected(isActive: false))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A rotation gives a next secret, and leaves the one in force`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, first) = try await store.addDevice()
      let (second, end) = (verifier(), noon.plus(seconds: 3600))
      let rotated = try await store.rotateSecret(
        of: id, of: alice, to: second, graceExpiresAt: end, at: noon.plus(seconds: 1))
      #expect(rotated?.graceExpiresAt == end)
      #expect(rotated?.device.updatedAt == noon.plus(seconds: 1) && rotated?.device.createdAt == noon)
      #expect(try await store.device(id) == rotated?.device)
      #expect(
        try await store.credentials(of: id)
          == DeviceCredentials(
            deviceID: id, clientID: alice, isActive: true, current: first, next: second, graceExpiresAt: end))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Only its owner rotates a device's secret, and none of a revoked device`(_ kind: StoreKind) async throws
  {
    try await withStore(kind) { store in
      let (id, first) = try await store.addDevice()
      try await store.insertClient(client("bob"))
      for grace in [noon, noon.plus(seconds: 60)] {
        #expect(try await store.rotate(id, of: bob, until: grace) == nil)
        #expect(try await store.rotate(newID(), until: grace) == nil)
      }
      let untouched = try await store.credentials(of: id)
      #expect(untouched?.current == first && untouched?.next == nil)
      _ = try await store.revokeDevice(id, of: alice, at: noon)
      for grace in [noon, noon.plus(seconds: 60)] {
        #expect(try await store.rotate(id, until: grace) == nil)
      }
      #expect(try await store.credentials(of: id)?.current == first)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Rotating again replaces the next secret, and never puts the end off`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, first) = try await store.addDevice()
      // Seconds behind noon: when it is rotated, until when, and what the end then is.
      for (now, wanted, end): (Int64, Int64, Int64) in [
        (0, 100, 100), (1, 200, 100), (2, 50, 50), (3, 50, 50), (60, 300, 50), (70, 80, 50),
      ] {
        let next = verifier()
        let rotated = try await store.rotate(
          id, to: next, until: noon.plus(seconds: wanted), at: noon.plus(seconds: now))
        #expect(rotated == noon.plus(seconds: end))
        let found = try await store.credentials(of: id)
        #expect(found?.current == first && found?.next == next)
        #expect(found?.graceExpiresAt == noon.plus(seconds: end))
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Without grace the new secret is in force at once, and nothing is next`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      for grace in [noon, noon.plus(seconds: -1)] {
        // A rotation that is under way ends with it.
        _ = try await store.rotate(id, until: noon.plus(seconds: 60))
        let new = verifier()
        let rotated = try await store.rotateSecret(
          of: id, of: alice, to: new, graceExpiresAt: grace, at: noon)
        #expect(rotated?.graceExpiresAt == grace)
        #expect(
          try await store.credentials(of: id)
            == DeviceCredentials(
              deviceID: id, clientID: alice, isActive: true, current: new, next: nil, graceExpiresAt: nil))
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The next secret comes into force once, and moves no time of the device`(_ kind: StoreKind) async throws
  {
    try await withStore(kind) { store in
      let (id, first) = try await store.addDevice()
      #expect(try await store.promoteNextSecret(of: id, storedKey: first.storedKey) == false)
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      let before = try await store.device(id)
      for key in [first, verifier()].map(\.storedKey) {
        #expect(try await store.promoteNextSecret(of: id, storedKey: key) == false)
      }
      #expect(try await store.promoteNextSecret(of: newID(), storedKey: second.storedKey) == false)
      #expect(try await store.credentials(of: id)?.current == first)
      #expect(try await store.promoteNextSecret(of: id, storedKey: second.storedKey) == true)
      #expect(
        try await store.credentials(of: id)
          == DeviceCredentials(
            deviceID: id, clientID: alice, isActive: true, current: second, next: nil, graceExpiresAt: nil))
      #expect(try await store.device(id) == before)
      #expect(try await store.promoteNextSecret(of: id, storedKey: second.storedKey) == false)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `No secret of a device that may not come in comes into force`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, first) = try await store.addDevice()
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      try await database.sql("UPDATE devices SET is_active = \(kind == .postgres ? "false" : "0")")
      #expect(try await store.promoteNextSecret(of: id, storedKey: second.storedKey) == false)
      _ = try await store.revokeDevice(id, of: alice, at: noon)
      #expect(try await store.promoteNextSecret(of: id, storedKey: second.storedKey) == false)
      #expect(try await store.credentials(of: id)?.current == first)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Eight first uses of a secret and eight rotations at once leave one order`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let (id, first) = try await store.addDevice()
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      let later = (0..<8).map { _ in verifier() }
      let promotions = try await withThrowingTaskGroup(of: Int.self) { group in
        for new in later {
          group.addTask {
            try await store.promoteNextSecret(of: id, storedKey: second.storedKey) ? 1 : 0
          }
          group.addTask {
            let end = try await store.rotate(id, to: new, until: noon.plus(seconds: 60))
            #expect(end == noon.plus(seconds: 60))
            return 0
          }
        }
        return try await group.reduce(0, +)
      }
      // Whoever used the second secret did so before it was replaced, and only one was the first.
      let found = try #require(try await store.credentials(of: id))
      #expect(promotions <= 1)
      #expect(found.current == (promotions == 1 ? second : first))
      #expect(found.next.map(later.contains) == true)
      #expect(found.graceExpiresAt == noon.plus(seconds: 60))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Sixteen first uses of a secret at once: one is the first`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      let promotions = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<16 {
          group.addTask {
            try await store.promoteNextSecret(of: id, storedKey: second.storedKey) ? 1 : 0
          }
        }
        return try await group.reduce(0, +)
      }
      #expect(promotions == 1)
      #expect(try await store.credentials(of: id)?.current == second)
    }
  }
}

extension RegistryStore {
  /// Stores the client alice and a device of hers.
  func addDevice() async throws -> (id: DeviceID, secret: SecretVerifier) {
    try await insertClient(StoreTests.client("alice"))
    let secret = verifier()
    return (try await add("one", verifier: secret).id, secret)
  }

  /// Rotates, and answers when the secret in force ends.
  func rotate(
    _ id: DeviceID, of owner: ClientID = alice, to secret: SecretVerifier = verifier(),
    until graceExpiresAt: Timestamp, at time: Timestamp = noon
  ) async throws -> Timestamp? {
    try await rotateSecret(of: id, of: owner, to: secret, graceExpiresAt: graceExpiresAt, at: time)?
      .graceExpiresAt
  }
}
