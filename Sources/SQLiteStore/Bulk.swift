internal import Encoding
internal import EventLoop
public import Registry

// Changes of many devices: one transaction.

extension SQLiteStore {
  // MARK: Previews

  public func devices(_ ids: [DeviceID]) async throws(RegistryError) -> [Device] {
    try await rows(of: Self.selectDevicesByID, Self.json(ids))
  }

  static let selectDevicesByID = SQLiteStatement(
    "SELECT \(deviceColumns) FROM devices WHERE id IN (SELECT value FROM json_each(?1))",
    row: deviceColumns.read)

  /// The ids as a JSON array. They have no characters that JSON escapes.
  static func json(_ ids: [DeviceID]) -> SQLiteValue {
    .text("[\(ids.map { "\"\($0)\"" }.joined(separator: ","))]")
  }

  /// The names as a JSON array.
  fileprivate static func json(_ names: [DeviceName]) -> SQLiteValue {
    .text("[\(names.map { JSONString.quoted($0.text) }.joined(separator: ","))]")
  }

  public func devices(
    named names: [DeviceName], of client: ClientID
  ) async throws(RegistryError) -> [DeviceName: DeviceID] {
    Dictionary(
      uniqueKeysWithValues: try await rows(
        of: Self.selectHolders, .text(client.text), Self.json(names)))
  }

  static let selectHolders = SQLiteStatement(
    """
    SELECT device_name, id FROM devices INDEXED BY devices_name_unique
    WHERE client_id = ?1 AND device_name IN (SELECT value FROM json_each(?2)) AND NOT revoked
    """
  ) { (DeviceName(stored: $0.text()), $0.id() as DeviceID) }

  public func hasGroup(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Bool {
    try await firstRow(of: SQLiteConnection.selectGroup, .text(client.text), .text(name.text)) != nil
  }

  // MARK: Changes

  public func changeDevices(
    _ ids: [DeviceID], by bulk: BulkChange, step: Int
  ) async throws(RegistryError) -> BulkOutcome {
    let turn = Turn(of: bulk.owner.hashValue, bulk.isUrgent ? .urgent : .ordinary)
    return try await write(turn, .long) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in try writer.change(ids, by: bulk, step: step) }
    }
  }

  fileprivate static let beginBulk = SQLiteStatement("INSERT INTO bulk_changes DEFAULT VALUES")
  fileprivate static let endBulk = SQLiteStatement("DELETE FROM bulk_changes")

  /// Of many devices, in half the time of a statement for each: a halt should not hold up other writes for long.
  fileprivate static let changeModes = SQLiteStatement(
    """
    UPDATE devices SET trading_mode = ?4, mode_version = mode_version + 1, mode_reason = ?5, mode_since = ?3,
      updated_at = ?3
    WHERE id IN (SELECT value FROM json_each(?1)) AND client_id = ?2
    """)

  fileprivate static let changeLabels = SQLiteStatement(
    "UPDATE devices SET labels = ?4, updated_at = ?3 WHERE id = ?1 AND client_id = ?2")

  /// Gives a device a name that no other has, so that devices can exchange theirs.
  fileprivate static let freeName = SQLiteStatement(
    "UPDATE devices SET device_name = lower(hex(randomblob(16))) WHERE id = ?1 AND client_id = ?2")

  fileprivate static let changeName = SQLiteStatement(
    "UPDATE devices SET device_name = ?4, updated_at = ?3 WHERE id = ?1 AND client_id = ?2")

  static let cancelDeliveries = SQLiteStatement(
    """
    UPDATE deliveries INDEXED BY ix_deliveries_device SET cancelled_at = ?2
    WHERE device_id = ?1 AND acked_at IS NULL AND expires_at > ?2 AND cancelled_at IS NULL
    """)

  fileprivate static let logDevices = SQLiteStatement(
    "INSERT INTO device_changes (device_id) SELECT value FROM json_each(?1)")

  fileprivate static let logClient = SQLiteStatement("INSERT INTO device_changes (client_id) VALUES (?1)")
}

