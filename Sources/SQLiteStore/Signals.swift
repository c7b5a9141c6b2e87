public import Registry

extension SQLiteStore {
  public func insertSignal(
    _ signal: Signal, to addressees: Addressees, maxLive: Int, change: Change
  ) async throws(RegistryError) -> Int {
    try await database.write { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.hasRow("SELECT 1 FROM clients WHERE id = ?1", [.text(signal.clientID.text)]) else {
          throw .clientNotFound
        }
        if case .devices(let ids) = addressees { try writer.checkAddressees(ids, of: signal.clientID) }
        let live = try writer.write(
          Self.countLiveSignals, [.text(signal.clientID.text), .time(signal.createdAt)],
          read: { $0.integer(0) })[0]
        guard live < maxLive else { throw .tooManySignals(limit: maxLive) }
        return try writer.insert(signal, to: addressees)
      }
    }
  }

  static let countLiveSignals = "SELECT count(*) FROM signals WHERE client_id = ?1 AND expires_at > ?2"

  public func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary] {
    try await read(
      Self.selectSignals,
      [.text(clientID.text), cursor.map { .id($0.id) } ?? .text(Self.behindAllIDs), .integer(Int64(limit))]
    ) {
      SignalSummary(
        id: $0.id(0), createdAt: $0.time(1), expiresAt: $0.time(2), devices: Int($0.integer(3)))
    }
  }

  static let selectSignals = """
    SELECT id, created_at, expires_at, devices FROM signals
    WHERE client_id = ?1 AND id < ?2
    ORDER BY id DESC LIMIT ?3
    """

  /// Ids are of hexadecimal digits.
  private static let behindAllIDs = "g"

  public func signal(_ id: SignalID) async throws(RegistryError) -> (signal: Signal, devices: Int)? {
    try await read(Self.selectSignal, [.id(id)]) { (Signal(row: $0), Int($0.integer(5))) }.first
  }

  static let selectSignal = "SELECT \(signalColumns), devices FROM signals WHERE id = ?1"

  private static let signalColumns = "id, client_id, created_at, expires_at, payload"

  public func deliveries(of id: SignalID) async throws(RegistryError) -> [Delivery] {
    try await read(Self.selectDeliveries, [.id(id)]) { Delivery(row: $0, of: id) }
  }

  static let selectDeliveries = """
    SELECT device_id, status, broker_ticket, error, acked_at FROM deliveries
    WHERE signal_id = ?1
    ORDER BY device_id
    """

  public func pendingSignals(
    of id: DeviceID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [Signal] {
    try await read(
      Self.selectPendingSignals, [.id(id), .time(time), .integer(Int64(limit))], row: Signal.init(row:))
  }

  /// The index is named because SQLite would as soon take that of all deliveries, acknowledged ones included.
  static let selectPendingSignals = """
    SELECT \(signalColumns) FROM deliveries INDEXED BY ix_deliveries_pending CROSS JOIN signals ON id = signal_id
    WHERE device_id = ?1 AND acked_at IS NULL AND expires_at > ?2
    ORDER BY signal_id LIMIT ?3
    """

  public func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool] {
    guard !acknowledgements.isEmpty else { return [:] }
    return try await database.write { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        var known: [SignalID: Bool] = [:]
        for acknowledgement in acknowledgements {
          known[acknowledgement.signalID] = try writer.acknowledge(acknowledgement, by: id, at: change.time)
        }
        return known
      }
    }
  }

  static let acknowledge = """
    UPDATE deliveries SET status = ?3, broker_ticket = ?4, error = ?5, acked_at = ?6
    WHERE signal_id = ?1 AND device_id = ?2 AND acked_at IS NULL
    RETURNING 1
    """

  public func removeSignals(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int {
    try await database.write { (writer) throws(RegistryError) in
      try writer.write(
        Self.deleteExpiredSignals, [.time(time), .integer(Int64(limit))], read: { _ in }
      ).count
    }
  }

  static let deleteExpiredSignals = """
    DELETE FROM signals WHERE id IN (
      SELECT id FROM signals WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)
    RETURNING 1
    """
}

