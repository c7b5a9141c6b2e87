internal import Encoding
internal import Endpoints
internal import HTTP
internal import Registry

// How an owner finds devices: the list with conditions, as JSON or CSV, and the summary.

extension API {
  func listDevices(
    _ owner: Owner, _ input: DeviceQuery
  ) async throws(RegistryError) -> ListingOrTable<ShownDevice> {
    if input.wantsTable { return try await tabulateDevices(owner, input) }
    let page = try await services.devices.listDevices(
      clientID: owner.clientID, matching: input.filter, limit: input.page.limit ?? DeviceService.defaultPage,
      after: input.page.cursor)
    return ListingOrTable(
      Listing(elements: page.elements.map(shown), next: page.next.map(input.page.link)))
  }

  /// Bytes after which a table ends, with the rest in `Link`: some 20,000 devices.
  static let maximumTableBytes = 4 * 1024 * 1024
  /// Pages that a table reads. With a filter, a page may have few devices or none.
  static let maximumTablePages = 200

  /// One page with a limit; without one, all devices up to the bounds.
  private func tabulateDevices(
    _ owner: Owner, _ input: DeviceQuery
  ) async throws(RegistryError) -> ListingOrTable<ShownDevice> {
    var table = CSVTable<ShownDevice>()
    var cursor = input.page.cursor
    for _ in 0..<(input.page.limit == nil ? Self.maximumTablePages : 1) {
      let page = try await services.devices.listDevices(
        clientID: owner.clientID, matching: input.filter, limit: input.page.limit ?? DeviceService.defaultPage,
        after: cursor)
      for device in page.elements { table.append(shown(device)) }
      cursor = page.next
      if cursor == nil || table.bytes >= Self.maximumTableBytes || Task.isCancelled { break }
    }
    return ListingOrTable(table, next: cursor.map(input.page.link))
  }

  func summarizeDevices(_ owner: Owner, _ input: NoInput) async throws(RegistryError) -> OK<DeviceSummary> {
    let counts = try await services.devices.countDevices(clientID: owner.clientID)
    var groups: [Group] = []
    var cursor: GroupName?
    // Each page has a group or is the last, and a client has at most `Group.maximumPerClient`.
    repeat {
      let page = try await services.groups.listGroups(of: owner.clientID, after: cursor)
      groups += page.elements
      cursor = page.next
    } while cursor != nil && !Task.isCancelled
    return OK(value: DeviceSummary(counts: counts, groups: groups))
  }
}

/// The query of the list of devices.
struct DeviceQuery: Input {
  let filter: DeviceFilter
  let page: PageInput<DeviceCursor>
  /// Whether the answer is CSV.
  let wantsTable: Bool

  static let description = InputDescription(
    parameters: [
      status.description, labels.description, group.description, namePart.description, online.description,
      seenBefore.description, modeConfirmed.description,
    ] + PageInput<DeviceCursor>.description.parameters)

  init(of call: Call) throws(Problem) {
    var filter = DeviceFilter()
    filter.statuses = try call.value(of: Self.status)
    filter.labels = try call.value(of: Self.labels) ?? []
    filter.group = try call.value(of: Self.group)
    filter.namePart = try call.value(of: Self.namePart)
    filter.isOnline = try call.value(of: Self.online)
    filter.seenBefore = try call.value(of: Self.seenBefore)
    filter.isModeConfirmed = try call.value(of: Self.modeConfirmed)
    self.filter = filter
    page = try PageInput(of: call)
    wantsTable = call.request.prefers("text/csv", to: "application/json")
  }

  private static let status = QueryParameter<Set<DeviceState.Status>>(
    "status",
    [
      "type": "string", "pattern": "^(active|suspended|expired|revoked)(,(active|suspended|expired|revoked))*$",
    ],
    "Devices with one of these statuses, separated by commas.",
    "must be some of active, suspended, expired and revoked, separated by commas"
  ) { list in
    let words = list.split(separator: ",", omittingEmptySubsequences: false)
    let statuses = words.compactMap { DeviceState.Status(rawValue: String($0)) }
    return statuses.count == words.count ? Set(statuses) : nil
  }

  private static let labels = QueryParameter<[DeviceFilter.LabelCondition]>(
    "labels",
    [
      "type": "string",
      "pattern":
        "^[A-Za-z0-9._/-]{1,64}(:[A-Za-z0-9._-]{0,64})?(,[A-Za-z0-9._/-]{1,64}(:[A-Za-z0-9._-]{0,64})?){0,15}$",
    ],
    "Devices with all of these labels, separated by commas: `key:value`, or `key` for any value.",
    "must be at most \(DeviceFilter.maximumLabels) labels as `key:value` or `key`, separated by commas"
  ) { list in
    let texts = list.split(separator: ",", omittingEmptySubsequences: false)
    guard texts.count <= DeviceFilter.maximumLabels else { return nil }
    let conditions = texts.compactMap { DeviceFilter.LabelCondition($0) }
    return conditions.count == texts.count ? conditions : nil
  }

