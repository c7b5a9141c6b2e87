internal import EventLoop
public import Registry

extension SQLiteStore {
  private static let groupColumns = SQLiteColumns(
    """
    client_id, name, description, created_at, updated_at,
    (SELECT count(*) FROM device_groups WHERE device_groups.client_id = groups.client_id AND group_name = groups.name)
    """
  ) {
    Group(
      clientID: $0.clientID(), name: GroupName(stored: $0.text()), description: $0.optionalText(),
      createdAt: $0.time(), updatedAt: $0.time(), devices: Int($0.integer()))
  }

  public func putGroup(
    _ name: GroupName, of client: ClientID, description: String?, change: Change
  ) async throws(RegistryError) -> PutGroup {
    let key = [SQLiteValue.text(client.text), .text(name.text)]
    return try await write(Turn(of: client.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.rows(of: Self.selectDeletedGroup, key).isEmpty else { return .isBusy }
        let old = try writer.rows(of: Self.selectGroup, key).first
        if let old, old.description == description { return .unchanged(old) }
        if old == nil { try writer.testNewGroup(of: client) }
        try writer.run(
          old == nil ? Self.insertGroup : Self.describeGroup,
          key + [.text(description), .time(change.time)])
        guard let group = try writer.rows(of: Self.selectGroup, key).first else {
          throw .fault(cause: "group \(name): no row")
        }
        var changes: EventChanges = ["name": (.text(orNull: old?.name.text), .text(name.text))]
        if old?.description != description {
          changes.add("description", from: .text(orNull: old?.description), to: .text(orNull: description))
        }
        try writer.record(old == nil ? .groupCreated : .groupUpdated, of: client, by: change, changes: changes)
        return old == nil ? .created(group) : .changed(group)
      }
    }
  }

  private static let insertGroup = SQLiteStatement(
    "INSERT INTO groups (client_id, name, description, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)")

  private static let describeGroup = SQLiteStatement(
    "UPDATE groups SET description = ?3, updated_at = ?4 WHERE client_id = ?1 AND name = ?2")

  fileprivate static let countGroups = SQLiteStatement("SELECT count(*) FROM groups WHERE client_id = ?1") {
    Int($0.integer())
  }

  public func groups(
    of client: ClientID, after cursor: GroupName?, limit: Int, maximumDevices: Int
  ) async throws(RegistryError) -> [Group] {
    try await rows(
      of: Self.selectGroups, .text(client.text), .text(cursor?.text ?? ""), .integer(Int64(limit)),
      .integer(Int64(maximumDevices)))
  }

  /// Reads group after group, until enough are found or enough devices are counted. SQLite evaluates as much of a
  /// recursive query as LIMIT lets through (sqlite.org/lang_with.html).
  static let selectGroups = SQLiteStatement(
    """
    WITH RECURSIVE counted (place, name, devices, before) AS (
      SELECT 0, ?2, 0, 0
      UNION ALL
      SELECT place + 1, groups.name,
        (SELECT count(*) FROM device_groups WHERE client_id = ?1 AND group_name = groups.name), before + devices
      FROM counted CROSS JOIN groups ON client_id = ?1 AND groups.name = (
        SELECT following.name FROM groups AS following
        WHERE following.client_id = ?1 AND following.name > counted.name AND following.deleted_at IS NULL
        ORDER BY following.name LIMIT 1)
      WHERE before + devices < ?4
      LIMIT ?3 + 1
    )
    SELECT client_id, groups.name, description, created_at, updated_at, devices
    FROM counted CROSS JOIN groups ON client_id = ?1 AND groups.name = counted.name WHERE place > 0
    """, row: groupColumns.read)

