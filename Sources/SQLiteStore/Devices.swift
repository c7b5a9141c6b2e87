internal import EventLoop
public import Registry

extension SQLiteStore {
  /// Reading does not validate again what database constraints guarantee.
  static let deviceColumns = SQLiteColumns(
    """
    id, client_id, device_name, created_at, updated_at, last_poll, last_ack, last_seen, labels, groups,
    \(stateColumns), \(modeColumns), \(terminalColumns)
    """
  ) {
    Device(
      id: $0.id(), clientID: $0.clientID(), deviceName: DeviceName(stored: $0.text()), createdAt: $0.time(),
      updatedAt: $0.time(), lastPoll: $0.optionalTime(), lastAck: $0.optionalTime(),
      lastSeen: $0.optionalTime(), labels: Labels(stored: $0.text()), groups: GroupName.list(stored: $0.text()),
      state: stateColumns.read(&$0), tradingMode: modeColumns.read(&$0),
      terminal: terminalColumns.read(&$0))
  }

  /// `deviceColumns` of a row of `devices`, without groups that are being deleted.
  static let shownDeviceColumns = SQLiteColumns(
    """
    \(deviceColumns), CASE WHEN groups <> '' THEN (
      SELECT group_concat(gone.name, ' ') FROM groups AS gone INDEXED BY ix_groups_deleted
      WHERE gone.client_id = devices.client_id AND gone.deleted_at IS NOT NULL
    ) END
    """
  ) { row in
    let device = deviceColumns.read(&row)
    return device.without(row.optionalText().map { GroupName.list(stored: $0) } ?? [])
  }

  /// The values of `deviceColumns`.
  fileprivate static func values(of device: Device) -> [SQLiteValue] {
    [
      .id(device.id), .text(device.clientID.text), .text(device.deviceName.text), .time(device.createdAt),
      .time(device.updatedAt), .time(device.lastPoll), .time(device.lastAck), .time(device.lastSeen),
      .text(device.labels.json), .text(device.groups.stored),
    ] + values(of: device.state) + values(of: device.tradingMode) + values(of: device.terminal)
  }

  /// What tells whether a device may be used. `is_active` is 0 for a revoked device, and for one that hand-written SQL
  /// keeps out, which is read as suspended.
  static let stateColumns = SQLiteColumns(
    "is_active, revoked, suspended_at, suspended_until, expires_at, status_reason"
  ) {
    DeviceState(
      isActive: $0.bool(), isRevoked: $0.bool(), suspendedAt: $0.optionalTime(),
      suspendedUntil: $0.optionalTime(), expiresAt: $0.optionalTime(), reason: $0.optionalText())
  }

  /// The values of `stateColumns`.
  static func values(of state: DeviceState) -> [SQLiteValue] {
    [
      .bool(state.isEnabled), .bool(state.isRevoked), .time(state.suspension?.since),
      .time(state.suspension?.until), .time(state.expiresAt), .text(state.reason),
    ]
  }

  static let modeColumns = SQLiteColumns(
    "trading_mode, mode_version, mode_reason, mode_since, confirmed_version, confirmed_at"
  ) {
    TradingMode(
      mode: TradingMode.Mode(rawValue: $0.text())!, version: $0.integer(), reason: $0.optionalText(),
      since: $0.time(), confirmedVersion: $0.optionalInteger(), confirmedAt: $0.optionalTime())
  }

  private static func values(of mode: TradingMode) -> [SQLiteValue] {
    [
      .text(mode.mode.rawValue), .integer(mode.version), .text(mode.reason), .time(mode.since),
      .integer(mode.confirmedVersion), .time(mode.confirmedAt),
    ]
  }

  public func ping() async throws(RegistryError) { _ = try await rows(of: Self.ping) }

  /// Reads the file's first page.
  static let ping = SQLiteStatement("SELECT count(*) FROM sqlite_schema")

  public func checkRegistration(
    of deviceName: DeviceName, for clientID: ClientID, maxDevices: Int
  ) async throws(RegistryError) {
    let found = try await firstRow(
      of: Self.checkRegistration, .text(clientID.text), .text(deviceName.text), .integer(Int64(maxDevices)))
    guard let found else { throw .clientNotFound }
    if found.count >= found.limit { throw .tooManyDevices(limit: found.limit) }
    if found.isNameTaken { throw .deviceNameTaken }
  }

  static let checkRegistration = SQLiteStatement(
    """
    SELECT ifnull(max_devices, ?3), device_count,
      EXISTS (SELECT 1 FROM devices WHERE client_id = ?1 AND device_name = ?2 AND NOT revoked)
    FROM clients WHERE id = ?1 AND deleted_at IS NULL
    """
  ) { (limit: Int($0.integer()), count: $0.integer(), isNameTaken: $0.bool()) }