  private static let group = QueryParameter(
    "group", GroupName.schema, "Devices in this group.",
    "must have 1 to \(GroupName.length.upperBound) of the characters A-Z a-z 0-9 . _ -"
  ) { GroupName($0) }

  private static let namePart = QueryParameter(
    "q",
    [
      "type": "string", "minLength": 1, "maxLength": .integer(Int64(DeviceFilter.NamePart.length.upperBound)),
      "pattern": #"^[^\u0000-\u001f\u007f-\u009f]*$"#,
    ],
    "Devices whose name contains this text, without the case of ASCII letters.",
    "must have 1 to \(DeviceFilter.NamePart.length.upperBound) characters, without control characters"
  ) { DeviceFilter.NamePart($0) }

  private static let online = QueryParameter<Bool>(
    "online", "Devices that sent a request in the last `OFFLINE_AFTER_SECONDS`, or those that did not.")

  private static let seenBefore = QueryParameter(
    "seen_before", Timestamp.schema,
    "Devices whose last request was before this time (RFC 3339). One that never sent a request is not among them.",
    "must be a time in RFC 3339, such as 2026-11-23T20:28:29Z"
  ) { text in
    // No device was seen before 1970.
    RFC3339.read(text).map { Timestamp(millisecondsSince1970: max(0, $0)) }
  }

  private static let modeConfirmed = QueryParameter<Bool>(
    "mode_confirmed",
    "Devices that said that they obey their trading mode, or those that did not. A revoked device is neither.")
}

extension DeviceFilter.LabelCondition {
  /// `key:value` or `key`.
  init?(_ text: Substring) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard Labels.isKey(parts[0]), parts.count == 1 || Labels.isValue(parts[1]) else { return nil }
    self.init(key: parts[0], value: parts.count == 1 ? nil : parts[1])
  }
}

extension ShownDevice: TableRow {
  static let columns: [StaticString] = [
    "id", "device_name", "status", "labels", "groups", "online", "last_seen", "trading_mode", "expires_at",
    "created_at",
  ]

  /// Labels and groups have blanks between; a label is `key:value`, as in the filter.
  func writeCells(to row: inout CSVRow) {
    row.plain(device.id.description)
    row.text(device.deviceName.text)
    row.plain(status.rawValue)
    row.text(
      device.labels.values.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: " "))
    row.text(device.groups.stored)
    row.plain(isOnline ? "true" : "false")
    row.plain(device.lastSeen?.description)
    row.plain(device.tradingMode.mode.rawValue)
    row.plain(device.state.expiresAt?.description)
    row.plain(device.createdAt.description)
  }
}

/// How many devices a client has.
struct DeviceSummary: JSONObject {
  let counts: DeviceCounts
  let groups: [Group]

  static let name: String? = "DeviceSummary"

  static func describe(_ members: inout some Members<Self>) {
    members.add("total", ["minimum": 0]) { Int64($0.counts.total) }
    members.add("by_status") { StatusCounts(counts: $0.counts.byStatus) }
    members.add("online", ["minimum": 0]) { Int64($0.counts.online) }
    members.add("by_group", ["description": "The number of devices of each group."]) {
      NumbersByGroup(groups: $0.groups)
    }
    members.add("by_mode", ["description": "The trading modes of the devices that are not revoked."]) {
      ModeCounts(counts: $0.counts.byMode)
    }
    members.add(
      "mode_unconfirmed",
      ["minimum": 0, "description": "Devices that are not revoked and did not confirm their trading mode."]
    ) { Int64($0.counts.unconfirmed) }
  }
}

private struct StatusCounts: JSONObject {
  let counts: [DeviceState.Status: Int]

  static func describe(_ members: inout some Members<Self>) {
    members.add("active", ["minimum": 0]) { Int64($0.counts[.active] ?? 0) }
    members.add("suspended", ["minimum": 0]) { Int64($0.counts[.suspended] ?? 0) }
    members.add("expired", ["minimum": 0]) { Int64($0.counts[.expired] ?? 0) }
    members.add("revoked", ["minimum": 0]) { Int64($0.counts[.revoked] ?? 0) }
  }
}

private struct ModeCounts: JSONObject {
  let counts: [TradingMode.Mode: Int]

  static func describe(_ members: inout some Members<Self>) {
    members.add("normal", ["minimum": 0]) { Int64($0.counts[.normal] ?? 0) }
    members.add("close_only", ["minimum": 0]) { Int64($0.counts[.closeOnly] ?? 0) }
    members.add("halted", ["minimum": 0]) { Int64($0.counts[.halted] ?? 0) }
  }
}

/// An object of numbers. The names of groups have no characters that JSON escapes.
private struct NumbersByGroup: JSONWritable {
  let groups: [Group]

  static var schema: JSONValue {
    [
      "type": "object", "propertyNames": ["pattern": "^[A-Za-z0-9._-]{1,64}$"],
      "additionalProperties": ["type": "integer", "minimum": 0],
    ]
  }

  func write(to json: inout JSONWriter) {
    let members = groups.map { "\"\($0.name)\": \($0.devices)" }
    JSONText(bytes: Array("{\(members.joined(separator: ", "))}".utf8)).write(to: &json)
  }
}
