/// Reads what devices did, by hour or day. Each event loop has one, with the loop's own store.
public struct StatisticsService: Sendable {
  private let store: any RegistryStore
  private let clock: any Clock
  private let limits: RateLimits

  /// Elements of an answer.
  public static let maximumElements = 10_000
  /// Hours of devices that a request may read: a day of 10,000 devices, or 28 years of one.
  public static let maximumHours = 250_000
  /// Devices of a page by device, without and with a limit.
  public static let defaultPage = 100
  /// Hours of devices that one statement reads, so that none takes long. Divisible by 24.
  static let hoursPerStatement = 1992
  /// Devices that one statement lists.
  static let devicesPerList = 1000
  /// The default of `from`, in days before `to`.
  static let defaultDays: [StatisticsStep: Int64] = [.hour: 1, .day: 30]

  init(store: any RegistryStore, clock: any Clock, limits: RateLimits) {
    self.store = store
    self.clock = clock
    self.limits = limits
  }

  /// What a device did. Throws `deviceNotFound`, `notOwner`, `invalid`.
  public func statistics(
    of id: DeviceID, owner: ClientID, in period: StatisticsPeriod
  ) async throws(RegistryError) -> [SummedStatistics] {
    let span = try Span(period, now: clock.now())
    try span.check(devices: 1, elementsPerStep: 1)
    guard let device = try await store.device(id) else { throw .deviceNotFound }
    guard device.clientID == owner else { throw .notOwner }
    return try await read([id], of: owner, span, isByDevice: false).map {
      SummedStatistics(from: $0.from, counts: $0.counts)
    }
  }

  /// What the client's devices did together. Throws `invalid`, `clientNotFound`.
  public func sum(
    of client: ClientID, in period: StatisticsPeriod
  ) async throws(RegistryError) -> [SummedStatistics] {
    let sums = try await sums(of: client, in: period, isByGroup: false)
    return sums.sorted { $0.key.from < $1.key.from }.map {
      SummedStatistics(from: $0.key.from, counts: $0.value)
    }
  }

  /// What the devices of each group did together, and those in none, which come last. A device counts in each of its groups.
  /// Throws `invalid`, `clientNotFound`.
  public func sumByGroup(
    of client: ClientID, in period: StatisticsPeriod
  ) async throws(RegistryError) -> [SummedStatistics] {
    let sums = try await sums(of: client, in: period, isByGroup: true)
    return sums.sorted { $0.key < $1.key }.map {
      SummedStatistics(group: $0.key.group, from: $0.key.from, counts: $0.value)
    }
  }

  /// What each device did, oldest device first, a page of devices at a time. Throws `invalid`.
  public func listByDevice(
    of client: ClientID, in period: StatisticsPeriod, limit: Int = defaultPage, after cursor: DeviceCursor?
  ) async throws(RegistryError) -> Page<SummedStatistics, DeviceCursor> {
    let span = try Span(period, now: clock.now())
    try span.check(devices: limit, elementsPerStep: limit, isPage: true)
    let page = Page(try await store.devices(of: client, after: cursor, limit: limit + 1), limit: limit) {
      DeviceCursor(createdAt: $0.createdAt, id: $0.id)
    }
    var found: [DeviceID: [StoredStatistics]] = [:]
    for ids in span.parts(of: page.elements.map(\.id)) {
      for row in try await read(ids, of: client, span, isByDevice: true) {
        if let id = row.deviceID { found[id, default: []].append(row) }
      }
    }
    let elements = page.elements.flatMap { device in
      (found[device.id] ?? []).map {
        SummedStatistics(deviceID: device.id, from: $0.from, counts: $0.counts)
      }
    }
    return Page(elements: elements, next: page.next)
  }

  /// Sorts by group, then by time; devices without a group last.
  private struct Key: Hashable, Comparable {
    let group: GroupName?
    let from: Timestamp

    static func < (left: Key, right: Key) -> Bool {
      if left.group == right.group { return left.from < right.from }
      guard let one = left.group else { return false }
      return right.group.map { one.text < $0.text } ?? true
    }
  }

  private func sums(
    of client: ClientID, in period: StatisticsPeriod, isByGroup: Bool
  ) async throws(RegistryError) -> [Key: DeviceStatistics] {
    let span = try Span(period, now: clock.now())
    guard let known = try await store.client(client) else { throw .clientNotFound }
    try span.check(devices: known.deviceCount, elementsPerStep: 1)
    var sums: [Key: DeviceStatistics] = [:]
    var cursor: DeviceCursor?
    // As many steps as the client has devices allow.
    while true {
      let devices = try await store.devices(of: client, after: cursor, limit: Self.devicesPerList)
      let groups = Dictionary(
        isByGroup ? devices.map { ($0.id, $0.groups) } : [], uniquingKeysWith: { first, _ in first })
      for ids in span.parts(of: devices.map(\.id)) {
        for row in try await read(ids, of: client, span, isByDevice: isByGroup) {
          let names = row.deviceID.flatMap { groups[$0] } ?? []
          for group in names.isEmpty ? [nil] : names.map({ Optional($0) }) {
            sums[Key(group: group, from: row.from), default: DeviceStatistics()].add(row.counts)
          }
        }
        try span.check(elements: sums.count)
      }
      guard devices.count == Self.devicesPerList, let last = devices.last, !Task.isCancelled else {
        return sums
      }
      cursor = DeviceCursor(createdAt: last.createdAt, id: last.id)
    }
  }

