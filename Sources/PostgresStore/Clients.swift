public import Registry

extension PostgresStore {
  static let clientStatements = [
    insertClient.prepared, selectClient.prepared, selectClients.prepared, updateClient.prepared,
    suspendClient.prepared, resumeClient.prepared, deleteClient.prepared,
    clearDeletedClients.prepared,
  ]

  /// An email address that hand-written SQL made invalid is read as nil.
  private static let clientColumns = PostgresColumns(
    "id, email, telegram_id, created_at, suspended_at, status_reason, max_devices::int8, device_count::int8"
  ) {
    Client(
      id: $0.clientID(), email: $0.optionalText().flatMap { Email($0) }, telegramID: $0.optionalInteger(),
      createdAt: $0.time(), suspendedAt: $0.optionalTime(), reason: $0.optionalText(),
      maxDevices: $0.optionalInteger(), deviceCount: $0.integer())
  }

  public func insertClient(_ client: Client, change: Change) async throws(RegistryError) {
    try await run(
      Self.insertClient, for: client.id,
      [
        .text(client.id.text), .text(orNull: client.email?.text),
        .int8(orNull: client.telegramID), .timestamp(client.createdAt),
        .int8(orNull: client.maxDevices.map(Int64.init)),
      ] + Self.values(of: change) + Self.values(of: change.idempotencyClaim))
  }

  static let insertClient = PostgresStatement(
    .write,
    """
    WITH created AS (
      INSERT INTO clients (id, email, telegram_id, created_at, max_devices) VALUES ($1, $2, $3, $4, $5::int8)
      RETURNING id, max_devices
    ), used AS (
      \(useKey(forEachOf: "created", resource: "id", from: 11, at: "$6::timestamptz"))
    )
    \(record(
      .clientCreated, forEachOf: "created", client: "id", by: change(from: 6),
      changes: """
        CASE WHEN max_devices IS NOT NULL
          THEN json_build_object('max_devices', json_build_array(NULL, max_devices))::text END
        """))
    """)

  public func client(_ id: ClientID) async throws(RegistryError) -> Client? {
    try await firstRow(of: Self.selectClient, .text(id.text))
  }

  static let selectClient = PostgresStatement(
    .read, "SELECT \(clientColumns) FROM clients WHERE id = $1::text AND deleted_at IS NULL",
    row: clientColumns.read)

