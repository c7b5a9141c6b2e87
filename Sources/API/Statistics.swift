internal import Encoding
internal import Endpoints
internal import HTTP
internal import Registry

// What devices did, by hour or day.

extension API {
  /// Throws `deviceNotFound`, `notOwner`, `invalid`.
  func getDeviceStatistics(
    _ owner: Owner, _ input: DeviceStatisticsQuery
  ) async throws(RegistryError) -> ListingOrTable<ShownStatistics> {
    let statistics = try await services.statistics.statistics(
      of: input.path.id, owner: owner.clientID, in: input.period)
    return Self.answer(statistics.map { ShownStatistics(statistics: $0) }, asTable: input.wantsTable)
  }

  /// Throws `clientNotFound`, `invalid`.
  func listStatistics(
    _ owner: Owner, _ input: StatisticsQuery
  ) async throws(RegistryError) -> ListingOrTable<ShownSum> {
    let statistics: [SummedStatistics]
    var next: DeviceCursor?
    switch input.grouping {
    case nil: statistics = try await services.statistics.sum(of: owner.clientID, in: input.period)
    case .group:
      statistics = try await services.statistics.sumByGroup(of: owner.clientID, in: input.period)
    case .device:
      let page = try await services.statistics.listByDevice(
        of: owner.clientID, in: input.period, limit: input.page.limit ?? StatisticsService.defaultPage,
        after: input.page.cursor)
      (statistics, next) = (page.elements, page.next)
    }
    return Self.answer(
      statistics.map { ShownSum(statistics: $0) }, asTable: input.wantsTable,
      next: next.map(input.page.link))
  }

  private static func answer<Element>(
    _ elements: [Element], asTable: Bool, next: String? = nil
  ) -> ListingOrTable<Element> {
    guard asTable else { return ListingOrTable(Listing(elements: elements, next: next)) }
    var table = CSVTable<Element>()
    for element in elements { table.append(element) }
    return ListingOrTable(table, next: next)
  }
}

/// The query of a device's statistics.
struct DeviceStatisticsQuery: Input {
  let path: DevicePath
  let period: StatisticsPeriod
  let wantsTable: Bool

  static let description = InputDescription(
    parameters: DevicePath.description.parameters + StatisticsPeriod.parameters)

  init(of call: Call) throws(Problem) {
    path = try DevicePath(of: call)
    period = try StatisticsPeriod(of: call)
    wantsTable = call.request.prefers("text/csv", to: "application/json")
  }
}

/// The query of the statistics of all devices.
struct StatisticsQuery: Input {
  enum Grouping: String, CaseIterable { case device, group }

  let period: StatisticsPeriod
  /// Nil for all devices together.
  let grouping: Grouping?
  let page: PageInput<DeviceCursor>
  let wantsTable: Bool

  static let description = InputDescription(
    parameters: StatisticsPeriod.parameters + [by.description, limit.description, cursor.description])

  init(of call: Call) throws(Problem) {
    period = try StatisticsPeriod(of: call)
    grouping = try call.value(of: Self.by)
    page = try PageInput(of: call)
    wantsTable = call.request.prefers("text/csv", to: "application/json")
    guard grouping == .device || page.limit == nil && page.cursor == nil else {
      throw .invalidValue(of: page.limit == nil ? "cursor" : "limit", "needs by=device")
    }
  }

  private static let by = QueryParameter<Grouping>(
    "by", ["type": "string", "enum": ["device", "group"]],
    "An element for each device or group; without it, for all devices together. A device counts in each of its groups.",
    "must be device or group"
  ) { Grouping(rawValue: $0) }

  private static let limit = PageParameters<DeviceCursor>(
    withoutLimit: "by device only, and of devices; default \(StatisticsService.defaultPage)"
  ).limit
  private static let cursor = DeviceCursor.page.cursor
}

extension StatisticsPeriod {
  fileprivate static let parameters = [
    from.description, to.description, stepParameter.description,
  ]

  fileprivate init(of call: Call) throws(Problem) {
    self.init(
      from: try call.value(of: Self.from), to: try call.value(of: Self.to),
      step: try call.value(of: Self.stepParameter) ?? .hour)
  }

  private static let from = time(
    "from", "The first time (RFC 3339), rounded down to a step; default a day before `to`, or 30 days by day.")
  private static let to = time("to", "The time before which they end (RFC 3339), rounded up; default now.")

