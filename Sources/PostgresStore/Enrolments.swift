public import Registry

extension PostgresStore {
  static let enrolmentStatements = [
    insertEnrolments.prepared, selectEnrolment.prepared, selectEnrolmentOfCode.prepared,
    selectEnrolments.prepared, deleteEnrolment.prepared, enrolDevice.prepared, replaceSecret.prepared,
    removeEnrolments.prepared, removeEnrolmentsOfDeletedClients.prepared,
  ]

  private static let enrolmentColumns = PostgresColumns(
    """
    id, client_id, replaces_secret, device_id, device_name, labels, groups, device_expires_at, created_at, expires_at,
    used_at
    """
  ) { row in
    Enrolment(
      id: row.id(), clientID: row.clientID(), replacesSecret: row.bool(), deviceID: row.optionalID(),
      deviceName: row.optionalText().map { DeviceName(stored: $0) }, labels: Labels(stored: row.jsonb()),
      groups: GroupName.list(stored: row.text()), deviceExpiresAt: row.optionalTime(), createdAt: row.time(),
      expiresAt: row.time(),
      usedAt: row.optionalTime())
  }

  // MARK: The owner's operations

  public func insertEnrolments(
    _ enrolments: [NewEnrolment], change: Change
  ) async throws(RegistryError) -> Bool {
    guard let first = enrolments.first?.enrolment else { return true }
    let found = try await firstRow(
      of: Self.insertEnrolments, for: first.clientID,
      [.text(first.clientID.text)] + Self.values(of: change) + Self.values(of: change.idempotencyClaim) + [
        .uuids(enrolments.map(\.enrolment.id)),
        .array(of: .bytes, enrolments.map { .bytes($0.codeHash.bytes) }),
        .array(of: .text, enrolments.map { .text(orNull: $0.enrolment.deviceName?.text) }),
        first.deviceID.map { .uuid($0) } ?? .null, .timestamp(first.expiresAt), .jsonb(first.labels.json),
        .text(first.groups.stored), .timestamp(orNull: first.deviceExpiresAt),
      ])
    guard let found, found.hasOwner else { throw .clientNotFound }
    guard found.hasGroups else { throw .groupNotFound }
    return found.isCreated
  }

  /// It locks the client's row, so that a trigger counts the client's enrolments rightly.
  static let insertEnrolments = PostgresStatement(
    .lockingWrite,
    """
    WITH owner AS (
      SELECT id FROM clients WHERE id = $1::text AND deleted_at IS NULL FOR NO KEY UPDATE
    ), wanted AS (
      SELECT string_to_array($16::text, ' ') AS groups
    ), joined AS (
      \(lockGroups(of: "$1::text", named: "string_to_array($16::text, ' ')"))
    ), created AS (
      INSERT INTO enrolments (
        id, client_id, code_hash, replaces_secret, device_id, device_name, labels, groups, device_expires_at, created_at,
        expires_at)
      SELECT given.id, owner.id, given.code_hash, $13::uuid IS NOT NULL, $13::uuid, given.device_name, $15::jsonb,
        $16::text, $17::timestamptz, $2::timestamptz, $14::timestamptz
      FROM owner CROSS JOIN unnest($10::uuid[], $11::bytea[], $12::text[]) AS given (id, code_hash, device_name)
      WHERE (SELECT count(*) FROM joined) = (SELECT cardinality(groups) FROM wanted) AND (
        $13::uuid IS NULL
        OR EXISTS (SELECT FROM devices WHERE id = $13::uuid AND client_id = $1::text AND NOT revoked)
      )
      RETURNING id, client_id, device_id, expires_at
    ), recorded AS (
      \(record(
        .enrolmentCreated, forEachOf: "created", device: "device_id", by: change(from: 2),
        changes: """
          json_build_object(
            'enrolment_id', json_build_array(NULL, id),
            'expires_at', json_build_array(NULL, \(text(ofTime: "expires_at"))))
          """))
    ), used AS (
      \(useKey(
        forEachOf: "(SELECT id FROM created ORDER BY id LIMIT 1) AS first", resource: "id", from: 7,
        at: "$2::timestamptz"))
    )
    SELECT EXISTS (SELECT FROM owner), (SELECT count(*) FROM joined) = (SELECT cardinality(groups) FROM wanted),
      EXISTS (SELECT FROM created)
    """
  ) { (hasOwner: $0.bool(), hasGroups: $0.bool(), isCreated: $0.bool()) }

