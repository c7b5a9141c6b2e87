public import Registry

extension PostgresStore {
  static let deviceStateStatements = [
    suspendDevice.prepared, resumeDevice.prepared, deleteDevice.prepared, recordExpiries.prepared,
    recordResumptions.prepared,
  ]

  /// An expression of a device's status, as `DeviceState.status` has it.
  static func status(at time: String) -> String {
    """
    CASE WHEN revoked THEN 'revoked' WHEN \(isSuspended(at: time)) THEN 'suspended'
      WHEN expires_at <= \(time) THEN 'expired' ELSE 'active' END
    """
  }

  /// The condition that a device, which is not revoked, is suspended.
  private static func isSuspended(at time: String) -> String {
    "(NOT is_active OR suspended_at IS NOT NULL AND (suspended_until IS NULL OR suspended_until > \(time)))"
  }

  /// What an event shows of a changed status, as `EventChanges` has it.
  private static func changes(
    ofStatus old: String, to new: String, until oldEnd: String, to newEnd: String
  ) -> String {
    """
    NULLIF(json_strip_nulls(json_build_object(
      'status', CASE WHEN \(old) <> \(new) THEN json_build_array(\(old), \(new)) END,
      'suspended_until', CASE WHEN \(oldEnd) IS DISTINCT FROM \(newEnd)
        THEN json_build_array(\(text(ofTime: oldEnd)), \(text(ofTime: newEnd))) END))::text, '{}')
    """
  }

  public func suspendDevice(
    _ id: DeviceID, of owner: ClientID, until: Timestamp?, change: Change
  ) async throws(RegistryError) -> Device? {
    try await firstRow(
      of: Self.suspendDevice, for: owner,
      [.uuid(id), .text(owner.text)] + Self.values(of: change) + [.timestamp(orNull: until)])
  }

  static let suspendDevice = PostgresStatement(
    .urgentWrite,
    """
    WITH held AS (
      SELECT id AS held_id, \(status(at: "$3::timestamptz")) AS old_status, suspended_until AS old_end FROM devices
      WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked
        AND (suspended_until IS NULL OR suspended_until > $3::timestamptz)
        AND NOT (\(isSuspended(at: "$3::timestamptz")) AND suspended_until IS NOT DISTINCT FROM $8::timestamptz
          AND ($7::text IS NULL OR $7::text IS NOT DISTINCT FROM status_reason))
      FOR NO KEY UPDATE
    ), suspended AS (
      UPDATE devices SET is_active = true, suspended_at = $3::timestamptz, suspended_until = $8::timestamptz,
        status_reason = $7::text, updated_at = $3::timestamptz
      FROM held WHERE devices.id = held_id AND client_id = $2::text
      RETURNING \(deviceColumns)
    ), recorded AS (
      \(record(
        .deviceSuspended, forEachOf: "suspended CROSS JOIN held", device: "id", by: change(from: 3),
        changes: changes(ofStatus: "old_status", to: "'suspended'", until: "old_end", to: "suspended_until")))
    )
    SELECT \(deviceColumns) FROM suspended
    """, row: deviceColumns.read)

  public func resumeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? {
    try await firstRow(
      of: Self.resumeDevice, for: owner, [.uuid(id), .text(owner.text)] + Self.values(of: change))
  }

  static let resumeDevice = PostgresStatement(
    .waitingWrite,
    """
    WITH held AS (
      SELECT id AS held_id, suspended_until AS old_end FROM devices
      WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked AND \(isSuspended(at: "$3::timestamptz"))
      FOR NO KEY UPDATE
    ), resumed AS (
      UPDATE devices SET is_active = true, suspended_at = NULL, suspended_until = NULL, status_reason = NULL,
        updated_at = $3::timestamptz
      FROM held WHERE devices.id = held_id AND client_id = $2::text
      RETURNING \(deviceColumns)
    ), recorded AS (
      \(record(
        .deviceResumed, forEachOf: "resumed CROSS JOIN held", device: "id", by: change(from: 3),
        changes: changes(
          ofStatus: "'suspended'", to: status(at: "$3::timestamptz"), until: "old_end", to: "suspended_until")))
    )
    SELECT \(deviceColumns) FROM resumed
    """, row: deviceColumns.read)

  public func deleteDevice(
    _ id: DeviceID, of owner: ClientID, maximumRows: Int, change: Change
  ) async throws(RegistryError) -> DeviceDeletion {
    let found = try await firstRow(
      of: Self.deleteDevice, for: owner,
      [.uuid(id), .text(owner.text)] + Self.values(of: change) + [.int8(Int64(maximumRows))])
    guard let found, found.isFound else { return .notFound }
    return found.isDeleted ? .deleted : .begun
  }

