public import Registry

extension SQLiteStore {
  private static let signalColumns = SQLiteColumns("id, client_id, payload, created_at, expires_at") {
    Signal(
      id: $0.id(), clientID: $0.clientID(), payload: $0.utf8(), createdAt: $0.time(), expiresAt: $0.time())
  }

  public func insertSignal(
    _ signal: Signal, to addressees: Addressees, bounds: SignalBounds, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress {
    try await database.write { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let owner = SQLiteValue.text(signal.clientID.text)
        guard try writer.hasRow(Self.hasClient, owner) else { throw .clientNotFound }
        if case .devices(let ids) = addressees { try writer.checkAddressees(ids, of: signal.clientID) }
        let live = try writer.firstRow(of: Self.countLiveSignals, owner, .time(signal.createdAt))
        guard live ?? 0 < bounds.live else { throw .tooManySignals(limit: bounds.live) }
        return SignalProgress(deliveries: try writer.insert(signal, to: addressees), last: nil)
      }
    }
  }

  public func continueSignal(
    _ signal: Signal, after progress: SignalProgress, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress {
    throw .fault(cause: "insertSignal stores every delivery")
  }

  static let countLiveSignals = SQLiteStatement(
    "SELECT count(*) FROM signals WHERE client_id = ?1 AND expires_at > ?2"
  ) { $0.integer() }

  public func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary] {
    try await rows(
      of: Self.selectSignals, .text(clientID.text), cursor.map { .id($0.id) } ?? .text(Self.afterAllIDs),
      .integer(Int64(limit)))
  }

  /// Sorts after every id: ids consist of hexadecimal digits.
  private static let afterAllIDs = "g"

  static let selectSignals = SQLiteStatement(
    """
    SELECT id, created_at, expires_at, devices FROM signals
    WHERE client_id = ?1 AND id < ?2
    ORDER BY id DESC LIMIT ?3
    """
  ) {
    SignalSummary(id: $0.id(), createdAt: $0.time(), expiresAt: $0.time(), devices: Int($0.integer()))
  }

  public func signal(_ id: SignalID) async throws(RegistryError) -> (signal: Signal, devices: Int)? {
    try await firstRow(of: Self.selectSignal, .id(id))
  }

  static let selectSignal = SQLiteStatement(
    "SELECT \(signalColumns), devices FROM signals WHERE id = ?1"
  ) { (signal: signalColumns.read(&$0), devices: Int($0.integer())) }

