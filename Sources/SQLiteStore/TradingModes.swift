internal import EventLoop
public import Registry

extension SQLiteStore {
  public func confirmModes(
    _ confirmations: [ModeConfirmation]
  ) async throws(RegistryError) -> [DeviceID: Bool] {
    guard !confirmations.isEmpty else { return [:] }
    return try await write(Turn(of: nil), .long) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        var confirmed: [DeviceID: Bool] = [:]
        for confirmation in confirmations { try writer.confirm(confirmation, &confirmed) }
        return confirmed
      }
    }
  }

  fileprivate static let selectMode = SQLiteStatement(
    """
    SELECT confirmed_version FROM devices
    WHERE id = ?1 AND client_id = ?2 AND mode_version = ?3 AND NOT revoked
    """
  ) { $0.optionalInteger() }

  fileprivate static let confirmMode = SQLiteStatement(
    "UPDATE devices SET confirmed_version = ?2, confirmed_at = ?3 WHERE id = ?1")
}

extension SQLiteConnection {
  fileprivate func confirm(
    _ confirmation: ModeConfirmation, _ confirmed: inout [DeviceID: Bool]
  ) throws(RegistryError) {
    let (id, version) = (confirmation.deviceID, confirmation.version)
    guard
      let old = try firstRow(
        of: SQLiteStore.selectMode, .id(id), .text(confirmation.clientID.text), .integer(version))
    else { return }
    guard old != version else {
      confirmed[id] = confirmed[id] ?? false
      return
    }
    try run(SQLiteStore.confirmMode, .id(id), .integer(version), .time(confirmation.change.time))
    try record(
      .modeConfirmed, of: confirmation.clientID, device: id, by: confirmation.change,
      changes: ["confirmed_version": (old.map { .number(Int($0)) } ?? .null, .number(Int(version)))])
    confirmed[id] = true
  }
}