  public func enrolment(_ id: EnrolmentID) async throws(RegistryError) -> Enrolment? {
    try await firstRow(of: Self.selectEnrolment, .uuid(id))
  }

  static let selectEnrolment = PostgresStatement(
    .read, "SELECT \(enrolmentColumns) FROM enrolments WHERE id = $1::uuid", row: enrolmentColumns.read)

  public func enrolment(withCode hash: TokenHash) async throws(RegistryError) -> Enrolment? {
    try await firstRow(of: Self.selectEnrolmentOfCode, .bytes(hash.bytes))
  }

  static let selectEnrolmentOfCode = PostgresStatement(
    .read, "SELECT \(enrolmentColumns) FROM enrolments WHERE code_hash = $1::bytea", row: enrolmentColumns.read)

  public func enrolments(
    of client: ClientID, after id: EnrolmentID?, limit: Int
  ) async throws(RegistryError) -> [Enrolment] {
    try await rows(
      of: Self.selectEnrolments, .text(client.text), .uuid(id ?? EnrolmentID(high: 0, low: 0)),
      .int8(Int64(limit)))
  }

  static let selectEnrolments = PostgresStatement(
    .read,
    """
    SELECT \(enrolmentColumns) FROM enrolments
    WHERE client_id = $1::text AND id > $2::uuid ORDER BY id LIMIT $3::int8
    """, row: enrolmentColumns.read)

