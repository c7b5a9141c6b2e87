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
      .array(of: .timestamp, entries.map { .timestamp(orNull: $0.value.lastAck) }),
      .array(of: .text, entries.map { .text(orNull: $0.value.instance?.text) }))
  }

  /// Rows are locked in the order of their ids, so that concurrent calls cannot deadlock. GREATEST ignores
  /// nulls.
  static let recordPresence = PostgresStatement(
    .backgroundWrite,
    """
    WITH present AS (
      SELECT id, seen.last_seen, seen.last_poll, seen.last_ack, seen.instance
      FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::text[])
        AS seen (id, last_seen, last_poll, last_ack, instance) JOIN devices USING (id)
      ORDER BY id FOR NO KEY UPDATE OF devices
    )
    UPDATE devices SET
      last_seen = GREATEST(devices.last_seen, present.last_seen),
      last_poll = GREATEST(devices.last_poll, present.last_poll),
      last_ack = GREATEST(devices.last_ack, present.last_ack),
      instance_polled_at = CASE WHEN instance_id = present.instance
        THEN GREATEST(instance_polled_at, present.last_poll) ELSE instance_polled_at END
    FROM present WHERE devices.id = present.id
    """)
}
