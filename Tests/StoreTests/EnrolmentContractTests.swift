import TestSupport
import Testing

@testable import Registry

@Suite("Every store: enrolments") struct EnrolmentContractTests {
  private func enrolment(
    _ number: UInt64 = 1, of client: ClientID = alice, device: DeviceID? = nil, name: String? = nil,
    expiresAfter seconds: Int64 = 900, labels: Labels = [:], groups: [GroupName] = [],
    deviceExpiresAt: Timestamp? = nil
  ) -> Enrolment {
    Enrolment(
      id: EnrolmentID(high: 1, low: number), clientID: client, replacesSecret: device != nil, deviceID: device,
      deviceName: name.map { DeviceName(stored: $0) }, labels: labels, groups: groups,
      deviceExpiresAt: deviceExpiresAt, createdAt: noon, expiresAt: noon.plus(seconds: seconds),
      usedAt: nil)
  }

  /// The hash of the code of an enrolment.
  private func hash(_ number: UInt64) -> TokenHash {
    TokenHash((0..<4).flatMap { _ in withUnsafeBytes(of: number.bigEndian) { Array($0) } })
  }

  private func add(_ enrolments: Enrolment..., to store: any RegistryStore) async throws -> Bool {
    try await store.insertEnrolments(
      enrolments.map { NewEnrolment($0, codeHash: hash($0.id.low)) }, change: .at(noon))
  }

  private func enrol(
    _ device: Device, with enrolment: Enrolment, on store: any RegistryStore, maxDevices: Int = 10,
    at time: Timestamp = noon, secret: SecretVerifier = verifier()
  ) async throws -> Bool {
    try await store.enrol(
      device, verifier: secret, with: enrolment.id, maxDevices: maxDevices, change: .at(time))
  }

  private func types(_ store: any RegistryStore) async throws -> [String] {
    try await store.seenEvents().events.map(\.type)
  }

