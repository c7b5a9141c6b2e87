import Registry
import TestSupport
import Testing

@Suite("Every store: finding devices") struct DeviceFilterContractTests {
  private static let times = FilterTimes(now: noon, offlineAfterSeconds: 90)

  /// What a filter means, in memory.
  private static func meets(_ filter: DeviceFilter, _ device: Device) -> Bool {
    if let statuses = filter.statuses, !statuses.contains(device.state.status(at: noon)) { return false }
    for label in filter.labels {
      guard let value = device.labels.values[label.key], value == label.value ?? value else { return false }
    }
    if let group = filter.group, !device.groups.contains(group) { return false }
    if let part = filter.namePart {
      let name = DeviceFilter.NamePart.lowercased(device.deviceName.text)
      guard Array(name.utf8).contains(Array(part.text.utf8)) else { return false }
    }
    if let isOnline = filter.isOnline, device.isOnline(at: noon, offlineAfterSeconds: 90) != isOnline {
      return false
    }
    if let time = filter.seenBefore, !(device.lastSeen.map { $0 < time } ?? false) { return false }
    if let isConfirmed = filter.isModeConfirmed,
      device.isRevoked || device.tradingMode.isConfirmed != isConfirmed
    {
      return false
    }
    return true
  }

  private static let groups = ["a", "b", "c.d"].map { GroupName($0)! }
  private static let clients = ["alice", "bob", "carol"]

  private static func device(_ index: Int, of client: String, _ random: inout SeededGenerator) throws -> Device
  {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    func time() -> Timestamp { noon.plus(milliseconds: Int64.random(in: -200_000...200_000, using: &random)) }
    let words = ["Alpha", "beta", "GAMMA", "Ärger", "ärger", "100%", "a_b", "日本", "it's"]
    var labels: [String: String] = [:]
    for key in ["role", "vps", "x/y"] where chance(60) {
      labels[key] = chance(50) ? "one" : chance(50) ? "" : "two"
    }
    let isConfirmed = chance(50)
    return Device(
      id: newID(), clientID: ClientID(client)!,
      deviceName: try DeviceName("\(words.randomElement(using: &random)!) \(index)"),
      // Many devices have the same time.
      createdAt: noon.plus(milliseconds: Int64.random(in: 0..<5, using: &random)), updatedAt: noon,
      lastPoll: nil, lastAck: nil,
      lastSeen: chance(30)
        ? nil : chance(20) ? noon.plus(milliseconds: chance(50) ? -90_000 : -89_999) : time(),
      labels: Labels(labels), groups: groups.filter { _ in chance(40) },
      state: DeviceState(
        isRevoked: chance(15),
        suspension: chance(30) ? .init(since: noon, until: chance(50) ? time() : chance(20) ? noon : nil) : nil,
        expiresAt: chance(40) ? chance(10) ? noon : time() : nil, reason: nil),
      tradingMode: TradingMode(
        mode: .normal, version: 2, reason: nil, since: noon,
        confirmedVersion: isConfirmed ? 2 : chance(50) ? 1 : nil, confirmedAt: nil),
      terminal: .none
    ).confirmed()
  }

  private static func filter(_ random: inout SeededGenerator) -> DeviceFilter {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    var filter = DeviceFilter()
    if chance(40) {
      filter.statuses = Set(
        (0...Int.random(in: 0...2, using: &random)).map { _ in
          DeviceState.Status.allCases.randomElement(using: &random)!
        })
    }
    for _ in 0..<3 where chance(20) {
      filter.labels.append(
        .init(
          key: ["role", "vps", "x/y", "none"].randomElement(using: &random)!,
          value: [nil, "one", "", "two"].randomElement(using: &random)!))
    }
    // No key with two values: the service answers that.
    filter.labels = filter.labels.filter { label in filter.labels.first { $0.key == label.key } == label }
    if chance(25) { filter.group = chance(10) ? GroupName("none") : groups.randomElement(using: &random)! }
    if chance(25) {
      filter.namePart = DeviceFilter.NamePart(
        ["ALPHA", "a", "ärger", "Ä", "%", "_", "1", "日", "'", "nothing"].randomElement(using: &random)!)
    }
    if chance(25) { filter.isOnline = chance(50) }
    if chance(20) { filter.seenBefore = noon.plus(milliseconds: chance(30) ? -90_000 : -50_000) }
    if chance(25) { filter.isModeConfirmed = chance(50) }
    return filter
  }

