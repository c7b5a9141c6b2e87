import Registry
import Testing

@Suite("Every store: statistics") struct StatisticsContractTests {
  /// The start of an hour.
  private static let hour = StatisticsStep.hour.start(of: noon)

  private static func counts(
    polls: Int64 = 0, handedOut: [Int64] = [], placed: [Int64] = []
  ) -> DeviceStatistics {
    var counts = DeviceStatistics()
    counts.polls = polls
    counts.signals = Int64(handedOut.count)
    counts.placed = Int64(placed.count)
    for duration in handedOut { counts.handedOut.add(milliseconds: duration) }
    for duration in placed { counts.acknowledged.add(milliseconds: duration) }
    return counts
  }

  @Test(arguments: StoreKind.allCases)
  func `Counters and histograms of an hour add up, for the device's own client only`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(2)
      try await store.insertClient(client("bob"))
      let parts = [
        Self.counts(polls: 2, handedOut: [3, 700]), Self.counts(polls: 1),
        Self.counts(polls: 5, handedOut: [700], placed: [40]), Self.counts(placed: [1_000_000, 41]),
      ]
      for part in parts {
        try await store.record(part, of: ids[0], in: Self.hour)
        try await store.record(part, of: ids[0], owner: bob, in: Self.hour)
      }
      try await store.record(Self.counts(polls: 1), of: newID(), in: Self.hour)
      let sum = parts.reduce(into: DeviceStatistics()) { $0.add($1) }
      #expect(try await store.statistics(ids, step: .hour) == [stored(ids[0], Self.hour, sum, rows: 1)])
      #expect(try await store.statistics(ids, of: bob, step: .hour) == [])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of sixteen concurrent writers each counts`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(20)
      let part = Self.counts(polls: 1, handedOut: [7], placed: [9])
      let outcomes = await store.outcomes(16) { _ in
        _ = try await store.recordActivity(
          ids.shuffled().map {
            ActiveDevice(id: $0, clientID: alice, presence: nil, hours: [ActiveHour(Self.hour, part)])
          }, offlineAfterMilliseconds: 90_000, change: .at(noon))
      }
      #expect(outcomes == [nil: 16])
      var sum = DeviceStatistics()
      for _ in 0..<16 { sum.add(part) }
      #expect(try await store.statistics(ids, step: .hour).map(\.counts) == ids.map { _ in sum })
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `They are read by hour or day, by device or together, from a time and before another`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(3)
      let day = StatisticsStep.day.start(of: noon)
      for (index, id) in ids.enumerated() {
        for hour: Int64 in [-1, 0, 5, 24] {
          try await store.record(
            Self.counts(polls: Int64(index + 1), handedOut: [hour + 2]), of: id,
            in: day.plus(seconds: 3600 * hour))
        }
      }
      let two = Array(ids[..<2])
      let byDay = try await store.statistics(
        of: alice, devices: two, from: day, to: day.plus(seconds: 86_400), step: .day, isByDevice: true)
      #expect(
        byDay
          == two.enumerated().map {
            stored($1, day, Self.counts(polls: Int64(2 * ($0 + 1)), handedOut: [2, 7]), rows: 2)
          })
      let together = try await store.statistics(
        of: alice, devices: two, from: day.plus(seconds: 3600), to: day.plus(seconds: 86_401), step: .hour,
        isByDevice: false)
      #expect(
        together
          == [(5, [7, 7]), (24, [26, 26])].map { (hour: Int64, durations: [Int64]) in
            stored(nil, day.plus(seconds: 3600 * hour), Self.counts(polls: 3, handedOut: durations), rows: 2)
          })
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The time between requests is online time, by hour, and in whichever process they arrive`(
    _ kind: StoreKind
  )
    async throws
  {
    try await withStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let end = Self.hour.plus(seconds: 3600)
      // Two processes write what each has seen; the second is late.
      for seconds: Int64 in [-100, -60, -20, -40, 15, 15, 200, 230] {
        try await store.see(id, at: end.plus(seconds: seconds), now: end.plus(seconds: seconds))
      }
      let online = try await store.statistics([id], step: .hour).map(\.counts.onlineMilliseconds)
      #expect(online == [100_000, 45_000])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Deliveries that expired or were cancelled unacknowledged are counted once, in steps`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let ids = try await store.addDevices(5)
      let (expiring, cancelled) = (newSignal(), newSignal())
      for signal in [expiring, cancelled] {
        _ = try await store.insertSignal(signal, to: .devices(ids), maxLive: 10)
        _ = try await store.acknowledge([placed(signal)], by: ids[1], at: noon)
      }
      #expect(try await store.cancelSignal(cancelled.id, of: alice, change: .at(noon.plus(seconds: 1))))
      #expect(try await store.settleSignals(until: noon, maximumRows: 10) == 0)
      #expect(try await store.settle(until: noon.plus(seconds: 1), 2) == [2, 2, 2, 0])
      func counted() async throws -> [[Int64]] {
        try await store.statistics(ids, step: .hour).map { [$0.counts.expired, $0.counts.cancelled] }
      }
      #expect(try await counted() == [[0, 1], [0, 1], [0, 1], [0, 1]])
      #expect(try await store.settle(until: expiring.expiresAt, 100) == [6])
      #expect(try await store.settle(until: expiring.expiresAt, 100) == [0])
      #expect(try await counted() == [[1, 1], [1, 1], [1, 1], [1, 1]])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The retention deletes old hours, and in steps those of deleted devices and clients`(_ kind: StoreKind)
    async throws
  {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      let ids = try await store.addDevices(3)
      for id in ids {
        for hour: Int64 in 0..<5 {
          try await store.record(Self.counts(polls: 1), of: id, in: Self.hour.plus(seconds: 3600 * hour))
        }
      }
      let cut = Self.hour.plus(seconds: 3600 * 2)
      #expect(try await store.removeStatistics(before: cut, maximumRows: 4) == 4)
      #expect(try await store.removeStatistics(before: cut, maximumRows: 4) == 2)
      #expect(try await store.statistics(ids, step: .hour).count == 9)
      _ = try await store.revokeDevice(ids[0], of: alice, change: .at(noon))
      #expect(try await store.deleteDevice(ids[0], of: alice, maximumRows: 10, change: .at(noon)) == .deleted)
      #expect(try await store.removeStatistics(before: cut, maximumRows: 2) == 2)
      // Three hours, and the note that the device is deleted.
      #expect(try await store.removeStatistics(before: cut, maximumRows: 10) == 2)
      #expect(try await store.deleteClient(alice))
      try await store.clearDeletedClients()
      while try await store.removeStatistics(before: cut, maximumRows: 2) == 2 {}
    }
    #expect(try await database.sql("SELECT count(*) FROM device_stats") == "0")
    #expect(try await database.sql("SELECT count(*) FROM orphaned_stats") == "0")
  }

  // MARK: Online and offline

  @Test(arguments: StoreKind.allCases)
  func `A device comes online with its first request, and again after it was offline; each is an event`(
    _ kind: StoreKind
  ) async throws {
    try await withQuietStore(kind) { store in
      let (id, _) = try await store.addDevice()
      let device = EndedDevice(id: id, clientID: alice)
      #expect(try await store.see(id, at: noon) == [device])
      #expect(try await store.see(id, at: noon.plus(seconds: 1)) == [])
      func offline(_ seconds: Int64) async throws -> [EndedDevice] {
        try await store.recordOffline(
          maximumRows: 10, offlineAfterMilliseconds: 90_000, change: .at(noon.plus(seconds: seconds))
        ).offline
      }
      // It is looked at 90 s after it came online, and again 90 s after its last request.
      for seconds: Int64 in [89, 90, 90] { #expect(try await offline(seconds) == []) }
      #expect(try await offline(91) == [device])
      #expect(try await offline(1000) == [])
      // What arrives late is no sign of life.
      #expect(try await store.see(id, at: noon.plus(seconds: 2), now: noon.plus(seconds: 100)) == [])
      #expect(try await store.see(id, at: noon.plus(seconds: 200)) == [device])
      let events = try await store.seenEvents().events.filter { $0.type.hasSuffix("line") }
      #expect(events.map(\.type) == ["device.online", "device.offline", "device.online"])
      #expect(events.allSatisfy { $0.actorKind == "system" && $0.deviceID == id })
      let changes = events.map { String(decoding: $0.changes ?? [], as: UTF8.self).filter { $0 != " " } }
      #expect(changes[1] == #"{"online":[true,false]}"# && changes[2] == #"{"online":[false,true]}"#)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A device that may not be used comes and goes unnoticed`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      let ids = try await store.addDevices(5)
      for id in ids[..<4] { #expect(try await store.see(id, at: noon).count == 1) }
      let change = Change.at(noon.plus(seconds: 1))
      _ = try await store.revokeDevice(ids[0], of: alice, change: change)
      _ = try await store.suspendDevice(ids[1], of: alice, until: nil, change: change)
      let expiry = DeviceUpdate(expiresAt: noon.plus(seconds: 2))
      _ = try await store.updateDevice(ids[2], of: alice, expiry, change: change)
      for id in ids[..<3] { #expect(try await store.see(id, at: noon.plus(seconds: 300)).isEmpty) }
      let later = Change.at(noon.plus(seconds: 600))
      let step = try await store.recordOffline(
        maximumRows: 10, offlineAfterMilliseconds: 90_000, change: later)
      #expect(step.rows == 4 && step.offline.map(\.id) == [ids[3]])
      for id in ids[..<3] { #expect(try await store.see(id, at: noon.plus(seconds: 601)).isEmpty) }
      _ = try await store.suspendClient(alice, change: later)
      #expect(try await store.see(ids[4], at: noon.plus(seconds: 602)).isEmpty)
    }
  }
}

private func stored(
  _ id: DeviceID?, _ from: Timestamp, _ counts: DeviceStatistics, rows: Int
) -> StoredStatistics {
  StoredStatistics(deviceID: id, from: from, counts: counts, rows: rows)
}

extension RegistryStore {
  fileprivate func record(
    _ counts: DeviceStatistics, of id: DeviceID, owner: ClientID = alice, in hour: Timestamp
  ) async throws(RegistryError) {
    _ = try await recordActivity(
      [ActiveDevice(id: id, clientID: owner, presence: nil, hours: [ActiveHour(hour, counts)])],
      offlineAfterMilliseconds: 90_000, change: .at(noon))
  }

  /// A request of the device, which is written at a time.
  @discardableResult
  fileprivate func see(
    _ id: DeviceID, at time: Timestamp, now: Timestamp? = nil
  ) async throws(RegistryError) -> [EndedDevice] {
    try await recordActivity(
      [ActiveDevice(id: id, clientID: alice, presence: Presence(lastSeen: time))],
      offlineAfterMilliseconds: 90_000, change: .at(now ?? time))
  }

  /// All that is stored of devices.
  fileprivate func statistics(
    _ ids: [DeviceID], of owner: ClientID = alice, step: StatisticsStep
  ) async throws(RegistryError) -> [StoredStatistics] {
    try await statistics(
      of: owner, devices: ids, from: Timestamp(millisecondsSince1970: 0),
      to: noon.plus(seconds: 1_000_000), step: step, isByDevice: true)
  }

  /// What each step looked at, until one finds fewer than it may.
  fileprivate func settle(until time: Timestamp, _ rows: Int) async throws(RegistryError) -> [Int] {
    var steps: [Int] = []
    repeat { steps.append(try await settleSignals(until: time, maximumRows: rows)) } while steps.last == rows
    return steps
  }
}
