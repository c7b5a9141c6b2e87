internal import EventLoop
public import Registry

extension SQLiteStore {
  public func statistics(
    of client: ClientID, devices: [DeviceID], from: Timestamp, to: Timestamp, step: StatisticsStep,
    isByDevice: Bool
  ) async throws(RegistryError) -> [StoredStatistics] {
    guard !devices.isEmpty else { return [] }
    return try await rows(
      of: Self.selectStatistics, .text(client.text), Self.json(devices), .time(from), .time(to),
      .integer(step.seconds * 1000), .bool(isByDevice))
  }

  private static let countColumns = SQLiteColumns(
    """
    polls, online_ms, signals, placed, failed, skipped, expired, cancelled, handed_out_counts, handed_out_max,
    acked_counts, acked_max
    """
  ) { row in
    var counts = DeviceStatistics()
    counts.polls = row.integer()
    counts.onlineMilliseconds = row.integer()
    counts.signals = row.integer()
    counts.placed = row.integer()
    counts.failed = row.integer()
    counts.skipped = row.integer()
    counts.expired = row.integer()
    counts.cancelled = row.integer()
    counts.handedOut = LatencyHistogram(stored: row.optionalText() ?? "", maximum: row.optionalInteger())
    counts.acknowledged = LatencyHistogram(stored: row.optionalText() ?? "", maximum: row.optionalInteger())
    return counts
  }

  /// Histograms are merged by joining their texts.
  static let selectStatistics = SQLiteStatement(
    """
    SELECT CASE WHEN ?6 THEN device_id END AS device, hour - hour % ?5 AS start, count(*),
      sum(polls), sum(online_ms), sum(signals), sum(placed), sum(failed), sum(skipped), sum(expired), sum(cancelled),
      group_concat(nullif(handed_out_counts, ''), ' '), max(handed_out_max),
      group_concat(nullif(acked_counts, ''), ' '), max(acked_max)
    FROM device_stats
    WHERE client_id = ?1 AND device_id IN (SELECT value FROM json_each(?2)) AND hour >= ?3 AND hour < ?4
    GROUP BY device, start ORDER BY device, start
    """
  ) { row in
    let (deviceID, from, rows) = (row.optionalID() as DeviceID?, row.time(), Int(row.integer()))
    return StoredStatistics(deviceID: deviceID, from: from, counts: countColumns.read(&row), rows: rows)
  }

  public func settleSignals(until time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    // Mostly no signal has ended, and the writer need not be asked.
    guard try await firstRow(of: Self.selectUnsettled, .time(time)) != nil else { return 0 }
    return try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        var done = 0
        while done < maximumRows, let signal = try writer.firstRow(of: Self.selectUnsettled, .time(time)) {
          done += try writer.settle(signal, maximumRows: maximumRows - done) + 1
        }
        return min(done, maximumRows)
      }
    }
  }

  /// `is_settled` is after the payload, so an index has what is not settled.
  static let selectUnsettled = SQLiteStatement(
    """
    SELECT id, client_id, expires_at, cancelled_at, ifnull(settled_device, '')
    FROM signals INDEXED BY ix_signals_unsettled
    WHERE NOT is_settled AND ifnull(cancelled_at, expires_at) <= ?1 AND is_visible
    ORDER BY ifnull(cancelled_at, expires_at) LIMIT 1
    """
  ) {
    UnsettledSignal(
      id: $0.id(), clientID: $0.clientID(), expiresAt: $0.time(), cancelledAt: $0.optionalTime(),
      settledDevice: $0.text())
  }

  static let selectDeliveriesToSettle = SQLiteStatement(
    """
    SELECT device_id, acked_at, cancelled_at, EXISTS (SELECT 1 FROM devices WHERE id = device_id AND client_id = ?4)
    FROM deliveries WHERE signal_id = ?1 AND device_id > ?2 ORDER BY device_id LIMIT ?3
    """
  ) {
    (
      device: $0.id() as DeviceID, ackedAt: $0.optionalTime(), cancelledAt: $0.optionalTime(),
      isOfClient: $0.bool()
    )
  }

  fileprivate static let noteSettled = SQLiteStatement(
    "UPDATE signals SET is_settled = ?2, settled_device = ?3 WHERE id = ?1")

  static let selectCounts = SQLiteStatement(
    "SELECT \(countColumns) FROM device_stats WHERE client_id = ?1 AND device_id = ?2 AND hour = ?3",
    row: countColumns.read)

  fileprivate static let storeCounts = SQLiteStatement(
    """
    INSERT INTO device_stats (client_id, device_id, hour, \(countColumns))
    VALUES (?1, ?2, ?3, \(countColumns.parameters(from: 4)))
    ON CONFLICT (client_id, device_id, hour) DO UPDATE SET
      polls = polls + excluded.polls, online_ms = online_ms + excluded.online_ms,
      signals = signals + excluded.signals, placed = placed + excluded.placed, failed = failed + excluded.failed,
      skipped = skipped + excluded.skipped, expired = expired + excluded.expired,
      cancelled = cancelled + excluded.cancelled,
      handed_out_counts = CASE excluded.handed_out_counts WHEN '' THEN handed_out_counts ELSE excluded.handed_out_counts END,
      handed_out_max = ifnull(excluded.handed_out_max, handed_out_max),
      acked_counts = CASE excluded.acked_counts WHEN '' THEN acked_counts ELSE excluded.acked_counts END,
      acked_max = ifnull(excluded.acked_max, acked_max)
    """)

  public func removeStatistics(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    try await clear(atMost: maximumRows) { (writer, clearing) throws(RegistryError) in
      while clearing.rowsLeft > 0, let orphan = try writer.firstRow(of: Self.selectOrphan) {
        clearing.rowsLeft -= try writer.run(
          Self.removeStatisticsOfDevice, .text(orphan.client.text), .id(orphan.device),
          .integer(Int64(clearing.rowsLeft)))
        guard clearing.rowsLeft > 0 else { return }
        clearing.rowsLeft -= try writer.run(Self.removeOrphan, .id(orphan.device))
      }
      clearing.rowsLeft -= try writer.run(
        Self.removeStatistics, .time(time), .integer(Int64(clearing.rowsLeft)))
    }
  }

  private static let selectOrphan = SQLiteStatement("SELECT client_id, device_id FROM orphaned_stats LIMIT 1") {
    (client: $0.clientID(), device: $0.id() as DeviceID)
  }

  private static let removeOrphan = SQLiteStatement("DELETE FROM orphaned_stats WHERE device_id = ?1")

  /// Deletes the first ?3 hours of a device.
  static let removeStatisticsOfDevice = SQLiteStatement(
    """
    DELETE FROM device_stats WHERE client_id = ?1 AND device_id = ?2 AND hour IN (
      SELECT hour FROM device_stats WHERE client_id = ?1 AND device_id = ?2 ORDER BY hour LIMIT ?3)
    """)

  /// Deletes the ?2 oldest rows of hours before ?1.
  static let removeStatistics = SQLiteStatement(
    """
    DELETE FROM device_stats WHERE (client_id, device_id, hour) IN (
      SELECT client_id, device_id, hour FROM device_stats INDEXED BY ix_device_stats_hour
      WHERE hour < ?1 ORDER BY hour LIMIT ?2)
    """)
}