  /// A trigger that counts devices locks the client after its device, as a rename does.
  static let deleteDevice = PostgresStatement(
    .lockingWrite,
    """
    WITH doomed AS (
      SELECT id AS doomed_id FROM devices WHERE id = $1::uuid AND client_id = $2::text AND revoked FOR UPDATE
    ), emptied AS (
      DELETE FROM deliveries WHERE ctid = ANY (ARRAY(
        SELECT deliveries.ctid FROM doomed JOIN deliveries ON device_id = doomed_id LIMIT $8::int8))
      RETURNING device_id
    ), gone AS (
      DELETE FROM devices USING doomed
      WHERE devices.id = doomed_id AND client_id = $2::text AND (SELECT count(*) FROM emptied) < $8::int8
      RETURNING devices.id, client_id, device_name
    ), recorded AS (
      \(record(
        .deviceDeleted, forEachOf: "gone", device: "id", by: change(from: 3),
        changes: "json_build_object('device_name', json_build_array(device_name, NULL))"))
    )
    SELECT EXISTS (SELECT FROM doomed), EXISTS (SELECT FROM gone)
    """
  ) { (isFound: $0.bool(), isDeleted: $0.bool()) }

  // MARK: What ends by time

  public func recordExpiries(
    maximumRows: Int, change: Change
  ) async throws(RegistryError) -> [EndedDevice] {
    try await recordEnds(Self.recordExpiries, maximumRows, change)
  }

  public func recordResumptions(
    maximumRows: Int, change: Change
  ) async throws(RegistryError) -> [EndedDevice] {
    try await recordEnds(Self.recordResumptions, maximumRows, change)
  }

  private func recordEnds(
    _ statement: PostgresStatement<EndedDevice>, _ maximumRows: Int, _ change: Change
  ) async throws(RegistryError) -> [EndedDevice] {
    let ended = try await rows(of: statement, Self.values(of: change) + [.int8(Int64(maximumRows))])
    for client in Set(ended.map(\.clientID)) { announcements.announce(client) }
    return ended
  }

  /// A subquery, so that the plan begins with the devices whose time has come, which are few.
  private static let isOfKeptClient = "(SELECT deleted_at IS NULL FROM clients WHERE clients.id = client_id)"

  /// Skips devices that another process records, as the statement below does.
  static let recordExpiries = PostgresStatement(
    .backgroundWrite,
    """
    WITH due AS (
      SELECT id AS due_id, \(isSuspended(at: "expires_at")) AS was_suspended FROM devices
      WHERE expires_at <= $1::timestamptz AND NOT expiry_recorded AND NOT revoked
        AND (suspended_until IS NULL OR suspended_until > expires_at) AND \(isOfKeptClient)
      ORDER BY expires_at LIMIT $6::int8 FOR NO KEY UPDATE SKIP LOCKED
    ), expired AS (
      UPDATE devices SET expiry_recorded = true WHERE id = ANY (ARRAY(SELECT due_id FROM due)) RETURNING id, client_id
    ), recorded AS (
      \(record(
        .deviceExpired, forEachOf: "expired JOIN due ON id = due_id", device: "id", by: change(from: 1),
        changes: #"CASE WHEN NOT was_suspended THEN '{"status":["active","expired"]}' END"#))
    )
    SELECT id, client_id FROM expired
    """
  ) { EndedDevice(id: $0.id(), clientID: $0.clientID()) }

  static let recordResumptions = PostgresStatement(
    .backgroundWrite,
    """
    WITH due AS (
      SELECT id AS due_id, suspended_until AS ended_at FROM devices
      WHERE suspended_until <= $1::timestamptz AND NOT revoked AND is_active
        AND (expires_at IS NULL OR expiry_recorded OR expires_at >= suspended_until)
        AND \(isOfKeptClient)
      ORDER BY suspended_until LIMIT $6::int8 FOR NO KEY UPDATE SKIP LOCKED
    ), resumed AS (
      UPDATE devices SET suspended_at = NULL, suspended_until = NULL, status_reason = NULL
      WHERE id = ANY (ARRAY(SELECT due_id FROM due)) RETURNING id, client_id, expires_at
    ), recorded AS (
      \(record(
        .deviceResumed, forEachOf: "resumed JOIN due ON id = due_id", device: "id", by: change(from: 1),
        changes: changes(
          ofStatus: "'suspended'", to: "CASE WHEN expires_at < ended_at THEN 'expired' ELSE 'active' END",
          until: "ended_at", to: "NULL::timestamptz")))
    )
    SELECT id, client_id FROM resumed
    """
  ) { EndedDevice(id: $0.id(), clientID: $0.clientID()) }
}
