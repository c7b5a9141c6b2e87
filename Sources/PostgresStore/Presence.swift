public import Registry

extension PostgresStore {
  static let presenceStatements = [recordPresence.prepared]

  public func recordPresence(_ presence: [DeviceID: Presence]) async throws(RegistryError) {
    guard !presence.isEmpty else { return }
    let entries = Array(presence)
    try await run(
      Self.recordPresence, .uuids(entries.map(\.key)),
      .array(of: .timestamp, entries.map { .timestamp($0.value.lastSeen) }),
      .array(of: .timestamp, entries.map { .timestamp(orNull: $0.value.lastPoll) }),
      .array(of: .timestamp, entries.map { .timestamp(orNull: $0.value.lastAck) }))
  }

  /// Rows are locked in the order of their ids, so that concurrent calls cannot deadlock. GREATEST ignores
  /// nulls.
  static let recordPresence = PostgresStatement(
    .backgroundWrite,
    """
    WITH present AS (
      SELECT id, seen.last_seen, seen.last_poll, seen.last_ack
      FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
        AS seen (id, last_seen, last_poll, last_ack) JOIN devices USING (id)
      ORDER BY id FOR NO KEY UPDATE OF devices
    )
    UPDATE devices SET
      last_seen = GREATEST(devices.last_seen, present.last_seen),
      last_poll = GREATEST(devices.last_poll, present.last_poll),
      last_ack = GREATEST(devices.last_ack, present.last_ack)
    FROM present WHERE devices.id = present.id
    """)
}
