internal import EventLoop
public import Registry

extension SQLiteStore {
  public func updateDevice(
    _ id: DeviceID, of owner: ClientID, _ update: DeviceUpdate, change: Change
  ) async throws(RegistryError) -> Device? {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard let old = try writer.firstRow(of: Self.selectStoredDevice, .id(id)), old.clientID == owner,
          !old.isRevoked
        else { return nil }
        let labels = try update.labels?.applied(to: old.labels) ?? old.labels
        let expiresAt = update.expiresAt ?? old.state.expiresAt
        let deviceName = update.deviceName ?? old.deviceName
        let account = update.boundAccount ?? old.terminal.boundAccount
        let isSame =
          (deviceName, labels, expiresAt, account)
          == (old.deviceName, old.labels, old.state.expiresAt, old.terminal.boundAccount)
        guard !isSame else { return old }
        // This statement can violate only the unique index on names.
        let device = try writer.firstRow(
          of: Self.updateDevice, .id(id), .text(owner.text), .time(change.time), .text(deviceName.text),
          .text(labels.json), .time(expiresAt), .text(account?.login), .text(account?.server),
          uniqueViolation: { _ in .deviceNameTaken })
        guard let device else { throw .fault(cause: "device \(id): no row") }
        try writer.record(
          .deviceUpdated, of: owner, device: id, by: change, changes: EventChanges(of: old, to: device))
        return device
      }
    }
  }

  /// With groups that are being deleted, so that it differs from what RETURNING gives only where the statement changed it.
  static let selectStoredDevice = SQLiteStatement(
    "SELECT \(deviceColumns) FROM devices WHERE id = ?1", row: deviceColumns.read)

  static let updateDevice = SQLiteStatement(
    """
    UPDATE devices SET device_name = ?4, labels = ?5,
      expiry_recorded = expiry_recorded AND expires_at IS ?6, expires_at = ?6, updated_at = ?3,
      bound_login = ?7, bound_server = ?8
    WHERE id = ?1 AND client_id = ?2
    RETURNING \(deviceColumns)
    """, row: deviceColumns.read)
}