  @Test(arguments: StoreKind.allCases)
  func `Enrolments are stored with all their values, found by id and by code, and listed in pages`(
    _ kind: StoreKind
  ) async throws {
    try await withStore(kind) { store in
      let (device, _) = try await store.addDevice()
      try await store.insertClient(client("bob"))
      let (labels, end): (Labels, Timestamp) = (["role": "primary", "vps": ""], noon.plus(seconds: 7))
      let first = enrolment(1, name: "EA 1", labels: labels, deviceExpiresAt: end)
      let second = enrolment(2, labels: labels, deviceExpiresAt: end)
      let third = enrolment(3, device: device)
      #expect(try await add(first, second, to: store))
      #expect(try await add(third, to: store))
      #expect(try await add(enrolment(4, of: bob), to: store))
      for one in [first, second, third] {
        #expect(try await store.enrolment(one.id) == one)
        #expect(try await store.enrolment(withCode: hash(one.id.low)) == one)
      }
      #expect(try await store.enrolment(EnrolmentID(high: 9, low: 9)) == nil)
      #expect(try await store.enrolment(withCode: hash(9)) == nil)
      #expect(try await store.enrolments(of: alice, after: nil, limit: 2) == [first, second])
      #expect(try await store.enrolments(of: alice, after: second.id, limit: 2) == [third])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `None is stored for a client that does not exist, or a device that is not the client's or is revoked`(
    _ kind: StoreKind
  ) async throws {
    try await withStore(kind) { store in
      await #expect(throws: RegistryError.clientNotFound) { try await add(enrolment(), to: store) }
      let (device, _) = try await store.addDevice()
      try await store.insertClient(client("bob"))
      #expect(try await !add(enrolment(1, of: bob, device: device), to: store))
      #expect(try await !add(enrolment(1, device: newID()), to: store))
      _ = try await store.revokeDevice(device, of: alice, at: noon)
      #expect(try await !add(enrolment(1, device: device), to: store))
      _ = try await store.deleteClient(bob)
      await #expect(throws: RegistryError.clientNotFound) { try await add(enrolment(1, of: bob), to: store) }
      #expect(try await store.enrolments(of: alice, after: nil, limit: 2).isEmpty)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A client has a bounded number of them, also if many are created at once`(_ kind: StoreKind) async throws
  {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let size = 500
      let outcomes = await store.outcomes(Enrolment.maximumPerClient / size + 4) { batch in
        let numbers = (1...UInt64(size)).map { UInt64(batch * size) + $0 }
        _ = try await store.insertEnrolments(
          numbers.map { NewEnrolment(enrolment($0), codeHash: hash($0)) }, change: .at(noon))
      }
      let full = RegistryError.tooManyEnrolments(limit: Enrolment.maximumPerClient)
      #expect(outcomes == [nil: Enrolment.maximumPerClient / size, full: 4])
      let any = try #require(try await store.enrolments(of: alice, after: nil, limit: 1).first)
      #expect(try await store.deleteEnrolment(any.id, of: alice, change: .at(noon)))
      #expect(try await add(enrolment(1_000_000), to: store))
      await #expect(throws: full) { try await add(enrolment(1_000_001), to: store) }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A code makes one device, however many use it at once`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let enrolment = enrolment(name: "EA")
      _ = try await add(enrolment, to: store)
      let made = await withTaskGroup(of: Device?.self) { group in
        for index in 0..<16 {
          group.addTask {
            guard let device = try? newDevice("device \(index)") else { return nil }
            return (try? await enrol(device, with: enrolment, on: store)) == true ? device : nil
          }
        }
        return await group.reduce(into: [Device]()) { if let device = $1 { $0.append(device) } }
      }
      #expect(made.count == 1)
      #expect(try await store.devices(of: alice, after: nil, limit: 10) == made)
      let used = try #require(try await store.enrolment(enrolment.id))
      #expect(used.usedAt == noon && used.deviceID == made.first?.id && used.status(at: noon) == .used)
      let events = try await store.seenEvents().events
      #expect(events.map(\.type) == ["client.created", "enrolment.created", "device.enrolled"])
      #expect(events.last?.deviceID == made.first?.id)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `An expired, deleted or foreign enrolment makes no device`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let (first, second) = (enrolment(1), enrolment(2))
      _ = try await add(first, second, to: store)
      let device = try newDevice("EA")
      #expect(try await !enrol(device, with: first, on: store, at: noon.plus(seconds: 900)))
      #expect(try await !enrol(try newDevice("EA", of: "bob"), with: first, on: store))
      _ = try await store.deleteEnrolment(first.id, of: alice, change: .at(noon))
      #expect(try await !enrol(device, with: first, on: store))
      #expect(try await store.devices(of: alice, after: nil, limit: 10).isEmpty)
      #expect(try await enrol(device, with: second, on: store, at: noon.plus(milliseconds: 899_999)))
      #expect(try await store.device(device.id) == device)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A code needs the groups of its device: when it is made, and when it is used`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let (desk, lab) = (GroupName("desk")!, GroupName("lab")!)
      try await store.insertClient(client("alice"))
      for group in [desk, lab] {
        _ = try await store.putGroup(group, of: alice, description: nil, change: .at(noon))
      }
      let enrolments = [desk, lab].enumerated().map { enrolment(UInt64($0) + 1, groups: [$1]) }
      let unknown = enrolment(3, groups: [desk, GroupName("none")!])
      await #expect(throws: RegistryError.groupNotFound) { try await add(unknown, to: store) }
      #expect(try await store.enrolment(unknown.id) == nil)
      #expect(try await add(enrolments[0], to: store))
      #expect(try await add(enrolments[1], to: store))
      func device(_ name: String, in group: GroupName) throws -> Device {
        Device(
          registered: newID(), clientID: alice, deviceName: try DeviceName(name), groups: [group], at: noon)
      }
      let first = try device("first", in: desk)
      #expect(try await enrol(first, with: enrolments[0], on: store))
      #expect(try await store.device(first.id)?.groups == [desk])
      _ = try await store.deleteGroup(lab, of: alice, change: .at(noon))
      let second = try device("second", in: lab)
      await #expect(throws: RegistryError.groupNotFound) {
        try await enrol(second, with: enrolments[1], on: store)
      }
      #expect(try await store.enrolment(enrolments[1].id) == enrolments[1])
      _ = try await store.clearDeletedGroups(of: alice, maximumRows: 10)
      _ = try await store.putGroup(lab, of: alice, description: nil, change: .at(noon))
      #expect(try await enrol(second, with: enrolments[1], on: store))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A code stays open if the device cannot be registered`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.add("EA")
      let enrolment = enrolment()
      _ = try await add(enrolment, to: store)
      await #expect(throws: RegistryError.deviceNameTaken) {
        try await enrol(try newDevice("EA"), with: enrolment, on: store)
      }
      await #expect(throws: RegistryError.tooManyDevices(limit: 1)) {
        try await enrol(try newDevice("EB"), with: enrolment, on: store, maxDevices: 1)
      }
      #expect(try await store.enrolment(enrolment.id) == enrolment)
      #expect(try await enrol(try newDevice("EB"), with: enrolment, on: store))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The code of a device replaces its secrets and ends its tokens, once`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      let (device, first) = try await store.addDevice()
      let token = newHash()
      #expect(try await store.addToken(token, of: device, first))
      _ = try await store.rotate(device, until: noon.plus(seconds: 60))
      let enrolment = enrolment(device: device)
      #expect(try await add(enrolment, to: store))
      #expect(try await !enrol(try newDevice("other"), with: enrolment, on: store))
      func replace(_ secret: SecretVerifier, of id: DeviceID, owner: ClientID = alice) async throws -> Device? {
        try await store.replaceSecret(
          of: id, of: owner, by: secret, with: enrolment.id, change: .at(noon.plus(seconds: 2)))
      }
      let other = try await store.add("two").id
      let second = verifier()
      #expect(try await replace(second, of: other) == nil)
      #expect(try await replace(second, of: device, owner: bob) == nil)
      let replaced = try #require(try await replace(second, of: device))
      #expect(replaced.updatedAt == noon.plus(seconds: 2))
      #expect(try await store.device(device) == replaced)
      let credentials = try #require(try await store.credentials(of: device))
      #expect(credentials.current == second && credentials.next == nil && credentials.graceExpiresAt == nil)
      #expect(try await store.credentials(ofToken: token, at: noon) == nil)
      #expect(try await replace(verifier(), of: device) == nil)
      #expect(try await store.credentials(of: device)?.current == second)
      #expect(try await types(store).suffix(2) == ["device.registered", "device.enrolled"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The code of a revoked device does nothing, and stays unused`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let (device, first) = try await store.addDevice()
      let enrolment = enrolment(device: device)
      _ = try await add(enrolment, to: store)
      _ = try await store.revokeDevice(device, of: alice, at: noon)
      #expect(
        try await store.replaceSecret(
          of: device, of: alice, by: verifier(), with: enrolment.id, change: .at(noon)) == nil)
      #expect(try await store.enrolment(enrolment.id) == enrolment)
      #expect(try await store.credentials(of: device)?.current == first)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Only its owner deletes an enrolment, and each deletion is an event`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let enrolment = enrolment()
      _ = try await add(enrolment, to: store)
      #expect(try await !store.deleteEnrolment(enrolment.id, of: bob, change: .at(noon)))
      #expect(try await store.deleteEnrolment(enrolment.id, of: alice, change: .at(noon)))
      #expect(try await !store.deleteEnrolment(enrolment.id, of: alice, change: .at(noon)))
      let events = try await store.seenEvents().events.dropFirst()
      #expect(events.map(\.type) == ["enrolment.created", "enrolment.deleted"])
      let changes = events.map { event in
        String(decoding: (event.changes ?? []).filter { $0 != UInt8(ascii: " ") }, as: UTF8.self)
      }
      #expect(
        changes == [
          #"{"enrolment_id":[null,"\#(enrolment.id)"],"expires_at":[null,"\#(enrolment.expiresAt)"]}"#,
          #"{"enrolment_id":["\#(enrolment.id)",null]}"#,
        ])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A key is stored with what it created: the first of several enrolments, and the device that a code made`(
    _ kind: StoreKind
  ) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      func change(_ name: String) -> Change {
        let key = IdempotencyKey(name, request: "POST /x")!
        return Change.at(noon).claiming(IdempotencyClaim(clientID: alice, key: key))
      }
      func used(_ name: String) async throws -> String? {
        let key = IdempotencyKey(name, request: "POST /x")!
        return try await store.idempotencyKey(key, of: alice, maximum: 10).used?.resourceID
      }
      let rows = [1, 2].map { NewEnrolment(enrolment($0), codeHash: hash($0)) }
      #expect(try await store.insertEnrolments(rows, change: change("a")))
      #expect(try await used("a") == "\(rows[0].enrolment.id)")
      let device = try newDevice("EA")
      let isMade = try await store.enrol(
        device, verifier: verifier(), with: rows[0].enrolment.id, maxDevices: 9, change: change("b"))
      #expect(isMade)
      #expect(try await used("b") == "\(device.id)")
      await #expect(throws: RegistryError.idempotencyKeyUsed) {
        try await store.enrol(
          try newDevice("EB"), verifier: verifier(), with: rows[1].enrolment.id, maxDevices: 9,
          change: change("b"))
      }
      #expect(try await store.enrolment(rows[1].enrolment.id)?.usedAt == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Used and expired enrolments are deleted in steps, those of deleted clients at once`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let (first, second, third) = (enrolment(1), enrolment(2), enrolment(3))
      let (late, later) = (enrolment(4, expiresAfter: 2000), enrolment(5, expiresAfter: 2000))
      _ = try await add(first, second, third, to: store)
      _ = try await add(late, later, to: store)
      _ = try await enrol(try newDevice("EA"), with: late, on: store)
      func remove(_ seconds: Int64) async throws -> Int {
        try await store.removeEnrolments(endedBefore: noon.plus(seconds: seconds), maximumRows: 2)
      }
      #expect(try await remove(0) == 0)
      #expect(try await remove(1) == 1)
      #expect(try await store.enrolment(late.id) == nil)
      #expect(try await remove(901) == 2)
      #expect(try await remove(901) == 1)
      #expect(try await remove(901) == 0)
      #expect(try await store.enrolments(of: alice, after: nil, limit: 9) == [later])
      _ = try await store.deleteClient(alice)
      await #expect(throws: RegistryError.clientNotFound, performing: { try await add(later, to: store) })
      try await store.clearDeletedClients()
      #expect(try await store.enrolment(later.id) == nil)
      #expect(
        try await types(store).suffix(3).sorted() == ["client.deleted", "device.deleted", "enrolment.deleted"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A used enrolment stays as it is, for hand-written SQL too`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      _ = try await add(enrolment(1), enrolment(2), to: store)
      _ = try await enrol(try newDevice("EA"), with: enrolment(1), on: store)
    }
    let used = "used_at IS NOT NULL"
    for statement in [
      "UPDATE enrolments SET used_at = NULL, device_id = NULL WHERE \(used)",
      "UPDATE enrolments SET expires_at = expires_at WHERE \(used)",
      "UPDATE enrolments SET code_hash = \(kind == .postgres ? "sha256('1')" : "zeroblob(32)")",
      "UPDATE enrolments SET device_id = id WHERE NOT \(used)",
      "UPDATE enrolments SET device_name = '' WHERE NOT \(used)",
    ] {
      await #expect(throws: SQLRefused.self, "\(statement)") { try await database.sql(statement) }
    }
  }
}
