public import Registry

extension PostgresStore {
  static let deviceStatements = [
    ping.prepared, checkRegistration.prepared, insertDevice.prepared, selectDevice.prepared,
    selectDevices.prepared, updateDevice.prepared, renameDevice.prepared, renameDevices.prepared,
    renameDevicesOfOne.prepared, revokeDevice.prepared,
    revokeDevices.prepared,
  ]

  /// Reading does not validate again what database constraints guarantee.
  static let deviceColumns = PostgresColumns(
    """
    id, client_id, device_name, created_at, updated_at, last_poll, last_ack, last_seen, labels, groups,
    \(stateColumns), \(modeColumns), \(terminalColumns)
    """
  ) {
    Device(
      id: $0.id(), clientID: $0.clientID(), deviceName: DeviceName(stored: $0.text()), createdAt: $0.time(),
      updatedAt: $0.time(), lastPoll: $0.optionalTime(), lastAck: $0.optionalTime(),
      lastSeen: $0.optionalTime(), labels: Labels(stored: $0.jsonb()),
      groups: GroupName.list(stored: $0.text()),
      state: stateColumns.read(&$0), tradingMode: modeColumns.read(&$0),
      terminal: terminalColumns.read(&$0))
  }

  /// `deviceColumns` of devices of the client `$1`, without groups that are being deleted.
  static let shownDeviceColumns = shownColumns(
    deletedGroups:
      "(SELECT string_agg(name, ' ') FROM groups WHERE client_id = $1::text AND deleted_at IS NOT NULL)")

  /// The same of one device. A function: the plan of a query would be prepared at each execution.
  private static let shownColumnsOfOne = shownColumns(
    deletedGroups: "CASE WHEN groups <> '' THEN deleted_groups(client_id) END")

  private static func shownColumns(deletedGroups: String) -> PostgresColumns<Device> {
    PostgresColumns("\(deviceColumns), \(deletedGroups)") { row in
      let device = deviceColumns.read(&row)
      return device.without(row.optionalText().map { GroupName.list(stored: $0) } ?? [])
    }
  }

  /// The values of `deviceColumns`.
  static func values(of device: Device) -> [PostgresValue] {
    [
      .uuid(device.id), .text(device.clientID.text), .text(device.deviceName.text),
      .timestamp(device.createdAt), .timestamp(device.updatedAt), .timestamp(orNull: device.lastPoll),
      .timestamp(orNull: device.lastAck), .timestamp(orNull: device.lastSeen), .jsonb(device.labels.json),
      .text(device.groups.stored),
    ] + values(of: device.state) + values(of: device.tradingMode) + values(of: device.terminal)
  }

  /// What tells whether a device may be used. `is_active` is false for a revoked device, and for one that hand-written
  /// SQL keeps out, which is read as suspended.
  static let stateColumns = PostgresColumns(
    "is_active, revoked, suspended_at, suspended_until, expires_at, status_reason"
  ) {
    DeviceState(
      isActive: $0.bool(), isRevoked: $0.bool(), suspendedAt: $0.optionalTime(),
      suspendedUntil: $0.optionalTime(), expiresAt: $0.optionalTime(), reason: $0.optionalText())
  }

  /// The values of `stateColumns`.
  static func values(of state: DeviceState) -> [PostgresValue] {
    [
      .bool(state.isEnabled), .bool(state.isRevoked), .timestamp(orNull: state.suspension?.since),
      .timestamp(orNull: state.suspension?.until), .timestamp(orNull: state.expiresAt),
      .text(orNull: state.reason),
    ]
  }

  static let modeColumns = PostgresColumns(
    "trading_mode, mode_version, mode_reason, mode_since, confirmed_version, confirmed_at"
  ) {
    TradingMode(
      mode: TradingMode.Mode(rawValue: $0.text())!, version: $0.integer(), reason: $0.optionalText(),
      since: $0.time(), confirmedVersion: $0.optionalInteger(), confirmedAt: $0.optionalTime())
  }

  private static func values(of mode: TradingMode) -> [PostgresValue] {
    [
      .text(mode.mode.rawValue), .int8(mode.version), .text(orNull: mode.reason), .timestamp(mode.since),
      .int8(orNull: mode.confirmedVersion), .timestamp(orNull: mode.confirmedAt),
    ]
  }

  public func ping() async throws(RegistryError) { try await run(Self.ping) }

  static let ping = PostgresStatement(.read, "SELECT 1")

  public func checkRegistration(
    of deviceName: DeviceName, for clientID: ClientID, maxDevices: Int
  ) async throws(RegistryError) {
    let found = try await firstRow(
      of: Self.checkRegistration, .text(clientID.text), .text(deviceName.text), .int8(Int64(maxDevices)))
    guard let found else { throw .clientNotFound }
    if found.count >= found.limit { throw .tooManyDevices(limit: found.limit) }
    if found.isNameTaken { throw .deviceNameTaken }
  }

