public import Registry

extension PostgresStore {
  static let eventStatements = [
    selectEvents.prepared, selectEventsEnd.prepared, selectEventBeforeLast.prepared, selectFirstHidden.prepared,
    removeEvents.prepared,
    PostgresEventAnnouncements.notify.prepared,
  ]

  // MARK: Recording

  /// The values of a change, which a statement has as consecutive parameters: time, actor's kind and id, request, reason.
  static func values(of change: Change) -> [PostgresValue] {
    [
      .timestamp(change.time), .text(change.actor.kind), .text(orNull: change.actor.id),
      .text(orNull: change.requestID), .text(orNull: change.reason),
    ]
  }

  /// The types of these values, for statements that take an array of each.
  static let changeTypes: [PostgresValue.ElementType] = [.timestamp, .text, .text, .text, .text]

  /// The parameters of a change, for `record`, of which the first is `$first`.
  static func change(from first: Int) -> String {
    "$\(first)::timestamptz, $\(first + 1)::text, $\(first + 2)::text, $\(first + 3)::text, $\(first + 4)::text"
  }

  /// An INSERT that records an event for each row of a table expression, in the statement that makes the change.
  ///
  /// - Parameters:
  ///   - rows: a FROM list, mostly the name of a WITH query with what RETURNING gave.
  ///   - change: `change(from:)`, or the columns of `rows` that have its values.
  ///   - changes: an expression of type json with old and new values by name.
  static func record(
    _ kind: RegistryEvent.Kind, forEachOf rows: String, client: String = "client_id", device: String = "NULL",
    signal: String = "NULL", by change: String, changes: String = "NULL"
  ) -> String {
    record(
      type: "'\(kind.rawValue)'", forEachOf: rows, client: client, device: device, signal: signal, by: change,
      changes: changes)
  }

  /// The same for a type that is an expression.
  static func record(
    type: String, forEachOf rows: String, client: String, device: String = "NULL", signal: String = "NULL",
    by change: String, changes: String
  ) -> String {
    """
    INSERT INTO events (type, client_id, device_id, signal_id, at, actor_kind, actor_id, request_id, reason, changes)
    SELECT \(type), \(client), \(device)::uuid, \(signal)::uuid, \(change), \(changes)::json FROM \(rows)
    """
  }

  /// An expression of a time's text in events (RFC 3339).
  static func text(ofTime expression: String) -> String {
    #"to_char(\#(expression) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"#
  }

  // MARK: The feed

  private static let eventColumns = PostgresColumns(
    """
    epoch::int8, transaction, sequence, id, type, at, client_id, device_id, signal_id, actor_kind, actor_id, request_id,
    reason, changes::text
    """
  ) { row in
    let position = EventPosition(epoch: row.integer(), transaction: row.integer(), sequence: row.integer())
    return RecordedEvent(
      id: row.id(), position: position, type: row.text(), at: row.time(), clientID: row.clientID(),
      deviceID: row.optionalID(), signalID: row.optionalID(), actorKind: row.text(),
      actorID: row.optionalText(),
      requestID: row.optionalText(), reason: row.optionalText(), changes: row.optionalBytes())
  }

  public func events(
    of client: ClientID, after position: EventPosition?, _ filter: EventFilter, limit: Int, scan: Int
  ) async throws(RegistryError) -> EventPage {
    let start = position ?? .start
    let rows = try await rows(
      of: Self.selectEvents, .text(client.text), .int8(start.epoch), .int8(start.transaction),
      .int8(start.sequence), .int8(Int64(scan)),
      filter.types.map { .array(of: .text, $0.map { .text($0) }) } ?? .null,
      filter.deviceID.map { .uuid($0) } ?? .null, .int8(Int64(limit)))
    return try EventPage(of: rows, after: position, limit: limit, scan: scan)
  }

  /// The condition that readers see the event. Transactions commit in another order than they begin, so what is at or above
  /// the oldest running transaction may still get events before it. pg_snapshot_xmin is that of the statement's snapshot.
  private static let isSeen =
    "(epoch, transaction) < (SELECT epoch, pg_snapshot_xmin(pg_current_snapshot()) FROM event_feed)"

