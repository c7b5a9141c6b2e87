public import Registry

extension SQLiteStore {
  public func ping() async throws(RegistryError) {
    // Reads the file's first page.
    _ = try await read("SELECT count(*) FROM sqlite_schema") { _ in }
  }

  public func checkRegistration(
    of deviceName: DeviceName, for clientID: ClientID, maxDevices: Int
  ) async throws(RegistryError) {
    let found = try await read(
      """
      SELECT device_count,
        EXISTS (SELECT 1 FROM devices WHERE client_id = ?1 AND device_name = ?2 AND NOT revoked)
      FROM clients WHERE id = ?1
      """, [.text(clientID.text), .text(deviceName.text)]
    ) { (count: $0.integer(0), isNameTaken: $0.bool(1)) }
    guard let found = found.first else { throw .clientNotFound }
    if found.count >= maxDevices { throw .tooManyDevices(limit: maxDevices) }
    if found.isNameTaken { throw .deviceNameTaken }
  }

  public func insertDevice(
    _ device: Device, verifier: SecretVerifier, maxDevices: Int, change: Change
  ) async throws(RegistryError) {
    let values: [SQLiteValue] = [
      .id(device.id), .text(device.clientID.text), .text(device.deviceName.text),
      .text(verifier.hmacKeyHash), .blob(verifier.storedKey), .blob(verifier.serverKey),
      .bool(device.isActive), .bool(device.revoked),
      .time(device.lastPoll), .time(device.lastAck), .time(device.lastSeen),
      .time(device.createdAt), .time(device.updatedAt), .integer(Int64(maxDevices)),
    ]
    try await database.write { (writer) throws(RegistryError) in
      let created = try writer.write(Self.insertDevice, values, read: { $0.bool(0) }) {
        (failure) throws(RegistryError) in
        // The violated index is the name's, unless nobody has the name.
        try writer.hasRow(
          "SELECT 1 FROM devices WHERE client_id = ?1 AND device_name = ?2 AND NOT revoked",
          [.text(device.clientID.text), .text(device.deviceName.text)])
          ? .deviceNameTaken : failure.registryError
      }
      guard created.isEmpty else { return }
      throw try writer.hasRow("SELECT 1 FROM clients WHERE id = ?1", [.text(device.clientID.text)])
        ? .tooManyDevices(limit: maxDevices) : .clientNotFound
    }
  }

  private static let insertDevice = """
    INSERT INTO devices
      (id, client_id, device_name, hmac_key_hash, stored_key, server_key, is_active, revoked,
       last_poll, last_ack, last_seen, created_at, updated_at)
    SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
    FROM clients WHERE id = ?2 AND device_count < ?14
    RETURNING 1
    """

  static let columns = """
    id, client_id, device_name, is_active, revoked, last_poll, last_ack, last_seen, created_at, updated_at
    """

  public func device(_ id: DeviceID) async throws(RegistryError) -> Device? {
    try await read(Self.selectDevice, [.id(id)], row: Device.init(row:)).first
  }

  static let selectDevice = "SELECT \(columns) FROM devices WHERE id = ?1"

  public func devices(
    of clientID: ClientID, after cursor: DeviceCursor?, limit: Int
  ) async throws(RegistryError) -> [Device] {
    try await read(
      Self.selectDevices,
      [
        .text(clientID.text), cursor.map { .time($0.createdAt) } ?? .integer(.min),
        cursor.map { .id($0.id) } ?? .text(""), .integer(Int64(limit)),
      ], row: Device.init(row:))
  }

  static let selectDevices = """
    SELECT \(columns) FROM devices
    WHERE client_id = ?1 AND (created_at, id) > (?2, ?3)
    ORDER BY created_at, id LIMIT ?4
    """

  public func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> Device? {
    try await database.write { (writer) throws(RegistryError) in
      // The name's index is the only one that this statement can violate.
      try writer.write(
        Self.updateName,
        [.id(id), .text(owner.text), .text(deviceName.text), .time(change.time)], read: Device.init(row:),
        uniqueViolation: { _ in .deviceNameTaken }
      ).first
    }
  }

  static let updateName = """
    UPDATE devices SET device_name = ?3, updated_at = ?4
    WHERE id = ?1 AND client_id = ?2 AND NOT revoked
    RETURNING \(columns)
    """

  public func revokeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? {
    try await database.write { (writer) throws(RegistryError) in
      try writer.write(
        """
        UPDATE devices SET revoked = 1, is_active = 0, updated_at = ?3
        WHERE id = ?1 AND client_id = ?2 AND NOT revoked
        RETURNING \(Self.columns)
        """,
        [.id(id), .text(owner.text), .time(change.time)], read: Device.init(row:)
      ).first
    }
  }
}

extension Device {
  /// Columns that `init(row:)` reads.
  static let columnCount: Int32 = 10

  /// Reads `SQLiteStore.columns`. What the database's constraints hold is not tested again.
  init(row: SQLiteRow) {
    self.init(
      id: row.id(0), clientID: ClientID(row.text(1))!, deviceName: DeviceName(stored: row.text(2)),
      isActive: row.bool(3), revoked: row.bool(4), lastPoll: row.optionalTime(5), lastAck: row.optionalTime(6),
      lastSeen: row.optionalTime(7), createdAt: row.time(8), updatedAt: row.time(9))
  }
}
