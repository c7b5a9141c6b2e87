internal import EventLoop
public import Registry

extension SQLiteStore {
  private static let eventColumns = SQLiteColumns(
    "sequence, id, type, at, client_id, device_id, signal_id, actor_kind, actor_id, request_id, reason, changes"
  ) { row in
    let position = EventPosition(sequence: row.integer())
    return RecordedEvent(
      id: row.id(), position: position, type: row.text(), at: row.time(), clientID: row.clientID(),
      deviceID: row.optionalID(), signalID: row.optionalID(), actorKind: row.text(),
      actorID: row.optionalText(),
      requestID: row.optionalText(), reason: row.optionalText(),
      changes: row.optionalText().map { Array($0.utf8) })
  }

  public func events(
    of client: ClientID, after position: EventPosition?, _ filter: EventFilter, limit: Int, scan: Int
  ) async throws(RegistryError) -> EventPage {
    let types = filter.types.map { SQLiteValue.text(" \($0.joined(separator: " ")) ") } ?? .null
    let rows = try await rows(
      of: Self.selectEvents, .text(client.text), .integer(position?.sequence ?? 0), .integer(Int64(scan)),
      types,
      filter.deviceID.map { .id($0) } ?? .null, .integer(Int64(limit)))
    return try EventPage(of: rows, after: position, limit: limit, scan: scan)
  }

  /// The last number that was given to an event, which stays when events are deleted.
  static let newestEvent = "ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)"

  /// Each row has the feed and an event, or null without one. An unwanted event is the last that was read. Types
  /// contain no blanks, so a list of them is a text.
  static let selectEvents = SQLiteStatement(
    """
    WITH scanned AS MATERIALIZED (
      SELECT * FROM events WHERE client_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3
    ), page AS (
      SELECT *, row_number() OVER (ORDER BY sequence) AS place,
        (?4 IS NULL OR instr(?4, ' ' || type || ' ')) AND (?5 IS NULL OR device_id IS ?5) AS is_wanted
      FROM scanned
    )
    SELECT \(newestEvent), removed_sequence, place, is_wanted, \(eventColumns)
    FROM event_feed LEFT JOIN page ON is_wanted OR place = ?3
    ORDER BY place LIMIT ?6
    """
  ) { row in
    let (end, removed) = (EventPosition(sequence: row.integer()), EventPosition(sequence: row.integer()))
    let found = row.optionalInteger().map { place in
      (place: place, isWanted: row.bool(), event: eventColumns.read(&row))
    }
    return ScannedEvent(end: end, removed: removed, found: found)
  }

  public func eventsEnd() async throws(RegistryError) -> EventPosition {
    try await firstRow(of: Self.selectEventsEnd) ?? .start
  }

  static let selectEventsEnd = SQLiteStatement("SELECT \(newestEvent)") {
    EventPosition(sequence: $0.integer())
  }

  public func eventPosition(
    of client: ClientID, beforeLast count: Int
  ) async throws(RegistryError) -> EventPosition? {
    try await firstRow(of: Self.selectEventBeforeLast, .text(client.text), .integer(Int64(count)))
  }

  static let selectEventBeforeLast = SQLiteStatement(
    "SELECT sequence FROM events WHERE client_id = ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2"
  ) { EventPosition(sequence: $0.integer()) }

  /// There is one writer, so readers see all that is committed.
  public func firstHiddenEvent() async throws(RegistryError) -> Timestamp? { nil }

  public func removeEvents(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let last = try writer.firstRow(of: Self.selectLastOld, .time(time), .integer(Int64(maximumRows)))
        guard let last = last ?? nil else { return 0 }
        try writer.run(Self.noteRemoved, .integer(last))
        return try writer.run(Self.removeEvents, .integer(last))
      }
    }
  }

  /// Of the first ?2 events, the last one before the first that is not older than ?1.
  static let selectLastOld = SQLiteStatement(
    """
    WITH oldest AS MATERIALIZED (SELECT sequence, at FROM events ORDER BY sequence LIMIT ?2)
    SELECT max(sequence) FROM oldest
    WHERE sequence < ifnull((SELECT min(sequence) FROM oldest WHERE at >= ?1), 9223372036854775807)
    """
  ) { $0.optionalInteger() }

  static let noteRemoved = SQLiteStatement("UPDATE event_feed SET removed_sequence = ?1")

  static let removeEvents = SQLiteStatement("DELETE FROM events WHERE sequence <= ?1")

  fileprivate static let insertEvent = SQLiteStatement(
    """
    INSERT INTO events (
      id, type, at, client_id, device_id, signal_id, actor_kind, actor_id, request_id, reason, changes
    ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    """)
}

extension EventPosition {
  fileprivate init(sequence: Int64) { self.init(epoch: 0, transaction: 0, sequence: sequence) }
}

// MARK: Recording

extension EventID {
  /// A new UUID version 4 (RFC 9562, section 5.4), as PostgreSQL's gen_random_uuid.
  fileprivate static func random() -> EventID {
    EventID(
      high: .random(in: 0 ... .max) & 0xFFFF_FFFF_FFFF_0FFF | 0x4000,
      low: .random(in: 0 ... .max) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
  }
}

extension SQLiteConnection {
  /// Records an event, in the transaction that makes the change.
  func record(
    _ kind: RegistryEvent.Kind, of client: ClientID, device: DeviceID? = nil, signal: SignalID? = nil,
    by change: Change, changes: EventChanges = [:]
  ) throws(RegistryError) {
    try run(
      SQLiteStore.insertEvent, .id(EventID.random()), .text(kind.rawValue), .time(change.time),
      .text(client.text),
      device.map { .id($0) } ?? .null, signal.map { .id($0) } ?? .null, .text(change.actor.kind),
      .text(change.actor.id), .text(change.requestID), .text(change.reason),
      .text(changes.json))
  }
}