  private static func time(_ name: String, _ meaning: String) -> QueryParameter<Timestamp> {
    QueryParameter(
      name, Timestamp.schema, meaning, "must be a time in RFC 3339 from 1970 on, such as 2026-11-23T20:28:29Z"
    ) { Timestamp($0) }
  }

  private static let stepParameter = QueryParameter<StatisticsStep>(
    "step", ["type": "string", "enum": ["hour", "day"], "default": "hour"],
    "The length of time that an element is about; days and hours of UTC.", "must be hour or day"
  ) { StatisticsStep(rawValue: $0) }
}

/// What a device did in a step.
struct ShownStatistics: JSONObject {
  let statistics: SummedStatistics

  static let name: String? = "DeviceStatistics"

  private var counts: DeviceStatistics { statistics.counts }

  static func describe(_ members: inout some Members<Self>) {
    members.add("from", ["description": "The start of the hour or day (UTC)."]) { $0.statistics.from }
    members.add("polls", ["minimum": 0]) { $0.counts.polls }
    members.add(
      "online_seconds",
      ["minimum": 0, "description": "Time between requests that were less than `OFFLINE_AFTER_SECONDS` apart."]
    ) { $0.counts.onlineMilliseconds / 1000 }
    members.add("signals", ["minimum": 0, "description": "Signals that polls returned for the first time."]) {
      $0.counts.signals
    }
    members.add("placed", ["minimum": 0, "description": "Acknowledged as placed."]) { $0.counts.placed }
    members.add("failed", ["minimum": 0]) { $0.counts.failed }
    members.add("skipped", ["minimum": 0]) { $0.counts.skipped }
    members.add("expired", ["minimum": 0, "description": "Expired before they were acknowledged."]) {
      $0.counts.expired
    }
    members.add("cancelled", ["minimum": 0, "description": "Cancelled before they were acknowledged."]) {
      $0.counts.cancelled
    }
    members.add(
      "handed_out_ms", ["description": "From a signal's creation until a poll first returned it."]
    ) { Percentiles(histogram: $0.counts.handedOut) }
    members.add("acked_ms", ["description": "From a signal's creation until it was acknowledged."]) {
      Percentiles(histogram: $0.counts.acknowledged)
    }
  }
}

/// What devices did together, or one of them.
struct ShownSum: JSONObject {
  let statistics: SummedStatistics

  static let name: String? = "Statistics"

  static func describe(_ members: inout some Members<Self>) {
    members.add("device_id", ["description": "With `by=device`."]) { $0.statistics.deviceID }
    members.add("group", ["description": "With `by=group`; null for devices in no group."]) {
      $0.statistics.group
    }
    members.include { ShownStatistics(statistics: $0.statistics) }
  }
}

/// Durations in milliseconds, at most an eighth longer than they were; null without any.
private struct Percentiles: JSONObject {
  let histogram: LatencyHistogram

  static let name: String? = "Percentiles"

  static func describe(_ members: inout some Members<Self>) {
    members.add("p50", ["minimum": 0]) { $0.histogram.percentile(50) }
    members.add("p95", ["minimum": 0]) { $0.histogram.percentile(95) }
    members.add("max", ["minimum": 0]) { $0.histogram.maximum }
  }
}

extension ShownStatistics: TableRow {
  static let columns: [StaticString] = [
    "from", "polls", "online_seconds", "signals", "placed", "failed", "skipped", "expired", "cancelled",
    "handed_out_ms_p50", "handed_out_ms_p95", "handed_out_ms_max", "acked_ms_p50", "acked_ms_p95",
    "acked_ms_max",
  ]

  func writeCells(to row: inout CSVRow) {
    row.plain(statistics.from.description)
    for number in [
      counts.polls, counts.onlineMilliseconds / 1000, counts.signals, counts.placed, counts.failed,
      counts.skipped, counts.expired, counts.cancelled,
    ] { row.plain(String(number)) }
    for histogram in [counts.handedOut, counts.acknowledged] {
      for duration in [histogram.percentile(50), histogram.percentile(95), histogram.maximum] {
        row.plain(duration.map { String($0) })
      }
    }
  }
}

extension ShownSum: TableRow {
  static let columns: [StaticString] = ["device_id", "group"] + ShownStatistics.columns

  func writeCells(to row: inout CSVRow) {
    row.plain(statistics.deviceID?.description)
    row.text(statistics.group?.text)
    ShownStatistics(statistics: statistics).writeCells(to: &row)
  }
}