/// A signal that expired or was cancelled, some of whose deliveries are not counted.
struct UnsettledSignal: Sendable {
  let id: SignalID
  let clientID: ClientID
  let expiresAt: Timestamp
  let cancelledAt: Timestamp?
  /// The device of the last delivery that is counted; empty before the first.
  let settledDevice: String
}

extension SQLiteConnection {
  /// Adds to what is stored of an hour of a device.
  func add(
    _ counts: DeviceStatistics, of device: DeviceID, of client: ClientID, in hour: Timestamp
  ) throws(RegistryError) {
    let key: [SQLiteValue] = [.text(client.text), .id(device), .time(hour)]
    var (handedOut, acknowledged) = (counts.handedOut, counts.acknowledged)
    if !handedOut.isEmpty || !acknowledged.isEmpty,
      let stored = try rows(of: SQLiteStore.selectCounts, key).first
    {
      if !handedOut.isEmpty { handedOut.add(stored.handedOut) }
      if !acknowledged.isEmpty { acknowledged.add(stored.acknowledged) }
    }
    try run(
      SQLiteStore.storeCounts,
      key + [
        .integer(counts.polls), .integer(counts.onlineMilliseconds), .integer(counts.signals),
        .integer(counts.placed), .integer(counts.failed), .integer(counts.skipped), .integer(counts.expired),
        .integer(counts.cancelled), .text(handedOut.stored), .integer(handedOut.maximum),
        .text(acknowledged.stored), .integer(acknowledged.maximum),
      ])
  }

  /// Counts the next deliveries of a signal, and returns how many it looked at.
  fileprivate func settle(_ signal: UnsettledSignal, maximumRows: Int) throws(RegistryError) -> Int {
    let deliveries = try rows(
      of: SQLiteStore.selectDeliveriesToSettle,
      [
        .id(signal.id), .text(signal.settledDevice), .integer(Int64(maximumRows)), .text(signal.clientID.text),
      ])
    for delivery in deliveries where delivery.ackedAt == nil && delivery.isOfClient {
      let cancelledAt = delivery.cancelledAt ?? signal.cancelledAt
      var counts = DeviceStatistics()
      if cancelledAt == nil { counts.expired = 1 } else { counts.cancelled = 1 }
      try add(
        counts, of: delivery.device, of: signal.clientID,
        in: StatisticsStep.hour.start(of: cancelledAt ?? signal.expiresAt))
    }
    let isSettled = deliveries.count < maximumRows
    try run(
      SQLiteStore.noteSettled, .id(signal.id), .bool(isSettled), .text(deliveries.last?.device.description))
    return deliveries.count
  }
}
