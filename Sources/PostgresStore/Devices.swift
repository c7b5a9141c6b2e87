public import Registry

extension PostgresStore {
  public func ping() async throws(RegistryError) {
    try await run(.ping, []) { (_) throws(RegistryError) in }
  }

  public func checkRegistration(
    of deviceName: DeviceName, for clientID: ClientID, maxDevices: Int
  ) async throws(RegistryError) {
    try await run(
      .checkRegistration, [.text(clientID.text), .text(deviceName.text), .int8(Int64(maxDevices))]
    ) { (answer) throws(RegistryError) in
      guard let row = answer.firstRow else { throw .clientNotFound }
      if row.bool(0) { throw .tooManyDevices(limit: maxDevices) }
      if row.bool(1) { throw .deviceNameTaken }
    }
  }

  public func insertDevice(
    _ device: Device, verifier: SecretVerifier, maxDevices: Int, change: Change
  ) async throws(RegistryError) {
    let values: [PostgresValue] = [
      .uuid(device.id), .text(device.clientID.text), .text(device.deviceName.text),
      .text(verifier.hmacKeyHash), .bytes(verifier.storedKey), .bytes(verifier.serverKey),
      .bool(device.isActive), .bool(device.revoked),
      .timestamp(orNull: device.lastPoll), .timestamp(orNull: device.lastAck),
      .timestamp(orNull: device.lastSeen),
      .timestamp(device.createdAt), .timestamp(device.updatedAt), .int8(Int64(maxDevices)),
    ]
    try await run(.insertDevice, values) { (answer) throws(RegistryError) in
      guard let row = answer.firstRow, row.bool(0) else { throw .clientNotFound }
      guard row.bool(1) else { throw .tooManyDevices(limit: maxDevices) }
    }
  }

  public func device(_ id: DeviceID) async throws(RegistryError) -> Device? {
    try await run(.device, [.uuid(id)]) { $0.firstRow.map(Device.init(row:)) }
  }

  public func devices(
    of clientID: ClientID, after cursor: DeviceCursor?, limit: Int
  ) async throws(RegistryError) -> [Device] {
    let values: [PostgresValue] = [
      .text(clientID.text), cursor.map { .timestamp($0.createdAt) } ?? .earliest,
      .uuid(cursor?.id ?? DeviceID(high: 0, low: 0)), .int8(Int64(limit)),
    ]
    return try await run(.devices, values) { $0.map(Device.init(row:)) }
  }

  public func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> Device? {
    try await renames.make(.init(id: id, owner: owner, time: change.time, deviceName: deviceName))
  }

  public func revokeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? {
    try await revocations.make(.init(id: id, owner: owner, time: change.time))
  }
}

extension Device {
  /// Reads `PostgresStatement.deviceColumns`. What the database's constraints hold is not tested again.
  init(row: PostgresAnswer.Row) {
    self.init(
      id: row.uuid(0), clientID: ClientID(row.text(1)!)!, deviceName: DeviceName(stored: row.text(2)!),
      isActive: row.bool(3), revoked: row.bool(4), lastPoll: row.timestamp(5), lastAck: row.timestamp(6),
      lastSeen: row.timestamp(7), createdAt: row.timestamp(8)!, updatedAt: row.timestamp(9)!)
  }
}