  public func group(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Group? {
    try await firstRow(of: Self.selectGroup, .text(client.text), .text(name.text))
  }

  static let selectGroup = SQLiteStatement(
    "SELECT \(groupColumns) FROM groups WHERE client_id = ?1 AND name = ?2 AND deleted_at IS NULL",
    row: groupColumns.read)

  private static let selectDeletedGroup = SQLiteStatement(
    "SELECT 1 FROM groups WHERE client_id = ?1 AND name = ?2 AND deleted_at IS NOT NULL")

  public func deleteGroup(
    _ name: GroupName, of client: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: client.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let deleted = try writer.run(
          Self.deleteGroup, .text(client.text), .text(name.text), .time(change.time))
        guard deleted > 0 else { return false }
        try writer.record(
          .groupDeleted, of: client, by: change, changes: ["name": (.text(name.text), .null)])
        return true
      }
    }
  }

  static let deleteGroup = SQLiteStatement(
    "UPDATE groups SET deleted_at = ?3 WHERE client_id = ?1 AND name = ?2 AND deleted_at IS NULL")

  public func clearDeletedGroups(
    of client: ClientID?, maximumRows: Int
  ) async throws(RegistryError) -> (rows: Int, isFound: Bool) {
    let turn = client.map { Turn(of: $0.hashValue) } ?? Turn(of: nil, .background)
    return try await write(turn, client == nil ? .long : .nextStep) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard let key = try writer.firstRow(of: Self.selectGoneGroup, .text(client?.text)) else {
          return (0, false)
        }
        let rows = try writer.run(Self.leaveGroup, key + [.integer(Int64(maximumRows))])
        if rows == 0 { try writer.run(Self.removeGroup, key) }
        return (rows, true)
      }
    }
  }

  static let selectGoneGroup = SQLiteStatement(
    """
    SELECT client_id, name FROM groups INDEXED BY ix_groups_deleted
    WHERE deleted_at IS NOT NULL AND (?1 IS NULL OR client_id = ?1) LIMIT 1
    """
  ) { [SQLiteValue.text($0.text()), .text($0.text())] }

  static let leaveGroup = SQLiteStatement(
    """
    UPDATE devices SET groups = trim(replace(' ' || groups || ' ', ' ' || ?2 || ' ', ' '))
    WHERE id IN (SELECT device_id FROM device_groups WHERE client_id = ?1 AND group_name = ?2 LIMIT ?3)
    """)

  private static let removeGroup = SQLiteStatement("DELETE FROM groups WHERE client_id = ?1 AND name = ?2")

  public func setMembership(
    of id: DeviceID, owner: ClientID, in group: GroupName, isMember: Bool, change: Change
  ) async throws(RegistryError) -> MembershipOutcome {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        try writer.checkGroup(group, of: owner)
        guard let old = try writer.firstRow(of: Self.selectStoredDevice, .id(id)) else {
          throw .deviceNotFound
        }
        guard old.clientID == owner else { throw .notOwner }
        guard old.groups.contains(group) != isMember else { return .unchanged }
        guard !(old.isRevoked && isMember) else { throw .deviceRevoked }
        let groups = old.groups.changed(group, isMember: isMember)
        guard groups.count <= GroupName.maximumPerDevice else {
          throw .tooManyGroupsOfDevice(limit: GroupName.maximumPerDevice)
        }
        try writer.run(
          Self.changeGroups, .id(id), .text(owner.text), .time(change.time), .text(groups.stored))
        try writer.record(
          .deviceUpdated, of: owner, device: id, by: change,
          changes: ["groups": (.groups(old.groups), .groups(groups))])
        return .changed
      }
    }
  }

  static let changeGroups = SQLiteStatement(
    "UPDATE devices SET groups = ?4, updated_at = ?3 WHERE id = ?1 AND client_id = ?2")
}

extension SQLiteConnection {
  /// Throws `clientNotFound`, `tooManyGroups`.
  fileprivate func testNewGroup(of client: ClientID) throws(RegistryError) {
    guard try hasRow(SQLiteStore.hasClient, .text(client.text)) else { throw .clientNotFound }
    guard try firstRow(of: SQLiteStore.countGroups, .text(client.text)) ?? 0 < Group.maximumPerClient else {
      throw .tooManyGroups(limit: Group.maximumPerClient)
    }
  }
}