  static let checkRegistration = PostgresStatement(
    .read,
    """
    SELECT COALESCE(max_devices, $3::int8), device_count::int8,
      EXISTS (SELECT FROM devices WHERE client_id = $1::text AND device_name = $2::text AND NOT revoked)
    FROM clients WHERE id = $1::text AND deleted_at IS NULL
    """
  ) { (limit: Int($0.integer()), count: $0.integer(), isNameTaken: $0.bool()) }

  public func insertDevice(
    _ device: Device, verifier: SecretVerifier, maxDevices: Int, change: Change
  ) async throws(RegistryError) {
    let stored = sealing.seal(verifier, of: device.id)
    let found = try await firstRow(
      of: Self.insertDevice, for: device.clientID,
      [
        .text(device.clientID.text), .int8(Int64(maxDevices)), .text(stored.hmacKeyHash),
        .bytes(stored.storedKey), .bytes(stored.serverKey),
        .array(of: .text, device.groups.map { .text($0.text) }),
        .text(orNull: EventChanges(registering: device).json),
      ] + Self.values(of: change) + Self.values(of: change.idempotencyClaim)
        + Self.values(of: device))
    guard let found, let limit = found.limit else { throw .clientNotFound }
    guard found.hasRoom else { throw .tooManyDevices(limit: Int(limit)) }
    guard found.isCreated else { throw .groupNotFound }
  }

  /// Concurrent registrations of one client wait for its row lock. Each then sees the new count: after waiting
  /// for a lock, PostgreSQL reads the row again (manual, section 13.2.1).
  static let insertDevice = PostgresStatement(
    .lockingWrite,
    """
    WITH owner AS (
      SELECT device_count, COALESCE(max_devices, $2::int8) AS max_devices FROM clients
      WHERE id = $1::text AND deleted_at IS NULL FOR NO KEY UPDATE
    ), joined AS (
      \(lockGroups(of: "$1::text", named: "$6::text[]"))
    ), created AS (
      INSERT INTO devices (hmac_key_hash, stored_key, server_key, \(deviceColumns))
      SELECT $3, $4, $5, \(deviceColumns.parameters(from: 16)) FROM owner
      WHERE device_count < max_devices AND (SELECT count(*) FROM joined) = cardinality($6::text[])
      RETURNING id, client_id
    ), recorded AS (
      \(record(.deviceRegistered, forEachOf: "created", device: "id", by: change(from: 8), changes: "$7::text"))
    ), used AS (
      \(useKey(forEachOf: "created", resource: "id", from: 13, at: "$8::timestamptz"))
    )
    SELECT (SELECT max_devices FROM owner), EXISTS (SELECT FROM owner WHERE device_count < max_devices),
      EXISTS (SELECT FROM created)
    """
  ) { (limit: $0.optionalInteger(), hasRoom: $0.bool(), isCreated: $0.bool()) }

  public func device(_ id: DeviceID) async throws(RegistryError) -> Device? {
    try await firstRow(of: Self.selectDevice, .uuid(id))
  }

  static let selectDevice = PostgresStatement(
    .read, "SELECT \(shownColumnsOfOne) FROM devices WHERE id = $1::uuid", row: shownColumnsOfOne.read)

  public func devices(
    of clientID: ClientID, after cursor: DeviceCursor?, limit: Int
  ) async throws(RegistryError) -> [Device] {
    try await rows(
      of: Self.selectDevices, .text(clientID.text), cursor.map { .timestamp($0.createdAt) } ?? .earliest,
      .uuid(cursor?.id ?? DeviceID(high: 0, low: 0)), .int8(Int64(limit)))
  }

  static let selectDevices = PostgresStatement(
    .read,
    """
    SELECT \(shownDeviceColumns) FROM devices
    WHERE client_id = $1::text AND (created_at, id) > ($2::timestamptz, $3::uuid)
    ORDER BY created_at, id LIMIT $4::int8
    """, row: shownDeviceColumns.read)

  public func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> Device? {
    defer { announcements.announce(owner) }
    return try await renames.make(
      id, of: owner, [.uuid(id), .text(owner.text)] + Self.values(of: change) + [.text(deviceName.text)])
  }

