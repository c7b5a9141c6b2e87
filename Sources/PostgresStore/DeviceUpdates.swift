public import Registry

extension PostgresStore {
  public func updateDevice(
    _ id: DeviceID, of owner: ClientID, _ update: DeviceUpdate, change: Change
  ) async throws(RegistryError) -> Device? {
    try await firstRow(
      of: Self.updateDevice, for: owner,
      [.uuid(id), .text(owner.text)] + Self.values(of: change) + [
        .text(orNull: update.deviceName?.text), update.labels.map { .jsonb($0.json) } ?? .null,
        .bool(update.labels?.removesOthers ?? false), .bool(update.expiresAt != nil),
        .timestamp(orNull: update.expiresAt ?? nil), .bool(update.boundAccount != nil),
        .text(orNull: update.boundAccount??.login), .text(orNull: update.boundAccount??.server),
      ])
  }

  /// It takes the locks of `renameDevice`, for the same reason.
  static let updateDevice = PostgresStatement(
    .lockingWrite,
    """
    WITH held AS (
      SELECT id, client_id, device_name, labels, expires_at, bound_login, bound_server FROM devices
      WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked FOR NO KEY UPDATE
    ), owner AS (
      SELECT id FROM clients WHERE id = (SELECT client_id FROM held) AND deleted_at IS NULL FOR NO KEY UPDATE
    ), wanted AS (
      SELECT held.id AS held_id, coalesce($8::text, device_name) AS new_name,
        jsonb_strip_nulls(
          CASE WHEN $10::boolean THEN '{}' ELSE labels END || coalesce($9::jsonb, '{}')
        ) AS new_labels,
        CASE WHEN $11::boolean THEN $12::timestamptz ELSE expires_at END AS new_expiry,
        CASE WHEN $13::boolean THEN $14::text ELSE bound_login END AS new_login,
        CASE WHEN $13::boolean THEN $15::text ELSE bound_server END AS new_server
      FROM held CROSS JOIN owner
    ), changed AS (
      UPDATE devices SET device_name = new_name, labels = new_labels, expires_at = new_expiry,
        bound_login = new_login, bound_server = new_server,
        expiry_recorded = expiry_recorded AND expires_at IS NOT DISTINCT FROM new_expiry,
        updated_at = CASE
          WHEN (device_name, labels, expires_at, bound_login, bound_server)
            IS NOT DISTINCT FROM (new_name, new_labels, new_expiry, new_login, new_server) THEN updated_at
          ELSE $3::timestamptz END
      FROM wanted WHERE id = held_id AND NOT revoked
      RETURNING \(deviceColumns)
    ), recorded AS (
      \(record(
        .deviceUpdated, forEachOf: "changed CROSS JOIN held WHERE \(differences) IS NOT NULL",
        client: "held.client_id", device: "held.id", by: change(from: 3), changes: differences))
    )
    SELECT \(deviceColumns) FROM changed
    """, row: deviceColumns.read)

  /// The old and new values that differ.
  private static let differences = """
    (
      SELECT json_object_agg(name, json_build_array(old, new)) FROM (
        VALUES ('device_name', to_json(held.device_name), to_json(changed.device_name)),
          ('labels', held.labels::json, changed.labels::json),
          (
            'expires_at', to_json(\(text(ofTime: "held.expires_at"))),
            to_json(\(text(ofTime: "changed.expires_at")))
          ),
          ('bound_account', \(account(of: "held")), \(account(of: "changed")))
      ) AS value (name, old, new) WHERE old::text IS DISTINCT FROM new::text
    )
    """

  /// The account to which a row binds its device.
  private static func account(of row: String) -> String {
    """
    CASE WHEN \(row).bound_login IS NOT NULL
      THEN json_build_object('login', \(row).bound_login, 'server', \(row).bound_server) END
    """
  }
}