  public func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client] {
    try await rows(
      of: Self.selectClients, cursor.map { .timestamp($0.createdAt) } ?? .earliest,
      .text(cursor?.id.text ?? ""), .int8(Int64(limit)))
  }

  static let selectClients = PostgresStatement(
    .read,
    """
    SELECT \(clientColumns) FROM clients
    WHERE (created_at, id) > ($1::timestamptz, $2::text COLLATE "C") AND deleted_at IS NULL
    ORDER BY created_at, id LIMIT $3::int8
    """, row: clientColumns.read)

  public func updateClient(
    _ id: ClientID, _ update: ClientUpdate, change: Change
  ) async throws(RegistryError) -> Client? {
    try await firstRow(
      of: Self.updateClient, for: id,
      [.text(id.text)] + Self.values(of: change) + [
        .bool(update.email != nil), .text(orNull: (update.email ?? nil)?.text),
        .bool(update.telegramID != nil), .int8(orNull: update.telegramID ?? nil),
        .bool(update.maxDevices != nil), .int8(orNull: (update.maxDevices ?? nil).map(Int64.init)),
      ])
  }

  /// The event has no personal data: of the address and the user id it shows whether there is one.
  static let updateClient = PostgresStatement(
    .waitingWrite,
    """
    WITH held AS (
      SELECT id AS held_id, email AS old_email, telegram_id AS old_telegram_id, max_devices AS old_max_devices,
        CASE WHEN $7::bool THEN $8::text ELSE email END AS new_email,
        CASE WHEN $9::bool THEN $10::int8 ELSE telegram_id END AS new_telegram_id,
        CASE WHEN $11::bool THEN $12::int8 ELSE max_devices END AS new_max_devices
      FROM clients WHERE id = $1::text AND deleted_at IS NULL FOR NO KEY UPDATE
    ), updated AS (
      UPDATE clients SET email = new_email, telegram_id = new_telegram_id, max_devices = new_max_devices
      FROM held WHERE id = held_id
        AND (new_email, new_telegram_id, new_max_devices) IS DISTINCT FROM (old_email, old_telegram_id, old_max_devices)
      RETURNING \(clientColumns)
    ), recorded AS (
      \(record(
        .clientUpdated, forEachOf: "updated CROSS JOIN held", client: "id", by: change(from: 2),
        changes: """
          json_strip_nulls(json_build_object(
            'email', CASE WHEN old_email IS DISTINCT FROM new_email
              THEN json_build_array(old_email IS NOT NULL, new_email IS NOT NULL) END,
            'telegram_id', CASE WHEN old_telegram_id IS DISTINCT FROM new_telegram_id
              THEN json_build_array(old_telegram_id IS NOT NULL, new_telegram_id IS NOT NULL) END,
            'max_devices', CASE WHEN old_max_devices IS DISTINCT FROM new_max_devices
              THEN json_build_array(old_max_devices, new_max_devices) END))
          """))
    )
    SELECT * FROM updated
    """, row: clientColumns.read)

  public func suspendClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client? {
    try await firstRow(of: Self.suspendClient, for: id, [.text(id.text)] + Self.values(of: change))
  }

  static let suspendClient = PostgresStatement(
    .urgentWrite,
    """
    WITH held AS (
      SELECT id AS held_id, CASE WHEN suspended_at IS NULL THEN 'active' ELSE 'suspended' END AS old_status FROM clients
      WHERE id = $1::text AND deleted_at IS NULL AND (
        suspended_at IS NULL OR $6::text IS NOT NULL AND $6::text IS DISTINCT FROM status_reason)
      FOR NO KEY UPDATE
    ), suspended AS (
      UPDATE clients SET suspended_at = COALESCE(suspended_at, $2::timestamptz), status_reason = $6::text
      FROM held WHERE id = held_id
      RETURNING \(clientColumns)
    ), recorded AS (
      \(record(
        .clientSuspended, forEachOf: "suspended CROSS JOIN held", client: "id", by: change(from: 2),
        changes: #"CASE WHEN old_status = 'active' THEN '{"status":["active","suspended"]}' END"#))
    )
    SELECT * FROM suspended
    """, row: clientColumns.read)

  public func resumeClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client? {
    try await firstRow(of: Self.resumeClient, for: id, [.text(id.text)] + Self.values(of: change))
  }

  static let resumeClient = PostgresStatement(
    .waitingWrite,
    """
    WITH resumed AS (
      UPDATE clients SET suspended_at = NULL, status_reason = NULL
      WHERE id = $1::text AND deleted_at IS NULL AND suspended_at IS NOT NULL
      RETURNING \(clientColumns)
    ), recorded AS (
      \(record(
        .clientResumed, forEachOf: "resumed", client: "id", by: change(from: 2),
        changes: #"'{"status":["suspended","active"]}'"#))
    )
    SELECT * FROM resumed
    """, row: clientColumns.read)

  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool {
    try await run(Self.deleteClient, for: id, [.text(id.text)] + Self.values(of: change)) > 0
  }

  static let deleteClient = PostgresStatement(
    .urgentWrite,
    """
    WITH deleted AS (
      UPDATE clients SET deleted_at = $2::timestamptz, email = NULL, telegram_id = NULL
      WHERE id = $1::text AND deleted_at IS NULL RETURNING id
    )
    \(record(.clientDeleted, forEachOf: "deleted", client: "id", by: change(from: 2)))
    """)

  public func clearDeletedClients(
    _ id: ClientID?, maximumRows: Int, change: Change
  ) async throws(RegistryError) -> Int {
    let who = PostgresValue.text(orNull: id?.text)
    let enrolments = try await run(
      Self.removeEnrolmentsOfDeletedClients, [who, .int8(Int64(maximumRows))] + Self.values(of: change))
    let links = try await run(
      Self.removeTelegramLinksOfDeletedClients,
      [who, .int8(Int64(maximumRows - enrolments))] + Self.values(of: change))
    let others = try await firstRow(
      of: Self.clearDeletedClients,
      [who, .int8(Int64(maximumRows - enrolments - links))] + Self.values(of: change))
    return enrolments + links + Int(others ?? 0)
  }

  static let clearDeletedClients = PostgresStatement(
    .backgroundWrite, "SELECT clear_deleted_clients($1::text, $2::int8, \(change(from: 3)))"
  ) { $0.integer() }

  /// The condition that the client of a row is not deleted.
  static func isKept(client column: String) -> String {
    "NOT EXISTS (SELECT FROM clients AS gone WHERE gone.id = \(column) AND gone.deleted_at IS NOT NULL)"
  }
}
