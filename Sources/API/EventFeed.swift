internal import Encoding
public import Endpoints
internal import HTTP
public import Registry

// The feed of events.

extension API {
  /// Throws `eventsExpired`.
  func listEvents(_ owner: Owner, _ input: EventQuery) async throws(RegistryError) -> EventFeed {
    try await readEvents(of: owner.clientID, input)
  }

  /// The events of any client, also of one that was deleted. Throws `eventsExpired`.
  func listClientEvents(
    _ administrator: Administrator, _ input: ClientEventQuery
  ) async throws(RegistryError) -> EventFeed {
    let feed = try await readEvents(of: input.path.id, input.query)
    // The events of a deleted client outlive it.
    if feed.events.isEmpty, !input.query.continues { _ = try await services.clients.getClient(input.path.id) }
    return feed
  }

  private func readEvents(of client: ClientID, _ input: EventQuery) async throws(RegistryError) -> EventFeed {
    let position: EventPosition? =
      switch input.start {
      case nil: nil
      case .now: try await services.events.end()
      case .recent: try await services.events.recent(of: client)
      case .after(let position): position
      }
    let read = try await services.events.read(
      of: client, after: position, input.filter, limit: input.limit, waitSeconds: input.waitSeconds)
    return EventFeed(events: read.events, next: read.next, retryAfterSeconds: read.retryAfterSeconds)
  }
}

/// The query of the feed.
struct EventQuery: Input {
  /// Nil for the oldest event that is kept.
  let start: FeedStart?
  let filter: EventFilter
  let limit: Int
  let waitSeconds: Int

  private static let after = QueryParameter(
    "after", ["type": "string", "minLength": 1],
    "The `next` of the page before, `now` for what happens from now on, or `recent` for the client's last "
      + "\(EventService.recentCount) events; without it, the feed begins at the oldest event that is kept.",
    "must be the next of a page before, now or recent"
  ) { FeedStart($0) }
  private static let types = QueryParameter(
    "types", ["type": "string", "minLength": 1],
    "Types of events, separated by commas: `signal.created`, or `device.*` for all of devices. Default: all.",
    "must be types of events, separated by commas"
  ) { $0.isEmpty ? nil : $0 }
  private static let deviceID = QueryParameter(
    "device_id", DeviceID.schema, "Only events of this device.", "must be a device's id"
  ) { DeviceID($0) }
  private static let limitParameter = QueryParameter(
    "limit", in: EventService.pageSize, "Maximum number of events; default \(EventService.defaultPage).")
  private static let wait = QueryParameter(
    "wait", in: EventService.waitSeconds, "Seconds to wait for an event; default 0.")

  static let description = InputDescription(parameters: [
    after.description, types.description, deviceID.description, limitParameter.description, wait.description,
  ])

  init(of call: Call) throws(Problem) {
    start = try call.value(of: Self.after)
    let types = try call.value(of: Self.types).map { text throws(Problem) in try EventFilter.types(in: text) }
    filter = EventFilter(types: types, deviceID: try call.value(of: Self.deviceID))
    limit = try call.value(of: Self.limitParameter) ?? EventService.defaultPage
    waitSeconds = try call.value(of: Self.wait) ?? 0
  }

  /// Whether the reader has read before.
  var continues: Bool { if case .after = start { true } else { false } }
}

/// Where a reader begins.
enum FeedStart {
  case now
  case recent
  case after(EventPosition)

  init?(_ text: String) {
    if text == "now" {
      self = .now
    } else if text == "recent" {
      self = .recent
    } else if let position = Base64URL.decode(text[...]).flatMap(EventPosition.init(bytes:)) {
      self = .after(position)
    } else {
      return nil
    }
  }
}

/// The query of the feed of a client.
struct ClientEventQuery: Input {
  let path: ClientPath
  let query: EventQuery

  static var description: InputDescription {
    InputDescription(parameters: ClientPath.description.parameters + EventQuery.description.parameters)
  }

  init(of call: Call) throws(Problem) {
    path = try ClientPath(of: call)
    query = try EventQuery(of: call)
  }
}

extension EventFilter {
  /// The types that a list of patterns matches.
  fileprivate static func types(in list: String) throws(Problem) -> [String] {
    var types: [String] = []
    for pattern in list.split(separator: ",", omittingEmptySubsequences: false) {
      guard let found = self.types(matching: String(pattern)) else { throw unknown(String(pattern)) }
      types += found.filter { !types.contains($0) }
    }
    return types
  }

  /// The problem of a pattern that matches no type.
  static func unknown(_ pattern: String, in field: String = "types") -> Problem {
    let nearest = NameList(patterns).nearest(to: pattern).map { "; perhaps `\($0)` was meant" } ?? ""
    return .invalidValue(of: field, "`\(NameList.shown(pattern))` matches no type of event\(nearest)")
  }
}

extension EventPosition {
  /// The bytes of a cursor.
  var bytes: [UInt8] {
    [epoch, transaction, sequence].flatMap { UInt64(bitPattern: $0).bigEndianBytes }
  }

  /// Any 24 bytes are a position: the store reads the events of one client, whatever its cursor says.
  init?(bytes: [UInt8]) {
    guard bytes.count == 24 else { return nil }
    let numbers = (0..<3).map { Int64(bitPattern: UInt64(bigEndianBytes: bytes[$0 * 8..<$0 * 8 + 8])) }
    guard numbers.allSatisfy({ $0 >= 0 }) else { return nil }
    self.init(epoch: numbers[0], transaction: numbers[1], sequence: numbers[2])
  }
}

/// 200 with a part of the feed.
struct EventFeed: Answer, JSONObject {
  let events: [RecordedEvent]
  let next: EventPosition
  let retryAfterSeconds: Int?

  static let name: String? = "EventFeed"

  static func describe(_ members: inout some Members<Self>) {
    members.add("events") { $0.events }
    members.add("next", ["description": "Where to continue: the `after` of the next request."]) {
      Base64URL.encode($0.next.bytes)
    }
  }

  static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "Events in the order of commit; empty if none arrived in time.", Self.self,
      headers: [.retryAfterParking])
  }

  var rows: Int { events.count }

  func response() -> Response {
    let response = Response(
      status: 200, contentType: "application/json", body: text(capacity: 128 + events.count * 512))
    if let retryAfterSeconds { response.fields.append(("Retry-After", String(retryAfterSeconds))) }
    return response
  }
}

extension RecordedEvent: JSONObject {
  public static var name: String? { "Event" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("type", ["description": "What happened; docs/events.md lists all types."]) { $0.type }
    members.add("at") { $0.at }
    members.add("client_id") { $0.clientID }
    members.add("device_id") { $0.deviceID }
    members.add("signal_id") { $0.signalID }
    members.add("actor") { EventActor(kind: $0.actorKind, id: $0.actorID) }
    members.add("request_id", ["description": "The `X-Request-Id` of the request that made the change."]) {
      $0.requestID
    }
    members.add("reason", ["description": "What the actor gave as the reason."]) { $0.reason }
    members.add("changes") { $0.changes.map { JSONText(bytes: $0) } }
  }
}

/// Who made a change.
private struct EventActor: JSONObject {
  let kind: String
  let id: String?

  static func describe(_ members: inout some Members<Self>) {
    members.add("kind", ["enum": ["owner", "admin", "device", "operator", "system"]]) { $0.kind }
    members.add("id", ["description": "The `sub` of the actor's token, or the device's id."]) { $0.id }
  }
}
