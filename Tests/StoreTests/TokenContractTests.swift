import Registry
import Testing

@Suite("Every store: access tokens") struct TokenContractTests {
  @Test(arguments: StoreKind.allCases)
  func `A token authenticates its device until it expires`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, secret) = try await store.addDevice()
      let (hash, end) = (newHash(), noon.plus(seconds: 900))
      #expect(try await store.addToken(hash, of: id, secret, expiresAt: end) == true)
      let device = try #require(try await store.credentials(of: id))
      let expected = TokenCredentials(device: device, expiresAt: end)
      #expect(try await store.credentials(ofToken: hash, at: noon) == expected)
      #expect(try await store.credentials(ofToken: hash, at: end.plus(milliseconds: -1)) == expected)
      #expect(try await store.credentials(ofToken: hash, at: end) == nil)
      #expect(try await store.credentials(ofToken: newHash(), at: noon) == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A token is stored only for the current secret`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, first) = try await store.addDevice()
      let (second, end) = (verifier(), noon.plus(seconds: 60))
      #expect(try await store.addToken(of: id, verifier()) == false)
      #expect(try await store.addToken(of: newID(), first) == false)
      _ = try await store.rotate(id, to: second, until: end)
      #expect(try await store.addToken(of: id, second) == false)
      #expect(try await store.addToken(of: id, first, at: end) == false)
      #expect(try await database.sql("SELECT count(*) FROM device_tokens") == "0")
      #expect(try await store.addToken(of: id, first, at: end.plus(milliseconds: -1)) == true)
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash) == true)
      #expect(try await store.addToken(of: id, first) == false)
      #expect(try await store.addToken(of: id, second) == true)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `An inactive device gets no token`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, secret) = try await store.addDevice()
      try await database.sql("UPDATE devices SET is_active = \(kind == .postgres ? "false" : "0")")
      #expect(try await store.addToken(of: id, secret) == false)
      try await database.sql("UPDATE devices SET is_active = \(kind == .postgres ? "true" : "1")")
      #expect(try await store.addToken(of: id, secret) == true)
      _ = try await store.revokeDevice(id, of: alice, at: noon)
      #expect(try await store.addToken(of: id, secret) == false)
      #expect(try await database.sql("SELECT count(*) FROM device_tokens") == "0")
    }
  }

  /// Changes that end a device's secret, or the device.
  enum End: CaseIterable {
    case promotion, rotationAtOnce, revocation, deletionOfClient
    case keyByHand, hashByHand, inactiveByHand, revokedByHand, deletedByHand
  }

  @Test(arguments: StoreKind.allCases, End.allCases)
  func `A token ends with its secret or its device, whatever ends them`(_ kind: StoreKind, _ end: End)
    async throws
  {
    let database = try await TestDatabase(kind)
    let (yes, no) = kind == .postgres ? ("true", "false") : ("1", "0")
    try await database.withStore { store in
      let (id, first) = try await store.addDevice()
      let (other, second, hash) = (verifier(), verifier(), newHash())
      let neighbour = try await store.add("two", verifier: other)
      let kept = newHash()
      _ = try await store.addToken(kept, of: neighbour.id, other)
      _ = try await store.addToken(hash, of: id, first)
      // These changes do not end the token.
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 60))
      _ = try await store.renameDevice(id, of: alice, to: DeviceName("uno"), at: noon)
      try await store.recordPresence([id: Presence(lastSeen: noon)])
      #expect(try await store.credentials(ofToken: hash, at: noon) != nil)
      switch end {
      case .promotion: _ = try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash)
      case .rotationAtOnce: _ = try await store.rotate(id, until: noon)
      case .revocation: _ = try await store.revokeDevice(id, of: alice, at: noon)
      case .deletionOfClient: _ = try await store.deleteClient(alice)
      case .keyByHand:
        let key = kind == .postgres ? "sha256('new')" : "zeroblob(32)"
        try await database.sql("UPDATE devices SET stored_key = \(key) WHERE id = '\(id)'")
      case .hashByHand:
        try await database.sql("UPDATE devices SET hmac_key_hash = '$argon2id$new' WHERE id = '\(id)'")
      case .inactiveByHand: try await database.sql("UPDATE devices SET is_active = \(no) WHERE id = '\(id)'")
      case .revokedByHand:
        try await database.sql("UPDATE devices SET revoked = \(yes), is_active = \(no) WHERE id = '\(id)'")
      case .deletedByHand: try await database.sql("DELETE FROM devices WHERE id = '\(id)'")
      }
      #expect(try await store.credentials(ofToken: hash, at: noon) == nil)
      #expect((try await store.credentials(ofToken: kept, at: noon) == nil) == (end == .deletionOfClient))
      try await store.clearDeletedClients()
    }
    let left = end == .deletionOfClient ? "0" : "1"
    #expect(try await database.sql("SELECT count(*) FROM device_tokens") == left)
  }

  @Test(arguments: StoreKind.allCases)
  func `A new token replaces the oldest live one at the limit; expired tokens do not count`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let (id, secret) = try await store.addDevice()
      let hashes = (0..<6).map { _ in newHash() }
      for (index, hash) in hashes.enumerated() {
        // The third token lives for a second.
        let time = noon.plus(seconds: Int64(index) * 2)
        let added = try await store.addToken(
          hash, of: id, secret, at: time, expiresAt: time.plus(seconds: index == 2 ? 1 : 900), maxLive: 3,
          windowSeconds: 1)
        #expect(added)
      }
      let time = noon.plus(seconds: 10)
      for (index, hash) in hashes.enumerated() {
        let isLive = try await store.credentials(ofToken: hash, at: time) != nil
        #expect(isLive == (index >= 3), "\(index)")
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The rate of tokens is limited, including expired ones`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, secret) = try await store.addDevice()
      let other = verifier()
      let neighbour = try await store.add("two", verifier: other)
      for seconds: Int64 in [0, 10, 20] {
        let time = noon.plus(seconds: seconds)
        #expect(try await store.addToken(of: id, secret, at: time, expiresAt: time, maxLive: 3) == true)
      }
      for (milliseconds, wait): (Int64, Int) in [
        (20_000, 40), (30_500, 30), (31_000, 29), (59_999, 1),
      ] {
        await #expect(throws: RegistryError.tooManyTokens(retryAfterSeconds: wait)) {
          try await store.addToken(of: id, secret, at: noon.plus(milliseconds: milliseconds), maxLive: 3)
        }
      }
      #expect(try await store.addToken(of: neighbour.id, other, at: noon.plus(seconds: 30), maxLive: 3) == true)
      // A wrong secret is refused as such, whatever the rate.
      #expect(try await store.addToken(of: id, other, at: noon.plus(seconds: 30), maxLive: 3) == false)
      #expect(try await store.addToken(of: id, secret, at: noon.plus(seconds: 60), maxLive: 3) == true)
      await #expect(throws: RegistryError.tooManyTokens(retryAfterSeconds: 9)) {
        try await store.addToken(of: id, secret, at: noon.plus(seconds: 61), maxLive: 3)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Tokens created by a clock that was ahead do not block new ones`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, secret) = try await store.addDevice()
      let later = noon.plus(seconds: 3600)
      for _ in 0..<3 {
        let added = try await store.addToken(
          of: id, secret, at: later, expiresAt: later.plus(seconds: 900), maxLive: 3)
        #expect(added)
      }
      let hashes = (0..<3).map { _ in newHash() }
      for (index, hash) in hashes.enumerated() {
        let time = noon.plus(seconds: Int64(index))
        let added = try await store.addToken(
          hash, of: id, secret, at: time, expiresAt: time.plus(seconds: 900), maxLive: 3)
        #expect(added)
      }
      let isLive = try await store.credentials(ofToken: hashes[2], at: noon.plus(seconds: 3)) != nil
      #expect(isLive)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of sixteen concurrent tokens ten are stored where the limit is ten`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, secret) = try await store.addDevice()
      let outcomes = await store.outcomes(16) { _ in
        let added = try await store.addToken(of: id, secret)
        #expect(added)
      }
      #expect(outcomes == [nil: 10, .tooManyTokens(retryAfterSeconds: 60): 6])
    }
    #expect(try await database.sql("SELECT count(*) FROM device_tokens") == "10")
  }

  @Test(arguments: StoreKind.allCases)
  func `After eight concurrent tokens and ten older ones ten are live`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, secret) = try await store.addDevice()
      for index in 0..<10 {
        _ = try await store.addToken(of: id, secret, at: noon.plus(seconds: Int64(index)))
      }
      let outcomes = await store.outcomes(8) { _ in
        let added = try await store.addToken(of: id, secret, at: noon.plus(seconds: 100))
        #expect(added)
      }
      #expect(outcomes == [nil: 8])
    }
    #expect(try await database.sql("SELECT count(*) FROM device_tokens") == "10")
  }

  @Test(arguments: StoreKind.allCases)
  func `No token of the old secret outlives a concurrent rotation`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, secret) = try await store.addDevice()
      let outcomes = await store.outcomes(9) { index in
        if index == 4 {
          #expect(try await store.rotate(id, until: noon) == noon)
        } else {
          _ = try await store.addToken(of: id, secret)
        }
      }
      #expect(outcomes == [nil: 9])
    }
    #expect(try await database.sql("SELECT count(*) FROM device_tokens") == "0")
  }

  @Test(arguments: StoreKind.allCases)
  func `Tokens that expired before a time are removed, up to a limit`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (id, secret) = try await store.addDevice()
      let hashes = (0..<6).map { _ in newHash() }
      for (index, hash) in hashes.enumerated() {
        _ = try await store.addToken(hash, of: id, secret, expiresAt: noon.plus(seconds: Int64(index)))
      }
      let time = noon.plus(seconds: 5)
      #expect(try await store.removeTokens(expiredBefore: time, limit: 3) == 3)
      #expect(try await store.removeTokens(expiredBefore: time, limit: 3) == 2)
      #expect(try await store.removeTokens(expiredBefore: time, limit: 3) == 0)
      #expect(try await store.credentials(ofToken: hashes[5], at: noon) != nil)
    }
  }
}