extension SQLiteConnection {
  fileprivate func change(
    _ ids: [DeviceID], by bulk: BulkChange, step: Int
  ) throws(RegistryError) -> BulkOutcome {
    for group in bulk.groups { try checkGroup(group, of: bulk.owner) }
    try run(SQLiteStore.beginBulk)
    var outcome = BulkOutcome()
    for part in ids.steps(of: step) {
      let devices = try rows(of: SQLiteStore.selectDevicesByID, [SQLiteStore.json(part)])
      let judged = bulk.judge(part, devices, holders: try holders(of: bulk.names, bulk.owner))
      try write(judged.changed, bulk)
      outcome.add(judged)
      if bulk.cancelsSignals { outcome.withoutSignals += try cancelSignals(of: judged.kept, bulk) }
    }
    try bulk.test(matched: outcome.matched)
    try run(SQLiteStore.endBulk)
    try log(outcome, bulk)
    return outcome
  }

  private func holders(
    of names: [DeviceName], _ client: ClientID
  ) throws(RegistryError) -> [DeviceName: DeviceID] {
    guard !names.isEmpty else { return [:] }
    return Dictionary(
      uniqueKeysWithValues: try rows(
        of: SQLiteStore.selectHolders, [.text(client.text), SQLiteStore.json(names)]))
  }

  private func write(_ changed: [ChangedDevice], _ bulk: BulkChange) throws(RegistryError) {
    let owner = SQLiteValue.text(bulk.owner.text)
    if bulk.part == .name { for device in changed { try run(SQLiteStore.freeName, .id(device.new.id), owner) } }
    if bulk.part == .mode { try changeModes(changed, bulk) }
    for device in changed {
      if let (statement, values) = Self.update(bulk.part, device.new) {
        try run(statement, [.id(device.new.id), owner, .time(bulk.change.time)] + values)
      }
      try record(bulk.kind, of: bulk.owner, device: device.new.id, by: bulk.change, changes: device.changes)
    }
  }

  /// Cancels the pending deliveries of devices, with an event for each device that had some; returns those.
  private func cancelSignals(of ids: [DeviceID], _ bulk: BulkChange) throws(RegistryError) -> [DeviceID] {
    var devices: [DeviceID] = []
    for id in ids {
      let count = try run(SQLiteStore.cancelDeliveries, .id(id), .time(bulk.change.time))
      guard count > 0 else { continue }
      devices.append(id)
      try record(
        .signalCancelled, of: bulk.owner, device: id, by: bulk.change,
        changes: ["deliveries": (.null, .number(count))])
    }
    return devices
  }

  private static func update(
    _ part: BulkChange.Part, _ device: Device
  ) -> (SQLiteStatement<Void>, [SQLiteValue])? {
    switch part {
    case .state: (SQLiteStore.updateState, SQLiteStore.values(of: device.state))
    case .mode: nil
    case .labels: (SQLiteStore.changeLabels, [.text(device.labels.json)])
    case .groups: (SQLiteStore.changeGroups, [.text(device.groups.stored)])
    case .name: (SQLiteStore.changeName, [.text(device.deviceName.text)])
    }
  }

  private func changeModes(_ changed: [ChangedDevice], _ bulk: BulkChange) throws(RegistryError) {
    guard let mode = changed.first?.new.tradingMode else { return }
    let number = try run(
      SQLiteStore.changeModes, SQLiteStore.json(changed.map(\.new.id)), .text(bulk.owner.text),
      .time(bulk.change.time), .text(mode.mode.rawValue), .text(mode.reason))
    guard number == changed.count else { throw .fault(cause: "\(number) of \(changed.count) devices changed") }
  }

  /// What other processes are notified of.
  private func log(_ outcome: BulkOutcome, _ bulk: BulkChange) throws(RegistryError) {
    guard bulk.changesAccess else { return }
    let concerned = Array(Set(outcome.changed + outcome.withoutSignals))
    if concerned.count > BulkChange.maximumAnnounced {
      try run(SQLiteStore.logClient, .text(bulk.owner.text))
    } else {
      try run(SQLiteStore.logDevices, SQLiteStore.json(concerned))
    }
  }
}
