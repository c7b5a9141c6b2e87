public import Registry

extension PostgresStore {
  public func insertSignal(
    _ signal: Signal, to addressees: Addressees, maxLive: Int, change: Change
  ) async throws(RegistryError) -> Int {
    let listed: PostgresValue =
      switch addressees {
      case .devices(let ids): .uuids(ids)
      case .all: .null
      }
    let values: [PostgresValue] = [
      .uuid(signal.id), .text(signal.clientID.text), .bytes(signal.payload), .timestamp(signal.createdAt),
      .timestamp(signal.expiresAt), listed, .int8(Int64(maxLive)),
    ]
    return try await run(.insertSignal, values) { (answer) throws(RegistryError) in
      let row = answer.row(0)
      switch row.text(0) {
      case nil: return Int(row.int8(1)!)
      case "clientNotFound": throw .clientNotFound
      case "deviceNotFound": throw .deviceNotFound
      case "notOwner": throw .notOwner
      case "deviceRevoked": throw .deviceRevoked
      case "tooManySignals": throw .tooManySignals(limit: maxLive)
      case let other?: throw .fault(cause: "insert_signal: \(other)")
      }
    }
  }

  public func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary] {
    // Behind every id that the registry makes.
    let start = cursor?.id ?? SignalID(high: .max, low: .max)
    return try await run(.signals, [.text(clientID.text), .uuid(start), .int8(Int64(limit))]) {
      $0.map(SignalSummary.init(row:))
    }
  }

  public func signal(_ id: SignalID) async throws(RegistryError) -> (signal: Signal, devices: Int)? {
    try await run(.signal, [.uuid(id)]) { answer in
      answer.firstRow.map { (Signal(row: $0), Int($0.int8(5)!)) }
    }
  }

  public func deliveries(of id: SignalID) async throws(RegistryError) -> [Delivery] {
    try await run(.deliveries, [.uuid(id)]) { $0.map(Delivery.init(row:)) }
  }

  public func pendingSignals(
    of id: DeviceID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [Signal] {
    try await run(.pendingSignals, [.uuid(id), .timestamp(time), .int8(Int64(limit))]) {
      $0.map(Signal.init(row:))
    }
  }

  public func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool] {
    guard !acknowledgements.isEmpty else { return [:] }
    let values: [PostgresValue] = [
      .uuid(id), .uuids(acknowledgements.map(\.signalID)),
      .array(of: .text, acknowledgements.map { .text($0.status.rawValue) }),
      .array(of: .text, acknowledgements.map { .text(orNull: $0.brokerTicket) }),
      .array(of: .text, acknowledgements.map { .text(orNull: $0.error) }),
      .timestamp(change.time),
    ]
    return try await run(.acknowledge, values) { answer in
      Dictionary(uniqueKeysWithValues: answer.map { ($0.uuid(0), $0.bool(1)) })
    }
  }

  public func removeSignals(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int {
    try await run(.removeSignals, [.timestamp(time), .int8(Int64(limit))]) { $0.changedRowCount }
  }
}

extension Signal {
  /// Reads `PostgresStatement.signalColumns`.
  fileprivate init(row: PostgresAnswer.Row) {
    self.init(
      id: row.uuid(0), clientID: ClientID(row.text(1)!)!, payload: row.octets(2)!,
      createdAt: row.timestamp(3)!, expiresAt: row.timestamp(4)!)
  }
}

extension SignalSummary {
  /// Reads a row of `PostgresStatement.signals`.
  fileprivate init(row: PostgresAnswer.Row) {
    self.init(
      id: row.uuid(0), createdAt: row.timestamp(1)!, expiresAt: row.timestamp(2)!, devices: Int(row.int8(3)!))
  }
}

extension Delivery {
  /// Reads a row of `PostgresStatement.deliveries`. The database holds that the status is one that is known.
  fileprivate init(row: PostgresAnswer.Row) {
    self.init(
      deviceID: row.uuid(1),
      acknowledgement: row.text(2).map {
        Acknowledgement(
          signalID: row.uuid(0), status: Acknowledgement.Status(rawValue: $0)!, brokerTicket: row.text(3),
          error: row.text(4))
      }, ackedAt: row.timestamp(5))
  }
}