  /// Each row has the feed and an event, or null without one. An unwanted event is the last that was read.
  static let selectEvents = PostgresStatement(
    .read,
    """
    WITH scanned AS MATERIALIZED (
      SELECT * FROM events
      WHERE client_id = $1::text AND (epoch, transaction, sequence) > ($2::int8, $3::xid8, $4::int8) AND \(isSeen)
      ORDER BY epoch, transaction, sequence LIMIT $5::int8
    ), page AS (
      SELECT *, row_number() OVER (ORDER BY epoch, transaction, sequence) AS place,
        ($6::text[] IS NULL OR type = ANY ($6::text[])) AND ($7::uuid IS NULL OR device_id = $7::uuid) AS is_wanted
      FROM scanned
    )
    SELECT feed.*, place, is_wanted, \(eventColumns) FROM (
      SELECT epoch::int8 AS feed_epoch, pg_snapshot_xmin(pg_current_snapshot()) AS horizon,
        removed_epoch::int8, removed_transaction, removed_sequence,
        EXISTS (
          SELECT FROM events WHERE client_id = $1::text
            AND (events.epoch, transaction) >= (event_feed.epoch, pg_snapshot_xmin(pg_current_snapshot()))
        ) AS has_hidden
      FROM event_feed
    ) AS feed LEFT JOIN page ON is_wanted OR place = $5::int8
    ORDER BY place LIMIT $8::int8
    """
  ) { row in
    let end = EventPosition(epoch: row.integer(), transaction: row.integer() - 1, sequence: .max)
    let removed = EventPosition(epoch: row.integer(), transaction: row.integer(), sequence: row.integer())
    let hasHidden = row.bool()
    let found = row.optionalInteger().map { place in
      (place: place, isWanted: row.bool(), event: eventColumns.read(&row))
    }
    return ScannedEvent(end: end, removed: removed, hasHidden: hasHidden, found: found)
  }

  public func eventsEnd() async throws(RegistryError) -> EventPosition {
    guard let end = try await firstRow(of: Self.selectEventsEnd) else {
      throw .fault(cause: "event_feed: no row")
    }
    return end
  }

  static let selectEventsEnd = PostgresStatement(
    .read, "SELECT epoch::int8, pg_snapshot_xmin(pg_current_snapshot()) FROM event_feed"
  ) { EventPosition(epoch: $0.integer(), transaction: $0.integer() - 1, sequence: .max) }

  public func eventPosition(
    of client: ClientID, beforeLast count: Int
  ) async throws(RegistryError) -> EventPosition? {
    try await firstRow(of: Self.selectEventBeforeLast, .text(client.text), .int8(Int64(count)))
  }

  static let selectEventBeforeLast = PostgresStatement(
    .read,
    """
    SELECT epoch::int8, transaction, sequence FROM events WHERE client_id = $1::text AND \(isSeen)
    ORDER BY events.epoch DESC, transaction DESC, sequence DESC LIMIT 1 OFFSET $2::int8
    """
  ) { EventPosition(epoch: $0.integer(), transaction: $0.integer(), sequence: $0.integer()) }

  public func firstHiddenEvent() async throws(RegistryError) -> Timestamp? {
    try await firstRow(of: Self.selectFirstHidden)
  }

  static let selectFirstHidden = PostgresStatement(
    .read,
    """
    SELECT at FROM events
    WHERE (epoch, transaction) >= ((SELECT epoch FROM event_feed), pg_snapshot_xmin(pg_current_snapshot()))
    ORDER BY epoch, transaction, sequence LIMIT 1
    """
  ) { $0.time() }

  public func removeEvents(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    Int(try await firstRow(of: Self.removeEvents, .timestamp(time), .int8(Int64(maximumRows))) ?? 0)
  }

  static let removeEvents = PostgresStatement(
    .backgroundWrite, "SELECT remove_events($1::timestamptz, $2::int8)"
  ) { $0.integer() }
}
