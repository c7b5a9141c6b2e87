/// An event's id.
public typealias EventID = Identifier<RecordedEvent>

/// An event as the database has it: written in the transaction of its change, and never changed.
public struct RecordedEvent: Hashable, Sendable {
  public let id: EventID
  /// Where it is in the feed.
  public let position: EventPosition
  /// `device.revoked`: the raw value of a `RegistryEvent.Kind`, perhaps of a later version.
  public let type: String
  public let at: Timestamp
  /// The client that owns what changed.
  public let clientID: ClientID
  public let deviceID: DeviceID?
  public let signalID: SignalID?
  /// Who made the change: `owner`, `admin`, `device`, `operator` or `system`.
  public let actorKind: String
  /// The `sub` of the actor's token, or the device's id; nil for `operator` and `system`.
  public let actorID: String?
  /// The `X-Request-Id` of the request; nil if no request caused the change.
  public let requestID: String?
  public let reason: String?
  /// JSON: an object whose members are arrays of the old and the new value; nil if the type says it all.
  public let changes: [UInt8]?

  public init(
    id: EventID, position: EventPosition, type: String, at: Timestamp, clientID: ClientID, deviceID: DeviceID?,
    signalID: SignalID?, actorKind: String, actorID: String?, requestID: String?, reason: String?,
    changes: [UInt8]?
  ) {
    self.id = id
    self.position = position
    self.type = type
    self.at = at
    self.clientID = clientID
    self.deviceID = deviceID
    self.signalID = signalID
    self.actorKind = actorKind
    self.actorID = actorID
    self.requestID = requestID
    self.reason = reason
    self.changes = changes
  }
}

/// A position in the feed of all clients. Positions are in the order of commit, as readers see it.
public struct EventPosition: Hashable, Comparable, Sendable {
  /// Counts the PostgreSQL clusters that the database has lived in; 0 on SQLite.
  public let epoch: Int64
  /// PostgreSQL's number of the transaction; 0 on SQLite.
  public let transaction: Int64
  public let sequence: Int64

  public init(epoch: Int64, transaction: Int64, sequence: Int64) {
    self.epoch = epoch
    self.transaction = transaction
    self.sequence = sequence
  }

  /// Before every event.
  public static let start = EventPosition(epoch: 0, transaction: 0, sequence: 0)

  public static func < (left: EventPosition, right: EventPosition) -> Bool {
    (left.epoch, left.transaction, left.sequence) < (right.epoch, right.transaction, right.sequence)
  }
}

/// Which events a reader wants.
public struct EventFilter: Hashable, Sendable {
  /// Types of events; nil for all.
  public let types: [String]?
  public let deviceID: DeviceID?

  public static let all = EventFilter(types: nil, deviceID: nil)

  public init(types: [String]?, deviceID: DeviceID?) {
    self.types = types
    self.deviceID = deviceID
  }

  var isAll: Bool { types == nil && deviceID == nil }

  /// The types that a pattern matches: a type, or `device.*` for all that begin so. Nil if it matches none.
  public static func types(matching pattern: String) -> [String]? {
    let all = RegistryEvent.Kind.allCases.map(\.rawValue)
    let found =
      pattern.hasSuffix(".*") ? all.filter { $0.hasPrefix(pattern.dropLast()) } : all.filter { $0 == pattern }
    return found.isEmpty ? nil : found
  }

  /// Every pattern that matches something: the types, and one with `.*` for each subject.
  public static var patterns: [String] {
    let all = RegistryEvent.Kind.allCases.map(\.rawValue)
    var subjects: [String] = []
    for type in all {
      let subject = type.prefix { $0 != "." } + ".*"
      if subjects.last != String(subject) { subjects.append(String(subject)) }
    }
    return all + subjects
  }
}

/// A row of a store's answer: the feed, and an event that was read, if there is one.
public struct ScannedEvent: Sendable {
  /// The position after every event that readers see now.
  let end: EventPosition
  /// The position up to which the retention has deleted events.
  let removed: EventPosition
  let hasHidden: Bool
  /// Where it is among the events that were read, counted from 1; whether the filter lets it through.
  let found: (place: Int64, isWanted: Bool, event: RecordedEvent)?

  public init(
    end: EventPosition, removed: EventPosition, hasHidden: Bool = false,
    found: (place: Int64, isWanted: Bool, event: RecordedEvent)?
  ) {
    self.end = end
    self.removed = removed
    self.hasHidden = hasHidden
    self.found = found
  }
}

/// A part of the feed of one client.
public struct EventPage: Hashable, Sendable {
  public let events: [RecordedEvent]
  /// Where the next page begins. The reader who continues there misses nothing and sees nothing twice.
  public let next: EventPosition
  /// Whether there was nothing more to read. If false, the next page may have events even where this one has none: one
  /// page reads a bounded number of events that the filter leaves out.
  public let isLast: Bool
  /// Whether the client has events that readers do not see yet, because an older transaction still runs.
  public let hasHidden: Bool

  /// The page of what was read after a position. Throws `eventsExpired`.
  ///
  /// - Parameters:
  ///   - rows: at least one. Of the events that the filter leaves out, they have only the last that was read.
  ///   - limit, scan: those of `EventStore.events`.
  public init(
    of rows: [ScannedEvent], after position: EventPosition?, limit: Int, scan: Int
  ) throws(RegistryError) {
    guard let feed = rows.first else { throw .fault(cause: "event_feed: no row") }
    if let position, position < feed.removed || position > feed.end { throw .eventsExpired }
    events = rows.compactMap { row in row.found.flatMap { $0.isWanted ? $0.event : nil } }
    hasHidden = feed.hasHidden
    if events.count == limit, let last = events.last {
      (next, isLast) = (last.position, false)
    } else if let last = rows.last?.found, last.place == scan {
      (next, isLast) = (last.event.position, false)
    } else {
      (next, isLast) = (feed.end, true)
    }
  }
}
