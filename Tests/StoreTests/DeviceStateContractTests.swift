import Registry
import TestSupport
import Testing

extension RegistryStore {
  fileprivate func suspend(
    _ id: DeviceID, of owner: ClientID = alice, until: Timestamp? = nil, because reason: String? = nil,
    at time: Timestamp = noon
  ) async throws -> Device? {
    try await suspendDevice(id, of: owner, until: until, change: Change.at(time).because(reason))
  }

  fileprivate func resume(
    _ id: DeviceID, of owner: ClientID = alice, at time: Timestamp = noon
  ) async throws -> Device? {
    try await resumeDevice(id, of: owner, change: .at(time))
  }

  fileprivate func recordEnds(at time: Timestamp, maximumRows: Int = 100) async throws -> [DeviceID] {
    let expired = try await recordExpiries(maximumRows: maximumRows, change: .at(time))
    return try await expired.map(\.id)
      + recordResumptions(maximumRows: maximumRows, change: .at(time)).map(\.id)
  }

  /// The types and changes of the client's events after the first ones, without blanks.
  fileprivate func told(of client: ClientID = alice, dropping count: Int = 2) async throws -> [String] {
    try await seenEvents(of: client).events.dropFirst(count).map { event in
      let changes = event.changes.map { String(decoding: $0.filter { $0 != UInt8(ascii: " ") }, as: UTF8.self) }
      return [event.type, changes, event.reason].compactMap(\.self).joined(separator: " ")
    }
  }
}

