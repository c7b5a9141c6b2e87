public import Registry

// Changes of many devices: one transaction, in steps.

extension PostgresStore {
  static let bulkStatements = [
    selectDevicesByID.prepared, selectHolders.prepared, testGroup.prepared, beginBulk.prepared,
    lockGroup.prepared, lockDevices.prepared, selectForeign.prepared, lockClient.prepared,
    selectHoldersLocked.prepared, changeStates.prepared, changeModes.prepared, changeLabels.prepared,
    changeGroups.prepared, freeNames.prepared, changeNames.prepared, notifyOfDevices.prepared,
    notifyOfClient.prepared, cancelDeliveries.prepared, recordCancellations.prepared,
  ]

  // MARK: Previews

  public func devices(_ ids: [DeviceID]) async throws(RegistryError) -> [Device] {
    try await rows(of: Self.selectDevicesByID, .uuids(ids))
  }

  private static let devicesByID = "SELECT \(deviceColumns) FROM devices WHERE id = ANY ($1::uuid[])"

  static let selectDevicesByID = PostgresStatement(.read, devicesByID, row: deviceColumns.read)

  public func devices(
    named names: [DeviceName], of client: ClientID
  ) async throws(RegistryError) -> [DeviceName: DeviceID] {
    Dictionary(
      uniqueKeysWithValues: try await rows(of: Self.selectHolders, Self.values(of: names, client)))
  }

  private static func values(of names: [DeviceName], _ client: ClientID) -> [PostgresValue] {
    [.text(client.text), .array(of: .text, names.map { .text($0.text) })]
  }

  private static let holders =
    "SELECT device_name, id FROM devices WHERE client_id = $1::text AND device_name = ANY ($2::text[]) AND NOT revoked"

  static let selectHolders = PostgresStatement(.read, holders) {
    (DeviceName(stored: $0.text()), $0.id() as DeviceID)
  }

