public import Registry

extension PostgresStore {
  static let presenceStatements = [recordActivity.prepared, recordOffline.prepared]

  public func recordActivity(
    _ devices: [ActiveDevice], offlineAfterMilliseconds: Int64, change: Change
  ) async throws(RegistryError) -> [EndedDevice] {
    guard !devices.isEmpty else { return [] }
    let hours = devices.flatMap { device in device.hours.map { (device.id, $0.hour, $0.counts) } }
    func times(_ time: (Presence) -> Timestamp?) -> PostgresValue {
      .array(of: .timestamp, devices.map { .timestamp(orNull: $0.presence.flatMap(time)) })
    }
    func numbers(_ number: (DeviceStatistics) -> Int64?) -> PostgresValue {
      .array(of: .int8, hours.map { .int8(orNull: number($0.2)) })
    }
    func counts(_ histogram: (DeviceStatistics) -> LatencyHistogram) -> PostgresValue {
      .array(of: .text, hours.map { .text(histogram($0.2).stored) })
    }
    let values: [PostgresValue] = [
      .uuids(devices.map(\.id)), .array(of: .text, devices.map { .text($0.clientID.text) }),
      times { $0.lastSeen }, times { $0.lastPoll }, times { $0.lastAck }, .int8(offlineAfterMilliseconds),
      .uuids(hours.map(\.0)), .array(of: .timestamp, hours.map { .timestamp($0.1) }), numbers { $0.polls },
      numbers { $0.signals }, numbers { $0.placed }, numbers { $0.failed }, numbers { $0.skipped },
      counts { $0.handedOut }, numbers { $0.handedOut.maximum }, counts { $0.acknowledged },
      numbers { $0.acknowledged.maximum },
    ]
    let instances = PostgresValue.array(
      of: .text, devices.map { .text(orNull: $0.presence?.instance?.text) })
    let online = try await rows(of: Self.recordActivity, values + Self.values(of: change) + [instances])
    for client in Set(online.map(\.clientID)) { announcements.announce(client) }
    return online
  }

  /// A device that its owner, the client's administrator or time keeps out comes online unnoticed. Of what `devices` has.
  private static func isTold(at time: String) -> String {
    """
    \(status(at: time)) = 'active'
    AND (SELECT deleted_at IS NULL AND clients.suspended_at IS NULL FROM clients WHERE clients.id = devices.client_id)
    """
  }

  private static let offlineAfter = "$6::int8 * interval '1 millisecond'"

