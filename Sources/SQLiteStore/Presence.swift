internal import EventLoop
public import Registry

extension SQLiteStore {
  public func recordActivity(
    _ devices: [ActiveDevice], offlineAfterMilliseconds: Int64, change: Change
  ) async throws(RegistryError) -> [EndedDevice] {
    guard !devices.isEmpty else { return [] }
    let size: SQLiteDatabase.Size = devices.count <= Self.shortActivity ? .short : .long
    return try await write(Turn(of: nil, .background), size) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        var online: [EndedDevice] = []
        for device in devices {
          let cameOnline = try writer.recordActivity(
            of: device, offlineAfterMilliseconds: offlineAfterMilliseconds, by: change)
          if cameOnline { online.append(EndedDevice(id: device.id, clientID: device.clientID)) }
        }
        return online
      }
    }
  }

  /// Devices whose activity is written together with other changes.
  private static let shortActivity = 200

  public func recordOffline(
    maximumRows: Int, offlineAfterMilliseconds: Int64, change: Change
  ) async throws(RegistryError) -> (rows: Int, offline: [EndedDevice]) {
    // Mostly no time has come, and the writer need not be asked.
    guard try await firstRow(of: Self.selectDueOnline, .time(change.time), .integer(1)) != nil else {
      return (0, [])
    }
    return try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let due = try writer.rows(
          of: Self.selectDueOnline, [.time(change.time), .integer(Int64(maximumRows))])
        var offline: [EndedDevice] = []
        for (device, presence) in due {
          let end = presence.lastSeen.map { $0 + offlineAfterMilliseconds }
          let isOnline = end.map { change.time < $0 } ?? false
          try writer.run(Self.moveOnlineUntil, .id(device.id), .time(isOnline ? end : nil))
          guard !isOnline, presence.isTold(at: change.time) else { continue }
          offline.append(device)
          try writer.record(
            .deviceOffline, of: device.clientID, device: device.id, by: change,
            changes: ["online": (.bool(true), .bool(false))])
        }
        return (due.count, offline)
      }
    }
  }

  fileprivate static let presenceColumns = SQLiteColumns(
    """
    last_seen, online_until, \(stateColumns),
    (SELECT deleted_at IS NULL AND clients.suspended_at IS NULL FROM clients WHERE clients.id = client_id)
    """
  ) {
    KnownPresence(
      lastSeen: $0.optionalTime(), onlineUntil: $0.optionalTime(), state: stateColumns.read(&$0),
      isClientActive: $0.bool())
  }

  static let selectPresence = SQLiteStatement(
    "SELECT \(presenceColumns) FROM devices WHERE id = ?1 AND client_id = ?2", row: presenceColumns.read)

  /// A comparison with NULL is not true, so a null parameter changes nothing.
  static let recordPresence = SQLiteStatement(
    """
    UPDATE devices SET
      last_seen = CASE WHEN ?3 > ifnull(last_seen, -1) THEN ?3 ELSE last_seen END,
      last_poll = CASE WHEN ?4 > ifnull(last_poll, -1) THEN ?4 ELSE last_poll END,
      last_ack = CASE WHEN ?5 > ifnull(last_ack, -1) THEN ?5 ELSE last_ack END,
      online_until = ?6,
      instance_polled_at = CASE WHEN instance_id = ?7 AND ?4 > instance_polled_at THEN ?4 ELSE instance_polled_at END
    WHERE id = ?1 AND client_id = ?2
    """)

  static let selectDueOnline = SQLiteStatement(
    """
    SELECT id, client_id, \(presenceColumns) FROM devices INDEXED BY ix_devices_online_until
    WHERE online_until <= ?1 ORDER BY online_until LIMIT ?2
    """
  ) { (device: EndedDevice(id: $0.id(), clientID: $0.clientID()), presence: presenceColumns.read(&$0)) }

  private static let moveOnlineUntil = SQLiteStatement("UPDATE devices SET online_until = ?2 WHERE id = ?1")
}

/// What is stored of a device's presence.
struct KnownPresence: Sendable {
  let lastSeen: Timestamp?
  let onlineUntil: Timestamp?
  let state: DeviceState
  let isClientActive: Bool

  /// A device that its owner, the client's administrator or time keeps out comes and goes unnoticed.
  func isTold(at time: Timestamp) -> Bool { isClientActive && state.status(at: time) == .active }
}

extension SQLiteConnection {
  /// Returns whether the device came online.
  fileprivate func recordActivity(
    of device: ActiveDevice, offlineAfterMilliseconds: Int64, by change: Change
  ) throws(RegistryError) -> Bool {
    let known = try firstRow(of: SQLiteStore.selectPresence, .id(device.id), .text(device.clientID.text))
    guard let known else { return false }
    var hours = device.hours
    var cameOnline = false
    if let presence = device.presence {
      let seen = max(known.lastSeen ?? presence.lastSeen, presence.lastSeen)
      cameOnline =
        known.onlineUntil == nil && change.time - presence.lastSeen < offlineAfterMilliseconds
        && known.isTold(at: change.time)
      try run(
        SQLiteStore.recordPresence, .id(device.id), .text(device.clientID.text), .time(presence.lastSeen),
        .time(presence.lastPoll), .time(presence.lastAck),
        .time(cameOnline ? seen + offlineAfterMilliseconds : known.onlineUntil), .text(presence.instance?.text))
      let online = OnlineTime.byHour(
        from: known.lastSeen ?? seen, to: seen, offlineAfterMilliseconds: offlineAfterMilliseconds)
      for (hour, milliseconds) in online {
        let index = hours.firstIndex { $0.hour == hour } ?? hours.endIndex
        if index == hours.endIndex { hours.append(ActiveHour(hour, DeviceStatistics())) }
        hours[index].counts.onlineMilliseconds += milliseconds
      }
    }
    for hour in hours { try add(hour.counts, of: device.id, of: device.clientID, in: hour.hour) }
    guard cameOnline else { return false }
    try record(
      .deviceOnline, of: device.clientID, device: device.id, by: change,
      changes: ["online": (.bool(false), .bool(true))])
    return true
  }
}
