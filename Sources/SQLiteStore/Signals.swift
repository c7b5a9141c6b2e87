internal import EventLoop
public import Registry

extension SQLiteStore {
  private static let signalColumns = SQLiteColumns("id, client_id, payload, created_at, expires_at") {
    Signal(
      id: $0.id(), clientID: $0.clientID(), payload: $0.utf8(), createdAt: $0.time(), expiresAt: $0.time())
  }

  /// The signals whose deliveries are being stored. They are few, and the index has no others.
  private static let invisibleSignals =
    "SELECT id FROM signals INDEXED BY ix_signals_invisible WHERE NOT is_visible"

  public func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary] {
    try await rows(
      of: Self.selectSignals, .text(clientID.text), cursor.map { .id($0.id) } ?? .text(Self.afterAllIDs),
      .integer(Int64(limit)))
  }

  /// Sorts after every id: ids consist of hexadecimal digits.
  static let afterAllIDs = "g"

  static let selectSignals = SQLiteStatement(
    """
    SELECT id, created_at, expires_at, devices, cancelled_at FROM signals
    WHERE client_id = ?1 AND id < ?2 AND id NOT IN (\(invisibleSignals))
    ORDER BY id DESC LIMIT ?3
    """
  ) {
    SignalSummary(
      id: $0.id(), createdAt: $0.time(), expiresAt: $0.time(), devices: Int($0.integer()),
      cancelledAt: $0.optionalTime())
  }

  public func signal(
    _ id: SignalID
  ) async throws(RegistryError) -> (signal: Signal, devices: Int, cancelledAt: Timestamp?)? {
    try await firstRow(of: Self.selectSignal, .id(id))
  }

  static let selectSignal = SQLiteStatement(
    "SELECT \(signalColumns), devices, cancelled_at FROM signals WHERE id = ?1 AND is_visible"
  ) {
    (signal: signalColumns.read(&$0), devices: Int($0.integer()), cancelledAt: $0.optionalTime())
  }

  public func deliveries(
    of id: SignalID, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [Delivery] {
    try await rows(
      of: Self.selectDeliveries, .id(id), cursor.map { .id($0) } ?? .text(""), .integer(Int64(limit)))
  }

  static let selectDeliveries = SQLiteStatement(
    """
    SELECT device_id, signal_id, status, broker_ticket, error, acked_at, handed_out_at,
      cancelled_at IS NOT NULL OR (SELECT signals.cancelled_at IS NOT NULL FROM signals WHERE id = ?1)
    FROM deliveries
    WHERE signal_id = ?1 AND device_id > ?2 AND signal_id NOT IN (\(invisibleSignals))
    ORDER BY device_id LIMIT ?3
    """
  ) {
    Delivery(
      deviceID: $0.id(), acknowledgement: $0.optionalAcknowledgement(), ackedAt: $0.optionalTime(),
      handedOutAt: $0.optionalTime(), isCancelled: $0.bool())
  }

  public func signals(
    for id: DeviceID, of owner: ClientID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> DeviceSignals {
    var signals = DeviceSignals()
    let rows = try await rows(
      of: Self.selectDeviceSignals, .id(id), .time(time), .integer(Int64(limit)), .text(owner.text))
    for (isCancelled, isHandedOut, signal) in rows {
      if isCancelled {
        signals.cancelled.append(CancelledSignal(id: signal.id, expiresAt: signal.expiresAt))
      } else {
        signals.pending.append(signal)
        if !isHandedOut { signals.notHandedOut.append(signal.id) }
      }
    }
    signals.cancelled.reverse()
    return signals
  }

  /// The client's signals that were cancelled and have not expired.
  private static let cancelledSignals =
    "SELECT id FROM signals INDEXED BY ix_signals_cancelled WHERE client_id = ?4 AND cancelled_at IS NOT NULL AND expires_at > ?2"

  /// The inner SELECT reads the index only, so that a device with many pending signals costs little. Without INDEXED BY,
  /// SQLite might choose another index.
  static let selectDeviceSignals = SQLiteStatement(
    """
    SELECT 0 AS is_cancelled, \(signalColumns),
      (SELECT handed_out_at IS NOT NULL FROM deliveries WHERE signal_id = signals.id AND device_id = ?1)
    FROM (
      SELECT signal_id FROM deliveries INDEXED BY ix_deliveries_device
      WHERE device_id = ?1 AND acked_at IS NULL AND expires_at > ?2 AND cancelled_at IS NULL
        AND signal_id NOT IN (\(invisibleSignals)) AND signal_id NOT IN (\(cancelledSignals))
      ORDER BY signal_id LIMIT ?3
    ) CROSS JOIN signals ON id = signal_id
    UNION ALL
    SELECT 1, id, ?4, '', expires_at, expires_at, 1 FROM (
      SELECT signal_id AS id, expires_at FROM (
        \(cancelledSignals) ORDER BY id DESC LIMIT \(CancelledSignal.maximumSearched)
      ) CROSS JOIN deliveries ON signal_id = id AND device_id = ?1
      WHERE acked_at IS NULL
      UNION
      SELECT signal_id, expires_at FROM deliveries INDEXED BY ix_deliveries_cancelled
      WHERE device_id = ?1 AND cancelled_at IS NOT NULL AND acked_at IS NULL AND expires_at > ?2
      ORDER BY 1 DESC LIMIT \(CancelledSignal.maximumListed)
    )
    ORDER BY 1, 2
    """
  ) { row in
    let (isCancelled, signal) = (row.bool(), signalColumns.read(&row))
    return (isCancelled, isHandedOut: row.bool(), signal)
  }

  public func cancelSignal(
    _ id: SignalID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue, .urgent)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.run(Self.cancelSignal, .id(id), .text(owner.text), .time(change.time)) > 0 else {
          return false
        }
        try writer.record(
          .signalCancelled, of: owner, signal: id, by: change,
          changes: ["cancelled_at": (.null, .text(change.time.description))])
        return true
      }
    }
  }

  static let cancelSignal = SQLiteStatement(
    """
    UPDATE signals SET cancelled_at = ?3
    WHERE id = ?1 AND client_id = ?2 AND is_visible AND cancelled_at IS NULL AND expires_at > ?3
    """)

  public func countDeliveries(
    of id: SignalID, ackedUpTo time: Timestamp, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> (all: Int, acked: Int, last: DeviceID?) {
    let counted = try await firstRow(
      of: Self.countDeliveries, .id(id), .time(time), cursor.map { .id($0) } ?? .text(""),
      .integer(Int64(limit)))
    return counted ?? (0, 0, nil)
  }

  static let countDeliveries = SQLiteStatement(
    """
    SELECT count(*), ifnull(sum(acked_at <= ?2), 0), max(device_id) FROM (
      SELECT device_id, acked_at FROM deliveries WHERE signal_id = ?1 AND device_id > ?3 ORDER BY device_id LIMIT ?4)
    """
  ) { (all: Int($0.integer()), acked: Int($0.integer()), last: $0.optionalID() as DeviceID?) }

  public func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool] {
    guard !acknowledgements.isEmpty else { return [:] }
    return try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        var known: [SignalID: Bool] = [:]
        for acknowledgement in acknowledgements {
          let isFirst = try writer.acknowledge(acknowledgement, by: id, of: owner, at: change.time)
          known[acknowledgement.signalID] = isFirst
          guard isFirst == true else { continue }
          try writer.record(
            .signalAcknowledged, of: owner, device: id, signal: acknowledgement.signalID, by: change,
            changes: [
              "state": (.text("pending"), .text("acked")),
              "status": (.null, .text(acknowledgement.status.rawValue)),
            ])
        }
        return known
      }
    }
  }

  public func recordHandOuts(_ handOuts: [HandOut]) async throws(RegistryError) -> [HandOut] {
    guard !handOuts.isEmpty else { return [] }
    return try await write(Turn(of: nil, .background)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        var stored: [HandOut] = []
        for handOut in handOuts {
          let changed = try writer.run(
            Self.recordHandOut, .id(handOut.signalID), .id(handOut.deviceID), .text(handOut.clientID.text),
            .time(handOut.at))
          if changed > 0 { stored.append(handOut) }
        }
        return stored
      }
    }
  }

  static let recordHandOut = SQLiteStatement(
    "UPDATE deliveries SET handed_out_at = ?4 WHERE handed_out_at IS NULL AND \(isDelivery)")

  static let acknowledge = SQLiteStatement(
    """
    UPDATE deliveries SET status = ?4, broker_ticket = ?5, error = ?6, acked_at = ?7
    WHERE acked_at IS NULL AND \(isDelivery)
    """)

  /// Whether the signal ?1 was sent to the device ?2 of the client ?3.
  private static let isDelivery = """
    signal_id = ?1 AND device_id = ?2 AND EXISTS (SELECT 1 FROM devices WHERE id = ?2 AND client_id = ?3)
    """

  fileprivate static let hasDelivery = SQLiteStatement("SELECT 1 FROM deliveries WHERE \(isDelivery)")
}

extension SQLiteConnection {
  /// Stores the acknowledgement if it is the delivery's first, and returns whether it was; nil if the signal
  /// was not sent to the device.
  fileprivate func acknowledge(
    _ acknowledgement: Acknowledgement, by id: DeviceID, of owner: ClientID, at time: Timestamp
  ) throws(RegistryError) -> Bool? {
    let delivery: [SQLiteValue] = [.id(acknowledgement.signalID), .id(id), .text(owner.text)]
    let changed = try run(
      SQLiteStore.acknowledge,
      delivery + [
        .text(acknowledgement.status.rawValue), .text(acknowledgement.brokerTicket),
        .text(acknowledgement.error), .time(time),
      ])
    if changed > 0 { return true }
    return try rows(of: SQLiteStore.hasDelivery, delivery).isEmpty ? nil : false
  }
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