  @Test(arguments: StoreKind.allCases)
  func `Every filter finds what it finds in memory, of one client, in order, whatever the pages are`(
    _ kind: StoreKind
  ) async throws {
    let database = try await TestDatabase(kind)
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    var fleets: [String: [Device]] = [:]
    for name in Self.clients {
      fleets[name] = try (0..<Int.random(in: 20...60, using: &random)).map {
        try Self.device($0, of: name, &random)
      }
    }
    let fleetsToStore = fleets
    try await database.withStore { store in
      for name in Self.clients {
        try await store.insertClient(client(name))
        for group in Self.groups {
          _ = try await store.putGroup(group, of: ClientID(name)!, description: nil, change: .at(noon))
        }
        for device in fleetsToStore[name]! {
          try await store.insertDevice(device, verifier: verifier(), maxDevices: 100)
        }
      }
    }
    // Hand-written SQL keeps a device out.
    let kept = try #require(fleets["alice"]!.first { !$0.isRevoked })
    try await database.sql("UPDATE devices SET is_active = false WHERE id = '\(kept.id)'")
    let filters = (0..<150).map { _ in Self.filter(&random) }
    let pages = (0..<150).map { _ in
      (limit: Int.random(in: 1...20, using: &random), scan: Int.random(in: 1...30, using: &random))
    }
    try await database.withStore { store in
      for name in Self.clients {
        let id = ClientID(name)!
        let all = try await store.devices(of: id, after: nil, limit: 1000)
        #expect(Set(all.map(\.id)) == Set(fleetsToStore[name]!.map(\.id)))
        for (filter, page) in zip(filters, pages) {
          let found = try await store.find(filter, of: id, limit: page.limit, scan: page.scan)
          let expected = all.filter { Self.meets(filter, $0) }
          #expect(found.map(\.id) == expected.map(\.id), "seed \(seed), \(filter), \(page)")
          #expect(found == expected)
        }
        let counts = try await store.count(id, scan: 7)
        #expect(counts.total == all.count)
        for status in DeviceState.Status.allCases {
          let number = all.filter { $0.state.status(at: noon) == status }.count
          #expect(counts.byStatus[status] == number, "seed \(seed)")
        }
        #expect(counts.online == all.filter { $0.isOnline(at: noon, offlineAfterSeconds: 90) }.count)
        #expect(counts.unconfirmed == all.filter { !$0.isRevoked && !$0.tradingMode.isConfirmed }.count)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A group that is deleted finds nothing at once`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(3)
      let group = Self.groups[0]
      _ = try await store.putGroup(group)
      for id in ids { _ = try await store.join(id, group) }
      var filter = DeviceFilter()
      filter.group = group
      #expect(try await store.find(filter, of: alice, limit: 2, scan: 10).count == 3)
      _ = try await store.deleteGroup(group, of: alice, change: .at(noon))
      #expect(try await store.find(filter, of: alice, limit: 2, scan: 10).isEmpty)
      filter.statuses = [.suspended]
      #expect(try await store.find(filter, of: alice, limit: 2, scan: 10).isEmpty)
    }
  }
}

extension Device {
  /// With a time where the mode has a confirmation.
  fileprivate func confirmed() -> Device {
    guard let version = tradingMode.confirmedVersion else { return self }
    return with(
      TradingMode(
        mode: tradingMode.mode, version: tradingMode.version, reason: nil, since: tradingMode.since,
        confirmedVersion: version, confirmedAt: noon))
  }
}

extension [UInt8] {
  fileprivate func contains(_ part: [UInt8]) -> Bool {
    part.count <= count && (0...count - part.count).contains { self[$0..<$0 + part.count].elementsEqual(part) }
  }
}

extension RegistryStore {
  /// All pages.
  fileprivate func find(
    _ filter: DeviceFilter, of client: ClientID, limit: Int, scan: Int
  ) async throws -> [Device] {
    var found: [Device] = []
    var cursor: DeviceCursor?
    let times = FilterTimes(now: noon, offlineAfterSeconds: 90)
    // Each page reads a device or is the last.
    for _ in 0..<1000 {
      let page = try await devices(
        of: client, matching: filter, at: times, after: cursor, limit: limit, scan: scan)
      #expect(page.devices.count <= limit && page.devices.count <= scan)
      found += page.devices
      if let readTo = page.readTo {
        cursor = readTo
      } else if page.devices.count == limit, let last = page.devices.last {
        cursor = DeviceCursor(createdAt: last.createdAt, id: last.id)
      } else {
        return found
      }
    }
    Issue.record("the pages do not end")
    return found
  }

  fileprivate func count(_ client: ClientID, scan: Int) async throws -> DeviceCounts {
    var sum = DeviceCounts(
      total: 0, revoked: 0, suspended: 0, expired: 0, online: 0, unconfirmed: 0, closeOnly: 0, halted: 0)
    var cursor: DeviceCursor?
    repeat {
      let step = try await countDevices(
        of: client, at: FilterTimes(now: noon, offlineAfterSeconds: 90), after: cursor, scan: scan)
      #expect(step.counts.total <= scan)
      sum.total += step.counts.total
      sum.byStatus.merge(step.counts.byStatus, uniquingKeysWith: +)
      sum.online += step.counts.online
      sum.unconfirmed += step.counts.unconfirmed
      sum.byMode.merge(step.counts.byMode, uniquingKeysWith: +)
      cursor = step.readTo
    } while cursor != nil
    return sum
  }
}
