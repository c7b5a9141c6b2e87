public import Registry

extension PostgresStore {
  static let statisticsStatements = [
    selectStatistics.prepared, settleSignals.prepared, removeStatistics.prepared,
  ]

  public func statistics(
    of client: ClientID, devices: [DeviceID], from: Timestamp, to: Timestamp, step: StatisticsStep,
    isByDevice: Bool
  ) async throws(RegistryError) -> [StoredStatistics] {
    guard !devices.isEmpty else { return [] }
    return try await rows(
      of: Self.selectStatistics, .text(client.text), .uuids(devices), .timestamp(from), .timestamp(to),
      .int8(step.seconds), .bool(isByDevice))
  }

  /// Histograms are merged by joining their texts.
  static let selectStatistics = PostgresStatement(
    .read,
    """
    SELECT CASE WHEN $6::boolean THEN device_id END AS device,
      date_bin($5::int8 * interval '1 second', hour, 'epoch') AS start, count(*),
      sum(polls)::int8, sum(online_ms)::int8, sum(signals)::int8, sum(placed)::int8, sum(failed)::int8,
      sum(skipped)::int8, sum(expired)::int8, sum(cancelled)::int8,
      string_agg(NULLIF(handed_out_counts, ''), ' '), max(handed_out_max)::int8,
      string_agg(NULLIF(acked_counts, ''), ' '), max(acked_max)::int8
    FROM device_stats
    WHERE client_id = $1::text AND device_id = ANY ($2::uuid[])
      AND hour >= $3::timestamptz AND hour < $4::timestamptz
    GROUP BY device, start ORDER BY device, start
    """
  ) { row in
    let (deviceID, from, rows) = (row.optionalID() as DeviceID?, row.time(), Int(row.integer()))
    var counts = DeviceStatistics()
    counts.polls = row.integer()
    counts.onlineMilliseconds = row.integer()
    counts.signals = row.integer()
    counts.placed = row.integer()
    counts.failed = row.integer()
    counts.skipped = row.integer()
    counts.expired = row.integer()
    counts.cancelled = row.integer()
    counts.handedOut = LatencyHistogram(
      stored: row.optionalText() ?? "", maximum: row.optionalInteger())
    counts.acknowledged = LatencyHistogram(
      stored: row.optionalText() ?? "", maximum: row.optionalInteger())
    return StoredStatistics(deviceID: deviceID, from: from, counts: counts, rows: rows)
  }

  public func settleSignals(until time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    Int(
      try await firstRow(of: Self.settleSignals, .timestamp(time), .int8(Int64(maximumRows))) ?? 0)
  }

  static let settleSignals = PostgresStatement(
    .backgroundWrite, "SELECT settle_signals($1::timestamptz, $2::int8)"
  ) { $0.integer() }

  public func removeStatistics(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    Int(
      try await firstRow(of: Self.removeStatistics, .timestamp(time), .int8(Int64(maximumRows))) ?? 0)
  }

  static let removeStatistics = PostgresStatement(
    .backgroundWrite, "SELECT remove_stats($1::timestamptz, $2::int8)"
  ) { $0.integer() }
}
