public import Registry

extension PostgresStore {
  static let groupStatements = [
    putGroup.prepared, selectGroups.prepared, selectGroup.prepared, deleteGroup.prepared,
    clearDeletedGroups.prepared, setMembership.prepared,
  ]

  private static let groupColumns = PostgresColumns(
    "client_id, name, description, created_at, updated_at, devices"
  ) {
    Group(
      clientID: $0.clientID(), name: GroupName(stored: $0.text()), description: $0.optionalText(),
      createdAt: $0.time(), updatedAt: $0.time(), devices: Int($0.integer()))
  }

  /// The number of devices of a row of `groups`.
  private static let numberOfDevices = """
    (
      SELECT count(*) FROM device_groups
      WHERE device_groups.client_id = groups.client_id AND group_name = groups.name
    )
    """

  /// A SELECT of the client's groups with these names that locks them until the end of the statement that puts devices into
  /// them. A group that is deleted meanwhile is not among them: after waiting for the lock, PostgreSQL reads the row again.
  static func lockGroups(of client: String, named names: String) -> String {
    """
    SELECT name FROM groups WHERE client_id = \(client) AND name = ANY (\(names)) AND deleted_at IS NULL
    ORDER BY name FOR SHARE
    """
  }

  public func putGroup(
    _ name: GroupName, of client: ClientID, description: String?, change: Change
  ) async throws(RegistryError) -> PutGroup {
    let found = try await firstRow(
      of: Self.putGroup, for: client,
      [.text(client.text), .text(name.text), .text(orNull: description)] + Self.values(of: change))
    guard let found else { return .isBusy }
    return switch found.outcome {
    case "created": .created(found.group)
    case "changed": .changed(found.group)
    default: .unchanged(found.group)
    }
  }

  /// Without a row for a group that is being deleted, and for one that another transaction has just created.
  static let putGroup = PostgresStatement(
    .lockingWrite,
    """
    WITH held AS (
      SELECT * FROM groups WHERE client_id = $1::text AND name = $2::text FOR NO KEY UPDATE
    ), created AS (
      INSERT INTO groups (client_id, name, description, created_at, updated_at)
      SELECT $1::text, $2::text, $3::text, $4::timestamptz, $4::timestamptz WHERE NOT EXISTS (SELECT FROM held)
      ON CONFLICT DO NOTHING
      RETURNING *
    ), changed AS (
      UPDATE groups SET description = $3::text, updated_at = $4::timestamptz FROM held
      WHERE groups.client_id = held.client_id AND groups.name = held.name AND held.deleted_at IS NULL
        AND held.description IS DISTINCT FROM $3::text
      RETURNING groups.*
    ), recorded AS (
      \(record(
        .groupCreated, forEachOf: "created", by: change(from: 4),
        changes: "json_strip_nulls(json_build_object('name', json_build_array(NULL, name), 'description', CASE WHEN description IS NOT NULL THEN json_build_array(NULL, description) END))"
      ))
    ), recorded_change AS (
      \(record(
        .groupUpdated, forEachOf: "changed JOIN held USING (client_id, name)", by: change(from: 4),
        changes: "json_build_object('name', json_build_array(name, name), 'description', json_build_array(held.description, changed.description))"
      ))
    )
    SELECT outcome, client_id, name, description, created_at, updated_at, \(numberOfDevices) FROM (
      SELECT 'created' AS outcome, * FROM created
      UNION ALL SELECT 'changed', * FROM changed
      UNION ALL SELECT 'unchanged', * FROM held
        WHERE deleted_at IS NULL AND NOT EXISTS (SELECT FROM changed)
    ) AS groups
    """
  ) { (outcome: $0.text(), group: groupColumns.read(&$0)) }

  public func groups(
    of client: ClientID, after cursor: GroupName?, limit: Int, maximumDevices: Int
  ) async throws(RegistryError) -> [Group] {
    try await rows(
      of: Self.selectGroups, .text(client.text), .text(cursor?.text ?? ""), .int8(Int64(limit)),
      .int8(Int64(maximumDevices)))
  }

  /// Reads group after group, until enough are found or enough devices are counted. PostgreSQL evaluates as much of a
  /// recursive query as its reader fetches (manual, section 7.8.2).
  static let selectGroups = PostgresStatement(
    .read,
    """
    WITH RECURSIVE counted AS (
      SELECT $1::text COLLATE "C" AS client_id, $2::text COLLATE "C" AS name, NULL::text COLLATE "C" AS description,
        NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at, 0::int8 AS devices, 0::int8 AS total
      UNION ALL
      SELECT following.*, total + following.devices FROM counted CROSS JOIN LATERAL (
        SELECT client_id, name, description, created_at, updated_at, \(numberOfDevices) AS devices
        FROM groups
        WHERE groups.client_id = $1::text AND groups.name > counted.name AND deleted_at IS NULL
        ORDER BY groups.name LIMIT 1
      ) AS following WHERE total < $4::int8
    )
    SELECT \(groupColumns) FROM counted OFFSET 1 LIMIT $3::int8
    """, row: groupColumns.read)