  public func hasGroup(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Bool {
    try await firstRow(of: Self.testGroup, .text(client.text), .text(name.text)) != nil
  }

  static let testGroup = PostgresStatement(
    .read, "SELECT true FROM groups WHERE client_id = $1::text AND name = $2::text AND deleted_at IS NULL"
  ) { $0.bool() }

  // MARK: Changes

  /// Locks the devices in the order of their ids, over all steps, as all statements do that wait for several devices. A
  /// rename locks its client after its devices, as `renameDevice` does.
  public func changeDevices(
    _ ids: [DeviceID], by bulk: BulkChange, step: Int
  ) async throws(RegistryError) -> BulkOutcome {
    // Also after an error: the database may have committed the change.
    defer { announcements.announce(bulk.owner) }
    return try await transactions.run(for: bulk.owner, isUrgent: bulk.isUrgent) {
      (transaction) async throws(RegistryError) in
      try await Self.change(ids, by: bulk, step: step, in: transaction)
    }
  }

  private static func change(
    _ ids: [DeviceID], by bulk: BulkChange, step: Int, in transaction: PostgresTransaction
  ) async throws(RegistryError) -> BulkOutcome {
    _ = try await transaction.rows(of: beginBulk)
    for group in bulk.groups {
      let found = try await transaction.rows(of: lockGroup, .text(bulk.owner.text), .text(group.text))
      guard !found.isEmpty else { throw .groupNotFound }
    }
    var outcome = BulkOutcome()
    for part in ids.steps(of: step) {
      let judged = try await judge(part, bulk, in: transaction)
      try await write(judged.changed, bulk, in: transaction)
      outcome.add(judged)
      if bulk.cancelsSignals {
        outcome.withoutSignals += try await cancelSignals(of: judged.kept, bulk, step: step, in: transaction)
      }
    }
    try bulk.test(matched: outcome.matched)
    try await notify(of: outcome, bulk, in: transaction)
    return outcome
  }

  private static func judge(
    _ ids: [DeviceID], _ bulk: BulkChange, in transaction: PostgresTransaction
  ) async throws(RegistryError) -> BulkStep {
    var devices = try await transaction.rows(of: lockDevices, .uuids(ids), .text(bulk.owner.text))
    if devices.count < ids.count, case .devices = bulk.selector {
      let own = Set(devices.map(\.id))
      devices += try await transaction.rows(of: selectForeign, .uuids(ids.filter { !own.contains($0) }))
    }
    var holders: [DeviceName: DeviceID] = [:]
    if !bulk.names.isEmpty {
      _ = try await transaction.rows(of: lockClient, .text(bulk.owner.text))
      holders = Dictionary(
        uniqueKeysWithValues: try await transaction.rows(
          of: selectHoldersLocked, values(of: bulk.names, bulk.owner)))
    }
    return bulk.judge(ids, devices, holders: holders)
  }

  /// In a form that no index serves. Otherwise a plan that was made while the client had few devices reads all of them for each
  /// of the given ones, rather than each by its id.
  private static func isOwned(by client: String) -> String { "(devices.client_id || '') = \(client)" }

  /// Until the transaction ends, the triggers of devices notify of nothing; the transaction does that.
  static let beginBulk = PostgresStatement(
    .inTransaction, "SELECT set_config('device_registry.bulk', 'on', true) <> ''"
  ) { $0.bool() }

  /// Keeps the group until the end of the transaction.
  static let lockGroup = PostgresStatement(
    .inTransaction,
    """
    SELECT true FROM groups WHERE client_id = $1::text AND name = $2::text AND deleted_at IS NULL FOR SHARE
    """
  ) { $0.bool() }

  static let lockDevices = PostgresStatement(
    .inTransaction,
    """
    SELECT \(deviceColumns) FROM devices WHERE id = ANY ($1::uuid[]) AND \(isOwned(by: "$2::text"))
    ORDER BY id FOR NO KEY UPDATE
    """, row: deviceColumns.read)

  static let selectForeign = PostgresStatement(.inTransaction, devicesByID, row: deviceColumns.read)

  static let lockClient = PostgresStatement(
    .inTransaction, "SELECT true FROM clients WHERE id = $1::text FOR NO KEY UPDATE"
  ) { $0.bool() }

  static let selectHoldersLocked = PostgresStatement(.inTransaction, holders) {
    (DeviceName(stored: $0.text()), $0.id() as DeviceID)
  }

  private static func write(
    _ changed: [ChangedDevice], _ bulk: BulkChange, in transaction: PostgresTransaction
  ) async throws(RegistryError) {
    guard !changed.isEmpty else { return }
    func column(
      of type: PostgresValue.ElementType, _ value: (Device) -> PostgresValue
    ) -> PostgresValue {
      .array(of: type, changed.map { value($0.new) })
    }
    let values =
      [.text(bulk.owner.text), .text(bulk.kind.rawValue)] + values(of: bulk.change) + [
        .uuids(changed.map(\.new.id)), .array(of: .text, changed.map { .text(orNull: $0.changes.json) }),
      ]
    let number: Int
    switch bulk.part {
    case .state:
      number = try await transaction.run(
        changeStates,
        values
          + PostgresValue.columns(
            of: [.bool, .bool, .timestamp, .timestamp, .timestamp, .text],
            changed.map { Self.values(of: $0.new.state) }))
    case .mode:
      number = try await transaction.run(
        changeModes,
        values + [
          column(of: .text) { .text($0.tradingMode.mode.rawValue) },
          column(of: .int8) { .int8($0.tradingMode.version) },
        ])
    case .labels:
      number = try await transaction.run(changeLabels, values + [column(of: .text) { .text($0.labels.json) }])
    case .groups:
      number = try await transaction.run(
        changeGroups, values + [column(of: .text) { .text($0.groups.stored) }])
    case .name:
      try await transaction.run(freeNames, [.text(bulk.owner.text), .uuids(changed.map(\.new.id))])
      number = try await transaction.run(
        changeNames, values + [column(of: .text) { .text($0.deviceName.text) }])
    }
    guard number == changed.count else { throw .fault(cause: "\(number) of \(changed.count) devices changed") }
  }

  /// Changes devices, and records an event of type $2 for each: client ($1), change ($3 to $7), ids ($8), what each event
  /// shows ($9), and from $10 the columns.
  private static func changing(_ columns: String, as names: String, set assignments: String) -> String {
    """
    WITH given AS (
      SELECT * FROM unnest($8::uuid[], $9::text[], \(columns)) AS given (id, changes, \(names))
    ), changed AS (
      UPDATE devices SET \(assignments), updated_at = $3::timestamptz
      FROM given WHERE devices.id = given.id AND \(isOwned(by: "$1::text"))
      RETURNING devices.id, given.changes
    )
    \(record(
      type: "$2::text", forEachOf: "changed ORDER BY id", client: "$1::text", device: "id",
      by: change(from: 3), changes: "changes"))
    """
  }

  static let changeStates = PostgresStatement(
    .inTransaction,
    changing(
      "$10::bool[], $11::bool[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::text[]",
      as: "\(stateColumns)",
      set: """
        is_active = given.is_active, revoked = given.revoked, suspended_at = given.suspended_at,
        suspended_until = given.suspended_until, expires_at = given.expires_at, status_reason = given.status_reason,
        expiry_recorded = expiry_recorded AND devices.expires_at IS NOT DISTINCT FROM given.expires_at
        """))

  static let changeModes = PostgresStatement(
    .inTransaction,
    changing(
      "$10::text[], $11::int8[]", as: "mode, version",
      set: """
        trading_mode = given.mode, mode_version = given.version, mode_reason = $7::text, mode_since = $3::timestamptz
        """))

  static let changeLabels = PostgresStatement(
    .inTransaction, changing("$10::text[]", as: "labels", set: "labels = given.labels::jsonb"))

  static let changeGroups = PostgresStatement(
    .inTransaction, changing("$10::text[]", as: "groups", set: "groups = given.groups"))

  /// Gives devices names that no others have, so that they can exchange theirs: the database tests a name at once.
  static let freeNames = PostgresStatement(
    .inTransaction,
    """
    UPDATE devices SET device_name = gen_random_uuid()::text WHERE \(isOwned(by: "$1::text")) AND id = ANY ($2::uuid[])
    """)

  static let changeNames = PostgresStatement(
    .inTransaction, changing("$10::text[]", as: "name", set: "device_name = given.name"))

  // MARK: Signals

  /// Cancels the pending deliveries of devices, `step` in a statement, with an event for each device that had some; returns
  /// those.
  private static func cancelSignals(
    of ids: [DeviceID], _ bulk: BulkChange, step: Int, in transaction: PostgresTransaction
  ) async throws(RegistryError) -> [DeviceID] {
    var counts: [DeviceID: Int64] = [:]
    // What a client keeps bounds the number of steps.
    while true {
      let cancelled = try await transaction.rows(
        of: cancelDeliveries, .uuids(ids), .timestamp(bulk.change.time), .int8(Int64(step)))
      for (id, count) in cancelled { counts[id, default: 0] += count }
      if cancelled.reduce(0, { $0 + $1.1 }) < step { break }
    }
    let devices = counts.keys.sorted()
    guard !devices.isEmpty else { return [] }
    try await transaction.run(
      recordCancellations,
      [.text(bulk.owner.text)] + values(of: bulk.change) + [
        .uuids(devices), .array(of: .int8, devices.map { .int8(counts[$0]!) }),
      ])
    return devices
  }

  /// Locks the deliveries of a device in the order of their signals, as `acknowledge` does.
  static let cancelDeliveries = PostgresStatement(
    .inTransaction,
    """
    WITH doomed AS (
      SELECT signal_id, device_id FROM deliveries
      WHERE device_id = ANY ($1::uuid[]) AND acked_at IS NULL AND expires_at > $2::timestamptz AND cancelled_at IS NULL
      ORDER BY device_id, signal_id LIMIT $3::int8 FOR NO KEY UPDATE
    ), cancelled AS (
      UPDATE deliveries SET cancelled_at = $2::timestamptz FROM doomed
      WHERE deliveries.signal_id = doomed.signal_id AND deliveries.device_id = doomed.device_id
        AND acked_at IS NULL
      RETURNING deliveries.device_id
    )
    SELECT device_id, count(*) FROM cancelled GROUP BY device_id
    """
  ) { ($0.id() as DeviceID, $0.integer()) }

  static let recordCancellations = PostgresStatement(
    .inTransaction,
    record(
      .signalCancelled,
      forEachOf: "unnest($7::uuid[], $8::int8[]) AS given (id, number)", client: "$1::text", device: "id",
      by: change(from: 2), changes: "json_build_object('deliveries', json_build_array(NULL, number))"))

  // MARK: Notifications

  private static func notify(
    of outcome: BulkOutcome, _ bulk: BulkChange, in transaction: PostgresTransaction
  ) async throws(RegistryError) {
    guard bulk.changesAccess else { return }
    let concerned = Array(Set(outcome.changed + outcome.withoutSignals))
    if concerned.count > BulkChange.maximumAnnounced {
      try await transaction.run(notifyOfClient, [.text(bulk.owner.text)])
    } else if !concerned.isEmpty {
      try await transaction.run(notifyOfDevices, [.uuids(concerned)])
    }
  }

  static let notifyOfDevices = PostgresStatement(
    .inTransaction, "SELECT notify_of_devices('\(PostgresNotification.credentialsChannel)', $1::uuid[])")

  static let notifyOfClient = PostgresStatement(
    .inTransaction, "SELECT pg_notify('\(PostgresNotification.clientsChannel)', $1::text)")
}