@Suite("Every store: states of devices") struct DeviceStateContractTests {
  @Test(arguments: StoreKind.allCases)
  func `A suspension is stored, and repeating it changes nothing; another end or reason does`(
    _ kind: StoreKind
  ) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let id = try await store.add("one").id
      let end = noon.plus(seconds: 60)
      let suspended = try await store.suspend(id, until: end, because: "unpaid", at: noon.plus(seconds: 1))
      let state = DeviceState(
        isRevoked: false, suspension: .init(since: noon.plus(seconds: 1), until: end), expiresAt: nil,
        reason: "unpaid")
      #expect(suspended?.state == state && suspended?.updatedAt == noon.plus(seconds: 1))
      #expect(try await store.device(id) == suspended)
      #expect(try await store.credentials(of: id)?.access.state == state)
      #expect(try await store.suspend(id, until: end, because: "unpaid", at: noon.plus(seconds: 2)) == nil)
      #expect(try await store.suspend(id, until: end, at: noon.plus(seconds: 2)) == nil)
      #expect(try await store.device(id) == suspended)
      let other = try await store.suspend(id, until: end, because: "sold", at: noon.plus(seconds: 2))
      #expect(other?.state.reason == "sold")
      let endless = try await store.suspend(id, at: noon.plus(seconds: 3))
      #expect(endless?.state.suspension?.until == nil && endless?.state.reason == nil)
      #expect(
        try await store.told() == [
          #"device.suspended {"status":["active","suspended"],"suspended_until":[null,"\#(end)"]} unpaid"#,
          "device.suspended sold", #"device.suspended {"suspended_until":["\#(end)",null]}"#,
        ])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A suspension is lifted, once`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let id = try await store.add("one").id
      #expect(try await store.resume(id) == nil)
      let end = noon.plus(seconds: 60)
      _ = try await store.suspend(id, until: end, because: "unpaid")
      let resumed = try await store.resume(id, at: noon.plus(seconds: 1))
      #expect(resumed?.state == DeviceState() && resumed?.updatedAt == noon.plus(seconds: 1))
      #expect(try await store.device(id) == resumed)
      #expect(try await store.resume(id) == nil)
      #expect(
        try await store.told().last
          == #"device.resumed {"status":["suspended","active"],"suspended_until":["\#(end)",null]}"#)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Only the owner changes a state, and not that of a revoked device`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let id = try await store.add("one").id
      #expect(try await store.suspend(id, of: bob) == nil)
      #expect(try await store.suspend(newID()) == nil)
      _ = try await store.suspend(id)
      #expect(try await store.resume(id, of: bob) == nil)
      #expect(try await store.revokeDevice(id, of: alice, at: noon)?.state.status(at: noon) == .revoked)
      #expect(try await store.suspend(id) == nil)
      #expect(try await store.resume(id) == nil)
      #expect(try await store.told().last == #"device.revoked {"status":["suspended","revoked"]}"#)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `What hand-written SQL keeps out is suspended, and can be resumed`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      let id = try await store.add("one").id
      let byHand = "UPDATE devices SET is_active = \(kind == .postgres ? "false" : "0")"
      try await database.sql(byHand)
      #expect(try await store.device(id)?.state.status(at: noon) == .suspended)
      #expect(try await store.resume(id)?.state == DeviceState())
      #expect(try await store.device(id)?.state.status(at: noon) == .active)
      // The switch outlives a suspension with an end.
      _ = try await store.suspend(id, until: noon.plus(seconds: 1))
      try await database.sql(byHand)
      let later = noon.plus(seconds: 2)
      #expect(try await store.device(id)?.state.status(at: later) == .suspended)
      #expect(try await store.recordEnds(at: later) == [])
      #expect(try await store.resume(id, at: later)?.state == DeviceState())
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A suspended or expired device, or one of a suspended client, gets no token, and no secret in force`(
    _ kind: StoreKind
  ) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, first) = try await store.addDevice()
      let second = verifier()
      _ = try await store.rotate(id, to: second, until: noon.plus(seconds: 600))
      func isRefused() async throws -> Bool {
        let isPromoted = try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash)
        return try await !store.addToken(of: id, first) && !isPromoted
      }
      _ = try await store.suspend(id)
      #expect(try await isRefused())
      _ = try await store.resume(id)
      _ = try await store.suspendClient(alice, change: .at(noon))
      #expect(try await isRefused())
      _ = try await store.resumeClient(alice, change: .at(noon))
      try await database.sql("UPDATE devices SET expires_at = created_at")
      #expect(try await isRefused())
      try await database.sql("UPDATE devices SET expires_at = NULL")
      _ = try await store.suspend(id, until: noon, at: noon.plus(seconds: -1))
      // That suspension has ended.
      #expect(try await store.addToken(of: id, first))
      #expect(try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Tokens end with a suspension, and with an expiry when it is recorded`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let (id, secret) = try await store.addDevice()
      let hash = newHash()
      #expect(try await store.addToken(hash, of: id, secret))
      _ = try await store.suspend(id, until: noon.plus(seconds: 60))
      #expect(try await store.credentials(ofToken: hash, at: noon) == nil)
      _ = try await store.resume(id)
      #expect(try await store.addToken(hash, of: id, secret))
      try await database.sql("UPDATE devices SET expires_at = created_at")
      #expect(try await store.recordEnds(at: noon) == [id])
      #expect(try await store.credentials(ofToken: hash, at: noon) == nil)
    }
  }

  // MARK: Deletion

  @Test(arguments: StoreKind.allCases)
  func `Only a revoked device of the owner is deleted, in steps, and its events stay`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind, on: await .quiet)
    try await database.withStore { store in
      let ids = try await store.addDevices(2)
      for _ in 0..<5 { try await store.send(to: ids[0], ids[1]) }
      func delete(_ id: DeviceID, of owner: ClientID = alice) async throws -> DeviceDeletion {
        try await store.deleteDevice(id, of: owner, maximumRows: 2, change: .at(noon))
      }
      #expect(try await delete(ids[0]) == .notFound)
      _ = try await store.revokeDevice(ids[0], of: alice, at: noon)
      #expect(try await delete(ids[0], of: bob) == .notFound)
      #expect(try await delete(ids[0]) == .begun)
      #expect(try await store.device(ids[0]) != nil)
      #expect(try await delete(ids[0]) == .begun)
      #expect(try await delete(ids[0]) == .deleted)
      #expect(try await delete(ids[0]) == .notFound)
      #expect(try await store.device(ids[0]) == nil)
      #expect(try await store.credentials(of: ids[0]) == nil)
      #expect(try await store.client(alice)?.deviceCount == 1)
      #expect(try await store.pendingSignals(of: ids[1], at: noon, limit: 100).count == 5)
      let events = try await store.seenEvents().events.filter { $0.deviceID == ids[0] }.map(\.type)
      #expect(events == ["device.registered", "device.revoked", "device.deleted"])
    }
    #expect(try await database.sql("SELECT count(*) FROM deliveries") == "5")
  }

  // MARK: What ends by time

  @Test(arguments: StoreKind.allCases)
  func `A suspension that ended is recorded once, and only then is there another one`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let id = try await store.add("one").id
      let end = noon.plus(seconds: 60)
      _ = try await store.suspend(id, until: end, because: "unpaid")
      #expect(try await store.recordEnds(at: end.plus(milliseconds: -1)) == [])
      #expect(try await store.suspend(id, at: end) == nil)
      #expect(try await store.resume(id, at: end) == nil)
      #expect(try await store.recordEnds(at: end) == [id])
      #expect(try await store.recordEnds(at: end) == [])
      let device = try await store.device(id)
      #expect(device?.state == DeviceState() && device?.updatedAt == noon)
      #expect(try await store.suspend(id, at: end) != nil)
      #expect(
        try await store.told().dropFirst() == [
          #"device.resumed {"status":["suspended","active"],"suspended_until":["\#(end)",null]}"#,
          #"device.suspended {"status":["active","suspended"]}"#,
        ])
    }
  }

  /// When a device expires, in seconds after noon, and when its suspension ends.
  @Test(arguments: StoreKind.allCases, [(1, nil), (1, 2), (2, 1), (1, 1)] as [(Int64, Int64?)])
  func `Each expiry is recorded once, in the order of what ends`(
    _ kind: StoreKind, _ ends: (expiry: Int64, suspension: Int64?)
  ) async throws {
    let database = try await TestDatabase(kind, on: await .quiet)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      let id = try await store.add("one").id
      func expire(at time: Timestamp) async throws {
        let text = kind == .postgres ? "'\(time)'" : String(time.millisecondsSince1970)
        let no = kind == .postgres ? "false" : "0"
        try await database.sql("UPDATE devices SET expires_at = \(text), expiry_recorded = \(no)")
      }
      try await expire(at: noon.plus(seconds: ends.expiry))
      if let end = ends.suspension { _ = try await store.suspend(id, until: noon.plus(seconds: end)) }
      let later = noon.plus(seconds: 5)
      for _ in 0..<3 { _ = try await store.recordEnds(at: later) }
      #expect(try await store.recordEnds(at: later) == [])
      let expired = #"device.expired {"status":["active","expired"]}"#
      func resumed(_ status: String) -> String {
        let end = noon.plus(seconds: ends.suspension ?? 0)
        return #"device.resumed {"status":["suspended","\#(status)"],"suspended_until":["\#(end)",null]}"#
      }
      let told = try await store.told().filter { !$0.hasPrefix("device.suspended") }
      switch (ends.expiry, ends.suspension) {
      case (1, 2): #expect(told == ["device.expired", resumed("expired")])
      case (2, 1), (1, 1): #expect(told == [resumed("active"), expired])
      default: #expect(told == [expired])
      }
      // Another expiry is another event.
      try await expire(at: later)
      #expect(try await store.recordEnds(at: later) == [id])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Eight that record at once record each end once, in bounded steps`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind, on: await .quiet)
    try await database.withStore { store in
      let ids = try await store.addDevices(20)
      for id in ids { _ = try await store.suspend(id, until: noon.plus(seconds: 1)) }
      try await database.sql("UPDATE devices SET expires_at = suspended_until")
      let later = noon.plus(seconds: 2)
      #expect(try await store.recordResumptions(maximumRows: 3, change: .at(later)).count == 3)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask {
            var isOver = false
            while !isOver { isOver = try await store.recordEnds(at: later, maximumRows: 4).isEmpty }
          }
        }
        try await group.waitForAll()
      }
      // Those whose rows were locked for a moment.
      while try await !store.recordEnds(at: later).isEmpty {}
      let events = try await store.seenEvents().events
      for type in ["device.resumed", "device.expired"] {
        #expect(events.filter { $0.type == type }.count == 20)
        #expect(Set(events.filter { $0.type == type }.map(\.deviceID)) == Set(ids))
      }
    }
  }

  // MARK: Races

  @Test(arguments: StoreKind.allCases)
  func `Of suspensions, resumptions and a revocation at once, events agree with the outcome`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      for round in 0..<4 {
        let id = try await store.add("device \(round)").id
        await withTaskGroup(of: Void.self) { group in
          for number in 0..<12 {
            group.addTask {
              switch number {
              case 6: _ = try? await store.revokeDevice(id, of: alice, at: noon)
              case _ where number % 2 == 0: _ = try? await store.suspend(id, because: "\(number)")
              default: _ = try? await store.resume(id)
              }
            }
          }
        }
        #expect(try await store.device(id)?.isRevoked == true)
        // Each change of the status begins with the status that the one before ended with.
        var status = "active"
        for event in try await store.seenEvents().events where event.deviceID == id {
          guard let changes = event.changes.map({ String(decoding: $0, as: UTF8.self) }),
            let found = changes.firstMatch(of: /"status" ?: ?\["(\w+)", ?"(\w+)"\]/)
          else { continue }
          #expect(String(found.1) == status)
          status = String(found.2)
        }
        #expect(status == "revoked")
      }
    }
  }
}
