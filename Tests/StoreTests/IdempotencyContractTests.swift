import TestSupport
import Testing

@testable import Registry

@Suite("Every store: idempotency keys") struct IdempotencyContractTests {
  private func key(_ text: String, _ request: String = "POST /x sha-256=:a:") -> IdempotencyKey {
    IdempotencyKey(text, request: request)!
  }

  private func change(_ key: IdempotencyKey, at time: Timestamp = noon) -> Change {
    Change.at(time).claiming(IdempotencyClaim(clientID: alice, key: key))
  }

  @Test(arguments: StoreKind.allCases)
  func `A key is stored with what it created, and a second use creates nothing`(_ kind: StoreKind) async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let one = try newDevice("one")
      #expect(try await store.idempotencyKey(key("k"), of: alice, maximum: 10).used == nil)
      try await store.insertDevice(one, verifier: verifier(), maxDevices: 10, change: change(key("k")))
      let used = try await store.idempotencyKey(key("k"), of: alice, maximum: 10)
      #expect(used.used == UsedIdempotencyKey(request: key("k").request, resourceID: "\(one.id)"))
      #expect(!used.isFull)
      #expect(try await store.idempotencyKey(key("k"), of: bob, maximum: 10).used == nil)
      await #expect(throws: RegistryError.idempotencyKeyUsed) {
        try await store.insertDevice(
          try newDevice("two"), verifier: verifier(), maxDevices: 10, change: change(key("k")))
      }
      #expect(try await store.devices(of: alice, after: nil, limit: 10) == [one])
      #expect(try await store.seenEvents().events.map(\.type) == ["client.created", "device.registered"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A change that is refused leaves its key unused`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      await #expect(throws: RegistryError.tooManyDevices(limit: 0)) {
        try await store.insertDevice(
          try newDevice("one"), verifier: verifier(), maxDevices: 0, change: change(key("k")))
      }
      #expect(
        try await store.rotateSecret(
          of: newID(), of: alice, to: verifier(), graceExpiresAt: noon, change: change(key("k"))) == nil)
      #expect(try await store.idempotencyKey(key("k"), of: alice, maximum: 10).used == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The keys of a client are counted, and old ones are removed in steps`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      for number in 0..<5 {
        try await store.insertDevice(
          try newDevice("\(number)"), verifier: verifier(), maxDevices: 10,
          change: change(key("k\(number)"), at: noon.plus(seconds: Int64(number))))
      }
      #expect(try await store.idempotencyKey(key("new"), of: alice, maximum: 5).isFull)
      #expect(try await !store.idempotencyKey(key("new"), of: alice, maximum: 6).isFull)
      let time = noon.plus(seconds: 3)
      #expect(try await store.removeIdempotencyKeys(usedBefore: time, maximumRows: 2) == 2)
      #expect(try await store.removeIdempotencyKeys(usedBefore: time, maximumRows: 2) == 1)
      #expect(try await store.removeIdempotencyKeys(usedBefore: time, maximumRows: 2) == 0)
      #expect(try await store.idempotencyKey(key("k2"), of: alice, maximum: 5).used == nil)
      #expect(try await store.idempotencyKey(key("k3"), of: alice, maximum: 5).used != nil)
    }
  }
}