  private func read(
    _ ids: [DeviceID], of client: ClientID, _ span: Span, isByDevice: Bool
  ) async throws(RegistryError) -> [StoredStatistics] {
    var rows: [StoredStatistics] = []
    for (from, to) in span.parts where !Task.isCancelled {
      rows += try await store.statistics(
        of: client, devices: ids, from: from, to: to, step: span.step, isByDevice: isByDevice)
    }
    limits.charge(client, cost: RequestCost.scan(rows: rows.reduce(0) { $0 + $1.rows }))
    return rows
  }
}

/// Which time statistics are read of.
public struct StatisticsPeriod: Hashable, Sendable {
  /// Nil for a day before `to`, or 30 days by day.
  public let from: Timestamp?
  /// Nil for now.
  public let to: Timestamp?
  public let step: StatisticsStep

  public init(from: Timestamp? = nil, to: Timestamp? = nil, step: StatisticsStep = .hour) {
    self.from = from
    self.to = to
    self.step = step
  }
}

/// What one device, the devices of a group, or all devices did in one step.
public struct SummedStatistics: Hashable, Sendable {
  /// Nil for several devices.
  public let deviceID: DeviceID?
  /// Nil for devices in no group, and if the sum is not of a group.
  public let group: GroupName?
  /// The start of the step.
  public let from: Timestamp
  public let counts: DeviceStatistics

  init(deviceID: DeviceID? = nil, group: GroupName? = nil, from: Timestamp, counts: DeviceStatistics) {
    self.deviceID = deviceID
    self.group = group
    self.from = from
    self.counts = counts
  }
}

/// A period with its defaults, that begins and ends at starts of its step.
private struct Span {
  let from: Timestamp
  let to: Timestamp
  let step: StatisticsStep

  /// Throws `invalid`.
  init(_ period: StatisticsPeriod, now: Timestamp) throws(RegistryError) {
    step = period.step
    let end = period.to ?? now
    let start =
      period.from
      ?? Timestamp(
        millisecondsSince1970: max(
          0, end.millisecondsSince1970 - StatisticsService.defaultDays[step]! * 86_400_000))
    guard start < end else { throw .invalid(field: "from", message: "must be before to, which is \(end)") }
    from = step.start(of: start)
    to = step.end(of: end)
  }

  private var hours: Int { Int((to - from) / StatisticsStep.hour.milliseconds) }

  /// - Parameters:
  ///   - elementsPerStep: at most.
  ///   - isPage: whether a smaller limit helps.
  func check(devices: Int, elementsPerStep: Int, isPage: Bool = false) throws(RegistryError) {
    guard devices * hours <= StatisticsService.maximumHours else {
      throw .invalid(
        field: "from",
        message:
          "must be later: \(hours) hours of \(devices) device\(devices == 1 ? "" : "s") are more than the "
          + "\(StatisticsService.maximumHours) that a request may read")
    }
    let steps = hours / Int(step.seconds / 3600)
    guard steps * elementsPerStep <= StatisticsService.maximumElements else {
      throw tooMany(steps * elementsPerStep, isPage ? "a smaller limit, " : "")
    }
  }

  func check(elements: Int) throws(RegistryError) {
    guard elements <= StatisticsService.maximumElements else { throw tooMany(elements, "") }
  }

  private func tooMany(_ elements: Int, _ help: String) -> RegistryError {
    .invalid(
      field: "from",
      message: "must be later, or use \(help)step=day: the answer may have \(elements) elements, and at most "
        + "\(StatisticsService.maximumElements) are allowed")
  }

  /// The period in parts that one statement reads of one device.
  var parts: [(from: Timestamp, to: Timestamp)] {
    let length = Int64(StatisticsService.hoursPerStatement) * StatisticsStep.hour.milliseconds
    return stride(from: from.millisecondsSince1970, to: to.millisecondsSince1970, by: Int(length)).map {
      let start = Timestamp(millisecondsSince1970: $0)
      return (start, min(start + length, to))
    }
  }

  /// The devices in parts of which one statement reads the period.
  func parts(of ids: [DeviceID]) -> [[DeviceID]] {
    let size = max(1, StatisticsService.hoursPerStatement / hours)
    return stride(from: 0, to: ids.count, by: size).map { Array(ids[$0..<min($0 + size, ids.count)]) }
  }
}