  public func insertDevice(
    _ device: Device, verifier: SecretVerifier, maxDevices: Int, change: Change
  ) async throws(RegistryError) {
    let stored = sealing.seal(verifier, of: device.id)
    try await write(Turn(of: device.clientID.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        try writer.insert(device, verifier: stored, maxDevices: maxDevices)
        try writer.useKey(of: change, for: device.id.description)
        try writer.record(
          .deviceRegistered, of: device.clientID, device: device.id, by: change,
          changes: EventChanges(registering: device))
      }
    }
  }

  fileprivate static let insertDevice = SQLiteStatement(
    """
    INSERT INTO devices (hmac_key_hash, stored_key, server_key, \(deviceColumns))
    SELECT ?3, ?4, ?5, \(deviceColumns.parameters(from: 6)) FROM clients
    WHERE id = ?1 AND deleted_at IS NULL AND device_count < ifnull(max_devices, ?2)
    """)

  fileprivate static let hasDeviceName = SQLiteStatement(
    "SELECT 1 FROM devices WHERE client_id = ?1 AND device_name = ?2 AND NOT revoked")

  public func device(_ id: DeviceID) async throws(RegistryError) -> Device? {
    try await firstRow(of: Self.selectDevice, .id(id))
  }

  static let selectDevice = SQLiteStatement(
    "SELECT \(shownDeviceColumns) FROM devices WHERE id = ?1", row: shownDeviceColumns.read)

  public func devices(
    of clientID: ClientID, after cursor: DeviceCursor?, limit: Int
  ) async throws(RegistryError) -> [Device] {
    try await rows(
      of: Self.selectDevices, .text(clientID.text), cursor.map { .time($0.createdAt) } ?? .integer(.min),
      cursor.map { .id($0.id) } ?? .text(""), .integer(Int64(limit)))
  }

  static let selectDevices = SQLiteStatement(
    """
    SELECT \(shownDeviceColumns) FROM devices
    WHERE client_id = ?1 AND (created_at, id) > (?2, ?3)
    ORDER BY created_at, id LIMIT ?4
    """, row: shownDeviceColumns.read)

  public func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> Device? {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let oldName = try writer.firstRow(of: Self.selectName, .id(id), .text(owner.text))
        guard let oldName else { return nil }
        // This statement can violate only the unique index on names.
        let device = try writer.firstRow(
          of: Self.renameDevice, .id(id), .text(owner.text), .text(deviceName.text), .time(change.time),
          uniqueViolation: { _ in .deviceNameTaken })
        guard let device else { return nil }
        if oldName != deviceName.text {
          try writer.record(
            .deviceUpdated, of: owner, device: id, by: change,
            changes: ["device_name": (.text(oldName), .text(deviceName.text))])
        }
        return device
      }
    }
  }

  static let selectName = SQLiteStatement(
    "SELECT device_name FROM devices WHERE id = ?1 AND client_id = ?2 AND NOT revoked"
  ) { $0.text() }

  static let renameDevice = SQLiteStatement(
    """
    UPDATE devices SET device_name = ?3, updated_at = iif(device_name = ?3, updated_at, ?4)
    WHERE id = ?1 AND client_id = ?2 AND NOT revoked
    RETURNING \(deviceColumns)
    """, row: deviceColumns.read)
}

extension SQLiteConnection {
  /// Inserts a device, in the transaction that registers it. Throws `clientNotFound`, `tooManyDevices`,
  /// `deviceNameTaken`, `groupNotFound`.
  func insert(_ device: Device, verifier: StoredVerifier, maxDevices: Int) throws(RegistryError) {
    let owner = SQLiteValue.text(device.clientID.text)
    let values =
      [
        owner, .integer(Int64(maxDevices)), .text(verifier.hmacKeyHash), .blob(verifier.storedKey),
        .blob(verifier.serverKey),
      ] + SQLiteStore.values(of: device)
    // Before anything is written: an error then undoes nothing of writes that share the commit.
    if !device.groups.isEmpty, try hasRow(SQLiteStore.hasClient, owner) {
      for group in device.groups { try checkGroup(group, of: device.clientID) }
    }
    let created = try run(SQLiteStore.insertDevice, values) { (failure) throws(RegistryError) in
      // If no device has the name, another index was violated.
      try hasRow(SQLiteStore.hasDeviceName, owner, .text(device.deviceName.text))
        ? .deviceNameTaken : failure.registryError
    }
    guard created > 0 else {
      guard let client = try firstRow(of: SQLiteStore.selectClient, owner) else { throw .clientNotFound }
      throw .tooManyDevices(limit: client.maxDevices ?? maxDevices)
    }
  }
}
