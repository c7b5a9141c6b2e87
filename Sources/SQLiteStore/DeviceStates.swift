internal import EventLoop
public import Registry

extension SQLiteStore {
  public func suspendDevice(
    _ id: DeviceID, of owner: ClientID, until: Timestamp?, change: Change
  ) async throws(RegistryError) -> Device? {
    try await changeState(of: id, of: owner, .deviceSuspended, .urgent, change) { device in
      // An end that is not recorded yet is recorded first.
      if let suspension = device.state.suspension, !suspension.isInForce(at: change.time) { return nil }
      return device.suspended(until: until, by: change)
    }
  }

  public func resumeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? {
    try await changeState(of: id, of: owner, .deviceResumed, .ordinary, change) { $0.resumed(by: change) }
  }

  public func revokeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? {
    try await changeState(of: id, of: owner, .deviceRevoked, .urgent, change) { $0.revoked(by: change) }
  }

  /// Changes the state of an owner's device that is not revoked. Nil if there is none, or if nothing changes.
  private func changeState(
    of id: DeviceID, of owner: ClientID, _ kind: RegistryEvent.Kind, _ urgency: Turn.Urgency, _ change: Change,
    _ apply: @escaping @Sendable (Device) -> ChangedDevice?
  ) async throws(RegistryError) -> Device? {
    try await write(Turn(of: owner.hashValue, urgency)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard let device = try writer.firstRow(of: Self.selectUnrevoked, .id(id), .text(owner.text)),
          let changed = apply(device)
        else { return nil }
        try writer.run(
          Self.updateState,
          [.id(id), .text(owner.text), .time(change.time)] + Self.values(of: changed.new.state))
        try writer.record(kind, of: owner, device: id, by: change, changes: changed.changes)
        return changed.new
      }
    }
  }

  static let selectUnrevoked = SQLiteStatement(
    "SELECT \(deviceColumns) FROM devices WHERE id = ?1 AND client_id = ?2 AND NOT revoked",
    row: deviceColumns.read)

  /// From ?4 are the values of a state.
  static let updateState = SQLiteStatement(
    """
    UPDATE devices SET updated_at = ?3, is_active = ?4, revoked = ?5, suspended_at = ?6, suspended_until = ?7,
      expires_at = ?8, expiry_recorded = expiry_recorded AND expires_at IS ?8, status_reason = ?9
    WHERE id = ?1 AND client_id = ?2 AND NOT revoked
    """)

  public func deleteDevice(
    _ id: DeviceID, of owner: ClientID, maximumRows: Int, change: Change
  ) async throws(RegistryError) -> DeviceDeletion {
    try await write(Turn(of: owner.hashValue), .long) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let name = try writer.firstRow(of: Self.selectRevokedName, .id(id), .text(owner.text))
        guard let name else { return .notFound }
        let deleted = try writer.run(Self.removeDeliveriesOfDevice, .id(id), .integer(Int64(maximumRows)))
        guard deleted < maximumRows else { return .begun }
        try writer.run(Self.removeRevokedDevice, .id(id), .text(owner.text))
        try writer.record(
          .deviceDeleted, of: owner, device: id, by: change, changes: ["device_name": (.text(name), .null)])
        return .deleted
      }
    }
  }

  private static let selectRevokedName = SQLiteStatement(
    "SELECT device_name FROM devices WHERE id = ?1 AND client_id = ?2 AND revoked"
  ) { $0.text() }

  /// Deletes the first ?2 deliveries of a device.
  static let removeDeliveriesOfDevice = SQLiteStatement(
    """
    DELETE FROM deliveries WHERE device_id = ?1
      AND signal_id IN (SELECT signal_id FROM deliveries WHERE device_id = ?1 LIMIT ?2)
    """)

  private static let removeRevokedDevice = SQLiteStatement(
    "DELETE FROM devices WHERE id = ?1 AND client_id = ?2 AND revoked")

  // MARK: What ends by time

  public func recordExpiries(
    maximumRows: Int, change: Change
  ) async throws(RegistryError) -> [EndedDevice] {
    try await recordEnds(.deviceExpired, Self.selectExpired, Self.noteExpiry, maximumRows, change) { state in
      guard let end = state.expiresAt, state.status(at: end) != .suspended else { return [:] }
      return ["status": (.text("active"), .text("expired"))]
    }
  }

  public func recordResumptions(
    maximumRows: Int, change: Change
  ) async throws(RegistryError) -> [EndedDevice] {
    try await recordEnds(.deviceResumed, Self.selectResumed, Self.clearSuspension, maximumRows, change) {
      state in
      guard let end = state.suspension?.until else { return [:] }
      let hadExpired = state.expiresAt.map { $0 < end } ?? false
      return [
        "status": (.text("suspended"), .text(hadExpired ? "expired" : "active")),
        "suspended_until": (.time(end), .null),
      ]
    }
  }

  private func recordEnds(
    _ kind: RegistryEvent.Kind, _ select: SQLiteStatement<Device>, _ update: SQLiteStatement<Void>,
    _ maximumRows: Int, _ change: Change, _ changes: @escaping @Sendable (DeviceState) -> EventChanges
  ) async throws(RegistryError) -> [EndedDevice] {
    // Mostly nothing ended, and the writer need not be asked.
    guard try await firstRow(of: select, .time(change.time), .integer(1)) != nil else { return [] }
    return try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        var ended: [EndedDevice] = []
        for device in try writer.rows(of: select, [.time(change.time), .integer(Int64(maximumRows))]) {
          try writer.run(update, .id(device.id))
          try writer.record(
            kind, of: device.clientID, device: device.id, by: change, changes: changes(device.state))
          ended.append(EndedDevice(id: device.id, clientID: device.clientID))
        }
        return ended
      }
    }
  }

  static let selectExpired = SQLiteStatement(
    """
    SELECT \(deviceColumns) FROM devices
    WHERE expires_at <= ?1 AND NOT expiry_recorded AND NOT revoked
      AND (suspended_until IS NULL OR suspended_until > expires_at) AND \(isKept(client: "client_id"))
    ORDER BY expires_at LIMIT ?2
    """, row: deviceColumns.read)

  private static let noteExpiry = SQLiteStatement("UPDATE devices SET expiry_recorded = 1 WHERE id = ?1")

  static let selectResumed = SQLiteStatement(
    """
    SELECT \(deviceColumns) FROM devices
    WHERE suspended_until <= ?1 AND NOT revoked AND is_active
      AND (expires_at IS NULL OR expiry_recorded OR expires_at >= suspended_until)
      AND \(isKept(client: "client_id"))
    ORDER BY suspended_until LIMIT ?2
    """, row: deviceColumns.read)

  private static let clearSuspension = SQLiteStatement(
    "UPDATE devices SET suspended_at = NULL, suspended_until = NULL, status_reason = NULL WHERE id = ?1")
}