extension SQLiteConnection {
  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked` where any of the devices is so, in this order.
  fileprivate func checkAddressees(_ ids: [DeviceID], of owner: ClientID) throws(RegistryError) {
    var isForeign = false
    var isRevoked = false
    for id in ids {
      let found = try write(
        "SELECT client_id, is_active AND NOT revoked FROM devices WHERE id = ?1", [.id(id)],
        read: { (owner: $0.text(0), isActive: $0.bool(1)) }
      ).first
      guard let found else { throw .deviceNotFound }
      if found.owner != owner.text { isForeign = true }
      if !found.isActive { isRevoked = true }
    }
    if isForeign { throw .notOwner }
    if isRevoked { throw .deviceRevoked }
  }

  /// Stores the signal and its deliveries, and answers how many those are.
  fileprivate func insert(_ signal: Signal, to addressees: Addressees) throws(RegistryError) -> Int {
    let count: Int64
    switch addressees {
    case .devices(let ids): count = Int64(ids.count)
    case .all:
      count = try write(
        "SELECT count(*) FROM devices WHERE client_id = ?1 AND is_active AND NOT revoked",
        [.text(signal.clientID.text)], read: { $0.integer(0) })[0]
    }
    _ = try write(
      """
      INSERT INTO signals (id, client_id, devices, created_at, expires_at, payload)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6)
      """,
      [
        .id(signal.id), .text(signal.clientID.text), .integer(count), .time(signal.createdAt),
        .time(signal.expiresAt), .utf8(signal.payload),
      ], read: { _ in })
    try insertDeliveries(of: signal, to: addressees)
    return Int(count)
  }

  private func insertDeliveries(of signal: Signal, to addressees: Addressees) throws(RegistryError) {
    switch addressees {
    case .devices(let ids):
      for id in ids {
        _ = try write(
          "INSERT INTO deliveries (signal_id, device_id) VALUES (?1, ?2)", [.id(signal.id), .id(id)],
          read: { _ in })
      }
    case .all:
      _ = try write(
        """
        INSERT INTO deliveries (signal_id, device_id)
        SELECT ?1, id FROM devices WHERE client_id = ?2 AND is_active AND NOT revoked
        """, [.id(signal.id), .text(signal.clientID.text)], read: { _ in })
    }
  }

  /// Stores the acknowledgement if it is the first of the delivery, and answers whether it is; nil where the signal was not
  /// sent to the device.
  fileprivate func acknowledge(
    _ acknowledgement: Acknowledgement, by id: DeviceID, at time: Timestamp
  ) throws(RegistryError) -> Bool? {
    let key: [SQLiteValue] = [.id(acknowledgement.signalID), .id(id)]
    let isFirst = try hasRow(
      SQLiteStore.acknowledge,
      key + [
        .text(acknowledgement.status.rawValue), .text(acknowledgement.brokerTicket),
        .text(acknowledgement.error), .time(time),
      ])
    if isFirst { return true }
    return try hasRow("SELECT 1 FROM deliveries WHERE signal_id = ?1 AND device_id = ?2", key) ? false : nil
  }
}

extension Signal {
  /// Reads `SQLiteStore.signalColumns`.
  fileprivate init(row: SQLiteRow) {
    self.init(
      id: row.id(0), clientID: ClientID(row.text(1))!, payload: row.utf8(4),
      createdAt: row.time(2),
      expiresAt: row.time(3))
  }
}

extension Delivery {
  /// Reads what `SQLiteStore.selectDeliveries` selects.
  fileprivate init(row: SQLiteRow, of signalID: SignalID) {
    let acknowledgement = row.optionalText(1).map {
      // The database's constraints allow these words alone.
      Acknowledgement(
        signalID: signalID, status: Acknowledgement.Status(rawValue: $0)!, brokerTicket: row.optionalText(2),
        error: row.optionalText(3))
    }
    self.init(deviceID: row.id(0), acknowledgement: acknowledgement, ackedAt: row.optionalTime(4))
  }
}