  /// Like all statements that set a name, it sets it under the lock of the client's row: two statements that each wait
  /// for a name that the other one sets would deadlock. It waits for the device before it locks the client.
  static let renameDevice = PostgresStatement(
    .lockingWrite,
    """
    WITH held AS (
      SELECT client_id, device_name FROM devices
      WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked FOR NO KEY UPDATE
    ), owner AS (
      SELECT id FROM clients WHERE id = (SELECT client_id FROM held) AND deleted_at IS NULL FOR NO KEY UPDATE
    ), renamed AS (
      UPDATE devices SET device_name = $8::text,
        updated_at = CASE WHEN device_name = $8::text THEN updated_at ELSE $3::timestamptz END
      FROM owner WHERE devices.id = $1::uuid AND client_id = owner.id AND NOT revoked
      RETURNING devices.\(deviceColumns)
    ), recorded AS (
      \(record(
        .deviceUpdated, forEachOf: "renamed CROSS JOIN held WHERE held.device_name <> renamed.device_name",
        client: "renamed.client_id", device: "renamed.id", by: change(from: 3), changes: nameChange(from: "held.device_name", to: "renamed.device_name")))
    )
    SELECT \(deviceColumns) FROM renamed
    """, row: deviceColumns.read)

  static let renameDevices = PostgresStatement(
    .write, renaming(whereLocked: "SKIP LOCKED"), row: deviceColumns.read)

  /// The same for devices of one client, whose row it waits for.
  static let renameDevicesOfOne = PostgresStatement(
    .lockingWrite, renaming(whereLocked: ""), row: deviceColumns.read)

  private static func renaming(whereLocked: String) -> String {
    """
    \(withFound(given: "$8::text[]", as: "name")), locked AS (
      SELECT found.* FROM found JOIN clients ON clients.id = owner
      WHERE deleted_at IS NULL FOR NO KEY UPDATE OF clients \(whereLocked)
    ), renamed AS (
      UPDATE devices SET device_name = locked.name,
        updated_at = CASE WHEN locked.old_name = locked.name THEN updated_at ELSE locked.moment END
      FROM locked WHERE devices.id = locked.id
      RETURNING devices.\(deviceColumns)
    ), recorded AS (
      \(record(
        .deviceUpdated, forEachOf: "locked JOIN renamed USING (id) WHERE old_name <> name", device: "id",
        by: changeColumns,
        changes: nameChange(from: "locked.old_name", to: "renamed.device_name")))
    )
    SELECT \(deviceColumns) FROM renamed
    """
  }

  private static func nameChange(from old: String, to new: String) -> String {
    "json_build_object('device_name', json_build_array(\(old), \(new)))"
  }

  public func revokeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? {
    defer { announcements.announce(owner) }
    return try await revocations.make(id, of: owner, [.uuid(id), .text(owner.text)] + Self.values(of: change))
  }

  static let revokeDevice = PostgresStatement(
    .urgentWrite,
    """
    WITH held AS (
      SELECT id AS held_id, \(status(at: "$3::timestamptz")) AS old_status FROM devices
      WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked FOR NO KEY UPDATE
    ), revoked AS (
      UPDATE devices SET revoked = true, is_active = false, updated_at = $3::timestamptz, status_reason = $7::text
      FROM held WHERE devices.id = held_id AND client_id = $2::text
      RETURNING \(deviceColumns), old_status
    ), recorded AS (
      \(record(.deviceRevoked, forEachOf: "revoked", device: "id", by: change(from: 3), changes: revocation))
    )
    SELECT \(deviceColumns) FROM revoked
    """, row: deviceColumns.read)

  static let revokeDevices = PostgresStatement(
    .urgentWrite,
    """
    \(withFound()), revoked AS (
      UPDATE devices SET revoked = true, is_active = false, updated_at = found.moment, status_reason = found.reason
      FROM found WHERE devices.id = found.id
      RETURNING devices.\(deviceColumns)
    ), recorded AS (
      \(record(
        .deviceRevoked, forEachOf: "found JOIN revoked USING (id)", device: "id", by: changeColumns,
        changes: revocation))
    )
    SELECT \(deviceColumns) FROM revoked
    """, row: deviceColumns.read)

  private static let revocation = "json_build_object('status', json_build_array(old_status, 'revoked'))"

  /// The columns of `withFound` that have the values of a change, for `record`.
  static let changeColumns = "moment, actor_kind, actor_id, request_id, reason"

  /// Locks the unrevoked devices with these ids ($1) and owners ($2), and joins them with their change ($3 to $7) and what
  /// else is `given`. Skips devices that another transaction has locked.
  private static func withFound(given: String = "", as columns: String = "") -> String {
    """
    WITH found AS (
      SELECT given.*, device_name AS old_name, \(status(at: "given.moment")) AS old_status
      FROM unnest(
        $1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[]\(more(given))
      ) AS given (id, owner, \(changeColumns)\(more(columns)))
        JOIN devices ON devices.id = given.id AND client_id = given.owner
      WHERE NOT revoked FOR NO KEY UPDATE OF devices SKIP LOCKED
    )
    """
  }

  /// The rest of a list.
  private static func more(_ text: String) -> String { text.isEmpty ? "" : ", \(text)" }
}
