import Registry
import Testing

@Suite("Every store: credentials") struct CredentialContractTests {
  @Test(arguments: StoreKind.allCases)
  func `hasDevices is true once a device exists`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      #expect(try await store.hasDevices() == false)
      try await store.insertClient(client("alice"))
      #expect(try await store.hasDevices() == false)
      try await store.add("one")
      #expect(try await store.hasDevices() == true)
      _ = try await store.deleteClient(alice)
      try await store.clearDeletedClients()
      #expect(try await store.hasDevices() == false)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Credentials hold the secret's verifier and whether the device is active`(_ kind: StoreKind) async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      let secret = verifier()
      let one = try await store.add("one", verifier: secret)
      func expected(_ status: DeviceState.Status) -> DeviceCredentials {
        DeviceCredentials(
          deviceID: one.id, clientID: alice, access: access(status), current: secret, next: nil,
          graceExpiresAt: nil)
      }
      #expect(try await store.credentials(of: one.id) == expected(.active))
      #expect(try await store.credentials(of: newID()) == nil)
      try await database.sql("UPDATE devices SET is_active = \(kind == .postgres ? "false" : "0")")
      #expect(try await store.credentials(of: one.id) == expected(.suspended))
      _ = try await store.revokeDevice(one.id, of: alice, at: noon)
      #expect(try await store.credentials(of: one.id) == expected(.revoked))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A rotation adds a next secret, and keeps the current one`(_ kind: StoreKind) async throws {
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
            deviceID: id, clientID: alice, access: access(.active), current: first, next: second,
            graceExpiresAt: end))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Only the owner rotates a secret, and not that of a revoked device`(_ kind: StoreKind) async throws {
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
  func `Rotating again replaces the next secret, and never extends the grace period`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let (id, first) = try await store.addDevice()
      // Seconds after noon: the time of the rotation, its requested end, and the expected end.
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
  func `Without a grace period the new secret replaces the current one immediately`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      for grace in [noon, noon.plus(seconds: -1)] {
        // It also ends a pending rotation.
        _ = try await store.rotate(id, until: noon.plus(seconds: 60))
        let new = verifier()
        let rotated = try await store.rotateSecret(
          of: id, of: alice, to: new, graceExpiresAt: grace, at: noon)
        #expect(rotated?.graceExpiresAt == grace)
        #expect(
          try await store.credentials(of: id)
            == DeviceCredentials(
              deviceID: id, clientID: alice, access: access(.active), current: new, next: nil,
              graceExpiresAt: nil))
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Until when a device signs ahead never moves back, and changes nothing else`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let before = try await store.device(id)
      #expect(try await store.credentials(of: id)?.signsAheadUntil == nil)
      for (seconds, owner, expected): (Int64, ClientID, Int64?) in [
        (60, ClientID("bob")!, nil), (60, alice, 60), (30, alice, 60), (90, alice, 90),
      ] {
        try await store.noteSigningAhead(of: id, owner: owner, until: noon.plus(seconds: seconds))
        #expect(try await store.credentials(of: id)?.signsAheadUntil == expected.map { noon.plus(seconds: $0) })
      }
      #expect(try await store.device(id) == before)
      try await store.noteSigningAhead(of: newID(), owner: alice, until: noon)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The next secret is promoted once, and changes no time of the device`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, first) = try await store.addDevice()
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: first.hmacKeyHash) == false)
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      let before = try await store.device(id)
      for hash in [first, verifier()].map(\.hmacKeyHash) {
        #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: hash) == false)
      }
      #expect(try await store.promoteNextSecret(of: newID(), hmacKeyHash: second.hmacKeyHash) == false)
      #expect(try await store.credentials(of: id)?.current == first)
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash) == true)
      #expect(
        try await store.credentials(of: id)
          == DeviceCredentials(
            deviceID: id, clientID: alice, access: access(.active), current: second, next: nil,
            graceExpiresAt: nil))
      #expect(try await store.device(id) == before)
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash) == false)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The next secret of an inactive device is not promoted`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, first) = try await store.addDevice()
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      try await database.sql("UPDATE devices SET is_active = \(kind == .postgres ? "false" : "0")")
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash) == false)
      _ = try await store.revokeDevice(id, of: alice, at: noon)
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash) == false)
      #expect(try await store.credentials(of: id)?.current == first)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Eight concurrent promotions and eight rotations are serialised`(_ kind: StoreKind)
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
            try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash) ? 1 : 0
          }
          group.addTask {
            let end = try await store.rotate(id, to: new, until: noon.plus(seconds: 60))
            #expect(end == noon.plus(seconds: 60))
            return 0
          }
        }
        return try await group.reduce(0, +)
      }
      // The second secret can only be promoted before it is replaced, and only once.
      let found = try #require(try await store.credentials(of: id))
      #expect(promotions <= 1)
      #expect(found.current == (promotions == 1 ? second : first))
      #expect(found.next.map(later.contains) == true)
      #expect(found.graceExpiresAt == noon.plus(seconds: 60))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of sixteen concurrent promotions one succeeds`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      let promotions = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<16 {
          group.addTask {
            try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash) ? 1 : 0
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
  /// Stores the client alice and one of her devices.
  func addDevice() async throws -> (id: DeviceID, secret: SecretVerifier) {
    try await insertClient(StoreTests.client("alice"))
    let secret = verifier()
    return (try await add("one", verifier: secret).id, secret)
  }

  /// Rotates, and returns the end of the grace period.
  func rotate(
    _ id: DeviceID, of owner: ClientID = alice, to secret: SecretVerifier = verifier(),
    until graceExpiresAt: Timestamp, at time: Timestamp = noon
  ) async throws -> Timestamp? {
    try await rotateSecret(of: id, of: owner, to: secret, graceExpiresAt: graceExpiresAt, at: time)?
      .graceExpiresAt
  }
}