  public func deliveries(
    of id: SignalID, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [Delivery] {
    try await rows(
      of: Self.selectDeliveries, .id(id), cursor.map { .id($0) } ?? .text(""), .integer(Int64(limit)))
  }

  static let selectDeliveries = SQLiteStatement(
    """
    SELECT device_id, signal_id, status, broker_ticket, error, acked_at FROM deliveries
    WHERE signal_id = ?1 AND device_id > ?2
    ORDER BY device_id LIMIT ?3
    """
  ) { Delivery(deviceID: $0.id(), acknowledgement: $0.optionalAcknowledgement(), ackedAt: $0.optionalTime()) }

  public func pendingSignals(
    of id: DeviceID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [Signal] {
    try await rows(of: Self.selectPendingSignals, .id(id), .time(time), .integer(Int64(limit)))
  }

  /// Without INDEXED BY, SQLite might choose the index of all deliveries, including acknowledged ones.
  static let selectPendingSignals = SQLiteStatement(
    """
    SELECT \(signalColumns) FROM deliveries INDEXED BY ix_deliveries_pending CROSS JOIN signals ON id = signal_id
    WHERE device_id = ?1 AND acked_at IS NULL AND expires_at > ?2
    ORDER BY signal_id LIMIT ?3
    """, row: signalColumns.read)

  public func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, owner: ClientID, change: Change
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

  static let acknowledge = SQLiteStatement(
    """
    UPDATE deliveries SET status = ?3, broker_ticket = ?4, error = ?5, acked_at = ?6
    WHERE signal_id = ?1 AND device_id = ?2 AND acked_at IS NULL
    """)

  public func removeSignals(
    expiredBefore time: Timestamp, abandonedBefore: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await database.write { (writer) throws(RegistryError) in
      try writer.run(Self.removeSignals, .time(time), .integer(Int64(maximumRows)))
    }
  }

  static let removeSignals = SQLiteStatement(
    """
    DELETE FROM signals WHERE id IN (
      SELECT id FROM signals WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)
    """)
}

extension SQLiteConnection {
  /// Throws `deviceNotFound`, `notOwner` or `deviceRevoked`, in this order of precedence.
  fileprivate func checkAddressees(_ ids: [DeviceID], of owner: ClientID) throws(RegistryError) {
    var (isForeign, isRevoked) = (false, false)
    for id in ids {
      guard let found = try firstRow(of: Self.selectAddressee, .id(id)) else { throw .deviceNotFound }
      if found.owner != owner { isForeign = true }
      if !found.isActive { isRevoked = true }
    }
    if isForeign { throw .notOwner }
    if isRevoked { throw .deviceRevoked }
  }

  private static let selectAddressee = SQLiteStatement(
    "SELECT client_id, is_active AND NOT revoked FROM devices WHERE id = ?1"
  ) { (owner: $0.clientID(), isActive: $0.bool()) }

  /// Stores the signal and its deliveries, and returns the number of deliveries.
  fileprivate func insert(_ signal: Signal, to addressees: Addressees) throws(RegistryError) -> Int {
    let owner = SQLiteValue.text(signal.clientID.text)
    let count: Int64 =
      switch addressees {
      case .devices(let ids): Int64(ids.count)
      case .all: try firstRow(of: Self.countActiveDevices, owner) ?? 0
      }
    try run(
      Self.insertSignal, .id(signal.id), owner, .integer(count), .time(signal.createdAt),
      .time(signal.expiresAt), .utf8(signal.payload))
    switch addressees {
    case .devices(let ids): for id in ids { try run(Self.insertDelivery, .id(signal.id), .id(id)) }
    case .all: try run(Self.insertDeliveries, .id(signal.id), owner)
    }
    return Int(count)
  }

  private static let countActiveDevices = SQLiteStatement(
    "SELECT count(*) FROM devices WHERE client_id = ?1 AND is_active AND NOT revoked"
  ) { $0.integer() }

  private static let insertSignal = SQLiteStatement(
    """
    INSERT INTO signals (id, client_id, devices, created_at, expires_at, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    """)

  private static let insertDelivery = SQLiteStatement(
    "INSERT INTO deliveries (signal_id, device_id) VALUES (?1, ?2)")

  private static let insertDeliveries = SQLiteStatement(
    """
    INSERT INTO deliveries (signal_id, device_id)
    SELECT ?1, id FROM devices WHERE client_id = ?2 AND is_active AND NOT revoked
    """)

  /// Stores the acknowledgement if it is the delivery's first, and returns whether it was; nil if the signal
  /// was not sent to the device.
  fileprivate func acknowledge(
    _ acknowledgement: Acknowledgement, by id: DeviceID, at time: Timestamp
  ) throws(RegistryError) -> Bool? {
    let changed = try run(
      SQLiteStore.acknowledge, .id(acknowledgement.signalID), .id(id),
      .text(acknowledgement.status.rawValue), .text(acknowledgement.brokerTicket),
      .text(acknowledgement.error), .time(time))
    if changed > 0 { return true }
    return try hasRow(Self.hasDelivery, .id(acknowledgement.signalID), .id(id)) ? false : nil
  }

  private static let hasDelivery = SQLiteStatement(
    "SELECT 1 FROM deliveries WHERE signal_id = ?1 AND device_id = ?2")
}

extension SQLiteRow {
  /// Reads signal_id, status, broker_ticket and error of a delivery; nil if the status is null. Database
  /// constraints allow only the values of `Status`.
  fileprivate mutating func optionalAcknowledgement() -> Acknowledgement? {
    let (signalID, status, ticket, error) = (id() as SignalID, optionalText(), optionalText(), optionalText())
    return status.map {
      Acknowledgement(
        signalID: signalID, status: Acknowledgement.Status(rawValue: $0)!, brokerTicket: ticket, error: error)
    }
  }
}