  /// Rows are locked in the order of their ids, and statistics in the same order afterwards, so that concurrent calls cannot
  /// deadlock. GREATEST ignores nulls. Online time is what `OnlineTime` splits.
  static let recordActivity = PostgresStatement(
    .backgroundWrite,
    """
    WITH present AS MATERIALIZED (
      SELECT devices.id AS device, devices.client_id AS owner, devices.last_seen AS old_seen,
        GREATEST(devices.last_seen, seen.last_seen) AS new_seen, seen.last_poll, seen.last_ack,
        seen.instance, COALESCE(
          CASE WHEN online_until IS NULL AND seen.last_seen > $18::timestamptz - \(offlineAfter)
            THEN \(isTold(at: "$18::timestamptz")) END, false) AS came_online
      FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $23::text[])
        AS seen (id, client_id, last_seen, last_poll, last_ack, instance)
        JOIN devices ON devices.id = seen.id AND devices.client_id = seen.client_id
      ORDER BY devices.id FOR NO KEY UPDATE OF devices
    ), moved AS (
      UPDATE devices SET last_seen = new_seen,
        last_poll = GREATEST(devices.last_poll, present.last_poll),
        last_ack = GREATEST(devices.last_ack, present.last_ack),
        instance_polled_at = CASE WHEN instance_id = present.instance
          THEN GREATEST(instance_polled_at, present.last_poll) ELSE instance_polled_at END,
        online_until = CASE WHEN came_online THEN new_seen + \(offlineAfter) ELSE online_until END
      FROM present WHERE devices.id = device AND devices.client_id = owner
    ), parts AS (
      SELECT owner, device, hour, polls, 0::int8 AS online_ms, signals, placed, failed, skipped, handed_out_counts,
        handed_out_max, acked_counts, acked_max
      FROM unnest(
        $7::uuid[], $8::timestamptz[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::text[],
        $15::int8[], $16::text[], $17::int8[])
        AS given (
          device, hour, polls, signals, placed, failed, skipped, handed_out_counts, handed_out_max, acked_counts,
          acked_max)
        JOIN present USING (device)
      UNION ALL
      SELECT owner, device, start,
        0, (extract(epoch FROM LEAST(new_seen, start + interval '1 hour') - GREATEST(old_seen, start)) * 1000)::int8,
        0, 0, 0, 0, '', NULL, '', NULL
      FROM (
        SELECT * FROM present WHERE new_seen > old_seen AND new_seen < old_seen + \(offlineAfter)
      ) AS online CROSS JOIN generate_series(
        date_bin('1 hour', old_seen, 'epoch'), new_seen - interval '1 millisecond', interval '1 hour') AS start
    ), counted AS (
      INSERT INTO device_stats AS stats (
        client_id, device_id, hour, polls, online_ms, signals, placed, failed, skipped, handed_out_counts,
        handed_out_max, acked_counts, acked_max)
      SELECT owner, device, hour, sum(polls), sum(online_ms), sum(signals), sum(placed), sum(failed), sum(skipped),
        max(handed_out_counts), max(handed_out_max), max(acked_counts), max(acked_max)
      FROM parts GROUP BY owner, device, hour ORDER BY device, hour
      ON CONFLICT (client_id, device_id, hour) DO UPDATE SET
        polls = stats.polls + excluded.polls, online_ms = stats.online_ms + excluded.online_ms,
        signals = stats.signals + excluded.signals, placed = stats.placed + excluded.placed,
        failed = stats.failed + excluded.failed, skipped = stats.skipped + excluded.skipped,
        handed_out_counts = \(sum(of: "handed_out_counts")),
        handed_out_max = GREATEST(stats.handed_out_max, excluded.handed_out_max),
        acked_counts = \(sum(of: "acked_counts")), acked_max = GREATEST(stats.acked_max, excluded.acked_max)
    ), recorded AS (
      \(record(
        .deviceOnline, forEachOf: "present WHERE came_online", client: "owner", device: "device", by: change(from: 18),
        changes: #"'{"online":[false,true]}'"#))
    )
    SELECT device, owner FROM present WHERE came_online
    """
  ) { EndedDevice(id: $0.id(), clientID: $0.clientID()) }

  /// Mostly one of the histograms is empty, and the function need not be called.
  private static func sum(of column: String) -> String {
    """
    CASE WHEN excluded.\(column) = '' THEN stats.\(column) ELSE add_counts(stats.\(column), excluded.\(column)) END
    """
  }

  public func recordOffline(
    maximumRows: Int, offlineAfterMilliseconds: Int64, change: Change
  ) async throws(RegistryError) -> (rows: Int, offline: [EndedDevice]) {
    let found = try await rows(
      of: Self.recordOffline,
      Self.values(of: change) + [.int8(offlineAfterMilliseconds), .int8(Int64(maximumRows))])
    let offline = found.compactMap(\.offline)
    for client in Set(offline.map(\.clientID)) { announcements.announce(client) }
    return (found.count, offline)
  }

  /// Skips devices whose presence is written at the moment. The array has the plan find them by their ids.
  static let recordOffline = PostgresStatement(
    .backgroundWrite,
    """
    WITH due AS (
      SELECT id AS due_id, last_seen + \(offlineAfter) AS due_until, \(isTold(at: "$1::timestamptz")) AS is_told
      FROM devices WHERE online_until <= $1::timestamptz
      ORDER BY online_until LIMIT $7::int8 FOR NO KEY UPDATE SKIP LOCKED
    ), looked_at AS (
      UPDATE devices SET online_until = CASE WHEN due_until > $1::timestamptz THEN due_until END
      FROM due WHERE id = due_id AND id = ANY (ARRAY(SELECT due_id FROM due)) RETURNING id, client_id, online_until IS NULL AND is_told AS is_offline
    ), recorded AS (
      \(record(
        .deviceOffline, forEachOf: "looked_at WHERE is_offline", device: "id", by: change(from: 1),
        changes: #"'{"online":[true,false]}'"#))
    )
    SELECT id, client_id, is_offline FROM looked_at
    """
  ) { row in
    let device = EndedDevice(id: row.id(), clientID: row.clientID())
    return (device: device, offline: row.bool() ? device : nil)
  }
}