  public func deleteEnrolment(
    _ id: EnrolmentID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.deleteEnrolment, for: owner, [.uuid(id), .text(owner.text)] + Self.values(of: change)) > 0
  }

  static let deleteEnrolment = PostgresStatement(
    .waitingWrite,
    """
    WITH gone AS (
      DELETE FROM enrolments WHERE id = $1::uuid AND client_id = $2::text RETURNING id, client_id, device_id
    )
    \(recordDeletion(forEachOf: "gone", by: change(from: 3)))
    """)

  private static func recordDeletion(forEachOf rows: String, by change: String) -> String {
    record(
      .enrolmentDeleted, forEachOf: rows, device: "device_id", by: change,
      changes: "json_build_object('enrolment_id', json_build_array(id, NULL))")
  }

  // MARK: Using a code

  public func enrol(
    _ device: Device, verifier: SecretVerifier, with id: EnrolmentID, maxDevices: Int, change: Change
  ) async throws(RegistryError) -> Bool {
    let stored = sealing.seal(verifier, of: device.id)
    let found = try await firstRow(
      of: Self.enrolDevice, for: device.clientID,
      [
        .text(device.clientID.text), .int8(Int64(maxDevices)), .text(stored.hmacKeyHash),
        .bytes(stored.storedKey), .bytes(stored.serverKey),
      ] + Self.values(of: change) + Self.values(of: change.idempotencyClaim) + [
        .uuid(id), .uuid(device.id), .array(of: .text, device.groups.map { .text($0.text) }),
      ] + Self.values(of: device))
    guard let found, let limit = found.limit else { throw .clientNotFound }
    if found.isFull { throw .tooManyDevices(limit: Int(limit)) }
    guard found.hasGroups else { throw .groupNotFound }
    return found.isCreated
  }

  /// Like a registration, it waits for the lock of the client's row. Of several with one code, the first uses it.
  static let enrolDevice = PostgresStatement(
    .lockingWrite,
    """
    WITH owner AS (
      SELECT id, device_count, COALESCE(max_devices, $2::int8) AS max_devices FROM clients
      WHERE id = $1::text AND deleted_at IS NULL FOR NO KEY UPDATE
    ), joined AS (
      \(lockGroups(of: "$1::text", named: "$16::text[]"))
    ), spent AS (
      UPDATE enrolments SET used_at = $6::timestamptz, device_id = $15::uuid
      FROM owner
      WHERE enrolments.id = $14::uuid AND client_id = owner.id AND device_count < max_devices
        AND used_at IS NULL AND expires_at > $6::timestamptz AND NOT replaces_secret
        AND (SELECT count(*) FROM joined) = cardinality($16::text[])
      RETURNING enrolments.id
    ), created AS (
      INSERT INTO devices (hmac_key_hash, stored_key, server_key, \(deviceColumns))
      SELECT $3, $4, $5, \(deviceColumns.parameters(from: 17)) FROM spent
      RETURNING id, client_id, device_name
    ), recorded AS (
      \(record(
        .deviceEnrolled, forEachOf: "created", device: "id", by: change(from: 6),
        changes: """
          json_build_object(
            'device_name', json_build_array(NULL, device_name), 'enrolment_id', json_build_array(NULL, $14::uuid))
          """))
    ), used AS (
      \(useKey(forEachOf: "created", resource: "id", from: 11, at: "$6::timestamptz"))
    )
    SELECT (SELECT max_devices FROM owner), EXISTS (SELECT FROM owner WHERE device_count >= max_devices),
      (SELECT count(*) FROM joined) = cardinality($16::text[]), EXISTS (SELECT FROM created)
    """
  ) { (limit: $0.optionalInteger(), isFull: $0.bool(), hasGroups: $0.bool(), isCreated: $0.bool()) }

  public func replaceSecret(
    of device: DeviceID, of owner: ClientID, by verifier: SecretVerifier, with id: EnrolmentID, change: Change
  ) async throws(RegistryError) -> Device? {
    let stored = sealing.seal(verifier, of: device)
    return try await firstRow(
      of: Self.replaceSecret, for: owner,
      [
        .uuid(device), .text(owner.text), .text(stored.hmacKeyHash), .bytes(stored.storedKey),
        .bytes(stored.serverKey),
      ] + Self.values(of: change) + Self.values(of: change.idempotencyClaim) + [.uuid(id)])
  }

  /// It holds the device's row before it uses the code, so that the code of a revoked device stays unused.
  static let replaceSecret = PostgresStatement(
    .urgentWrite,
    """
    WITH held AS (
      SELECT id FROM devices
      WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked AND \(isKept(client: "$2::text")) FOR NO KEY UPDATE
    ), spent AS (
      UPDATE enrolments SET used_at = $6::timestamptz
      FROM held
      WHERE enrolments.id = $14::uuid AND client_id = $2::text AND device_id = held.id
        AND used_at IS NULL AND expires_at > $6::timestamptz AND replaces_secret
      RETURNING device_id
    ), replaced AS (
      UPDATE devices SET hmac_key_hash = $3::text, stored_key = $4::bytea, server_key = $5::bytea,
        next_hmac_key_hash = NULL, next_stored_key = NULL, next_server_key = NULL, grace_expires_at = NULL,
        updated_at = $6::timestamptz
      FROM spent WHERE devices.id = spent.device_id
      RETURNING devices.\(deviceColumns)
    ), recorded AS (
      \(record(
        .deviceEnrolled, forEachOf: "replaced", device: "id", by: change(from: 6),
        changes: "json_build_object('enrolment_id', json_build_array(NULL, $14::uuid))"))
    ), used AS (
      \(useKey(forEachOf: "replaced", resource: "id", from: 11, at: "$6::timestamptz"))
    )
    SELECT \(deviceColumns) FROM replaced
    """, row: deviceColumns.read)

  // MARK: Retention

  public func removeEnrolments(
    endedBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await run(Self.removeEnrolments, .timestamp(time), .int8(Int64(maximumRows)))
  }

  static let removeEnrolments = PostgresStatement(
    .backgroundWrite,
    """
    DELETE FROM enrolments WHERE id = ANY (ARRAY(
      SELECT id FROM enrolments WHERE COALESCE(used_at, expires_at) < $1::timestamptz
      ORDER BY COALESCE(used_at, expires_at) LIMIT $2::int8 FOR UPDATE SKIP LOCKED))
    """)

  /// Deletes enrolments of a deleted client ($1), or of all, at most $2.
  static let removeEnrolmentsOfDeletedClients = PostgresStatement(
    .backgroundWrite,
    """
    WITH gone AS (
      DELETE FROM enrolments WHERE id = ANY (ARRAY(
        SELECT enrolments.id FROM clients JOIN enrolments ON client_id = clients.id
        WHERE deleted_at IS NOT NULL AND clients.id = COALESCE($1::text, clients.id)
        LIMIT $2::int8 FOR UPDATE OF enrolments SKIP LOCKED))
      RETURNING id, client_id, device_id
    )
    \(recordDeletion(forEachOf: "gone", by: change(from: 3)))
    """)
}