  public func group(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Group? {
    try await firstRow(of: Self.selectGroup, .text(client.text), .text(name.text))
  }

  static let selectGroup = PostgresStatement(
    .read,
    """
    SELECT client_id, name, description, created_at, updated_at, \(numberOfDevices) FROM groups
    WHERE client_id = $1::text AND name = $2::text AND deleted_at IS NULL
    """, row: groupColumns.read)

  public func deleteGroup(
    _ name: GroupName, of client: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.deleteGroup, for: client, [.text(client.text), .text(name.text)] + Self.values(of: change)) > 0
  }

  static let deleteGroup = PostgresStatement(
    .waitingWrite,
    """
    WITH deleted AS (
      UPDATE groups SET deleted_at = $3::timestamptz
      WHERE client_id = $1::text AND name = $2::text AND deleted_at IS NULL
      RETURNING client_id, name
    )
    \(record(
      .groupDeleted, forEachOf: "deleted", by: change(from: 3),
      changes: "json_build_object('name', json_build_array(name, NULL))"))
    """)

  public func clearDeletedGroups(
    of client: ClientID?, maximumRows: Int
  ) async throws(RegistryError) -> (rows: Int, isFound: Bool) {
    let found = try await firstRow(
      of: Self.clearDeletedGroups, for: client, [.text(orNull: client?.text), .int8(Int64(maximumRows))])
    return found ?? (0, false)
  }

  /// No device joins a deleted group, so one without devices stays so.
  static let clearDeletedGroups = PostgresStatement(
    .nextStep,
    """
    WITH gone AS (
      SELECT client_id, name FROM groups
      WHERE deleted_at IS NOT NULL AND ($1::text IS NULL OR client_id = $1::text)
      ORDER BY client_id, name LIMIT 1 FOR NO KEY UPDATE
    ), members AS (
      SELECT device_id FROM device_groups
      WHERE client_id = (SELECT client_id FROM gone) AND group_name = (SELECT name FROM gone)
      ORDER BY created_at, device_id LIMIT $2::int8
    ), held AS (
      SELECT id FROM devices WHERE id IN (SELECT device_id FROM members) ORDER BY id FOR NO KEY UPDATE
    ), freed AS (
      UPDATE devices SET groups = array_to_string(array_remove(string_to_array(groups, ' '), gone.name), ' ')
      FROM held CROSS JOIN gone WHERE devices.id = held.id
      RETURNING devices.id
    ), removed AS (
      DELETE FROM groups
      WHERE client_id = (SELECT client_id FROM gone) AND name = (SELECT name FROM gone)
        AND NOT EXISTS (SELECT FROM members)
    )
    SELECT (SELECT count(*) FROM freed), EXISTS (SELECT FROM gone)
    """
  ) { (rows: Int($0.integer()), isFound: $0.bool()) }

  public func setMembership(
    of id: DeviceID, owner: ClientID, in group: GroupName, isMember: Bool, change: Change
  ) async throws(RegistryError) -> MembershipOutcome {
    let found = try await firstRow(
      of: Self.setMembership, for: owner,
      [.uuid(id), .text(owner.text)] + Self.values(of: change) + [.text(group.text), .bool(isMember)])
    guard let found, found.hasGroup else { throw .groupNotFound }
    guard let actual = found.owner else { throw .deviceNotFound }
    guard actual == owner.text else { throw .notOwner }
    guard !found.isRefused else { throw .deviceRevoked }
    return found.isChanged ? .changed : .unchanged
  }

  static let setMembership = PostgresStatement(
    .waitingWrite,
    """
    WITH held AS (
      SELECT id, client_id, revoked, groups, $8::text = ANY (string_to_array(groups, ' ')) AS is_member
      FROM devices WHERE id = $1::uuid AND client_id = $2::text FOR NO KEY UPDATE
    ), joined AS (
      \(lockGroups(of: "$2::text", named: "ARRAY[$8::text]"))
    ), changed AS (
      UPDATE devices SET updated_at = $3::timestamptz, groups = array_to_string(
        CASE WHEN $9::boolean THEN ARRAY(
            SELECT listed.name FROM unnest(string_to_array(held.groups, ' ') || $8::text) AS listed (name)
            ORDER BY listed.name COLLATE "C")
          ELSE array_remove(string_to_array(held.groups, ' '), $8::text) END, ' ')
      FROM held CROSS JOIN joined
      WHERE devices.id = held.id AND is_member <> $9::boolean AND NOT (held.revoked AND $9::boolean)
      RETURNING devices.id, devices.client_id, devices.groups
    ), recorded AS (
      \(record(
        .deviceUpdated, forEachOf: "changed JOIN held USING (id, client_id)", device: "id", by: change(from: 3),
        changes: "json_build_object('groups', json_build_array(to_json(string_to_array(held.groups, ' ')), to_json(string_to_array(changed.groups, ' '))))"
      ))
    )
    SELECT (SELECT client_id FROM devices WHERE id = $1::uuid), EXISTS (SELECT FROM joined),
      EXISTS (SELECT FROM held WHERE revoked AND $9::boolean AND NOT is_member), EXISTS (SELECT FROM changed)
    """
  ) { (owner: $0.optionalText(), hasGroup: $0.bool(), isRefused: $0.bool(), isChanged: $0.bool()) }
}
