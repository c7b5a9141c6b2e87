internal import EventLoop
public import Registry

// Signals are stored in steps, and are visible once their last delivery is stored.

extension SQLiteStore {
  public func insertSignal(
    _ signal: Signal, to selector: DeviceSelector, bounds: SignalBounds, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress {
    let size: SQLiteDatabase.Size = if case .devices = selector { .short } else { .long }
    return try await write(Turn(of: signal.clientID.hashValue), size) {
      (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let number = try writer.checkSignal(signal, to: selector, bounds: bounds)
        switch selector {
        case .devices(let ids):
          try writer.insert(signal, devices: number, isVisible: true)
          for id in ids {
            try writer.run(Self.insertDelivery, .id(signal.id), .id(id), .time(signal.expiresAt))
          }
          let progress = SignalProgress(deliveries: number, last: nil)
          try writer.recordCreation(of: signal, progress, by: change)
          return progress
        case .all, .group, .labels:
          try writer.insert(signal, devices: number, isVisible: number <= step)
          let start = SignalProgress(deliveries: 0, last: nil)
          let progress = try writer.insertDeliveries(
            of: signal, to: selector, after: start, reserved: number, step: step)
          try writer.recordCreation(of: signal, progress, by: change)
          return progress
        }
      }
    }
  }

  public func continueSignal(
    _ signal: Signal, to selector: DeviceSelector, after progress: SignalProgress, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress {
    try await write(Turn(of: signal.clientID.hashValue), .nextStep) {
      (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard let reserved = try writer.firstRow(of: Self.selectReservation, .id(signal.id)) else {
          throw .unavailable(cause: "the signal was removed before all its deliveries were stored")
        }
        let next = try writer.insertDeliveries(
          of: signal, to: selector, after: progress, reserved: reserved, step: step)
        if next.last == nil {
          try writer.run(Self.showSignal, .id(signal.id), .integer(Int64(next.deliveries)))
        }
        try writer.recordCreation(of: signal, next, by: change)
        return next
      }
    }
  }

  static let selectLimits = SQLiteStatement(
    "SELECT signal_count, delivery_count FROM clients WHERE id = ?1 AND deleted_at IS NULL"
  ) { (signals: Int($0.integer()), deliveries: Int($0.integer())) }

  static let countLiveSignals = SQLiteStatement(
    "SELECT count(*) FROM signals WHERE client_id = ?1 AND expires_at > ?2"
  ) { Int($0.integer()) }

  static let countDevices = SQLiteSelections { selection in
    SQLiteStatement("SELECT count(*) FROM (\(selection(1)))") { Int($0.integer()) }
  }

  fileprivate static let insertDelivery = SQLiteStatement(
    "INSERT INTO deliveries (signal_id, device_id, expires_at) VALUES (?1, ?2, ?3)")

  static let insertDeliveries = SQLiteSelections { selection in
    SQLiteStatement(
      """
      INSERT INTO deliveries (signal_id, device_id, expires_at)
      SELECT ?1, selected.*, ?2 FROM (\(selection(3))) AS selected
      """)
  }

  static let selectLastDelivery = SQLiteStatement("SELECT max(device_id) FROM deliveries WHERE signal_id = ?1")
  {
    $0.id() as DeviceID
  }

  /// The number of deliveries that a signal is to have, while they are being stored.
  static let selectReservation = SQLiteStatement(
    """
    SELECT devices FROM signals INDEXED BY ix_signals_invisible
    WHERE id = ?1 AND NOT is_visible AND \(isKept(client: "client_id"))
    """
  ) { Int($0.integer()) }

  static let showSignal = SQLiteStatement("UPDATE signals SET is_visible = 1, devices = ?2 WHERE id = ?1")
}

extension SQLiteConnection {
  /// Tests whether the signal can be stored, in the documented order, and returns the number of its deliveries.
  fileprivate func checkSignal(
    _ signal: Signal, to selector: DeviceSelector, bounds: SignalBounds
  ) throws(RegistryError) -> Int {
    let owner = SQLiteValue.text(signal.clientID.text)
    guard let kept = try firstRow(of: SQLiteStore.selectLimits, owner) else { throw .clientNotFound }
    let number: Int
    if case .group(let name) = selector { try checkGroup(name, of: signal.clientID) }
    if case .devices(let ids) = selector {
      try checkAddressees(ids, of: signal.clientID)
      number = ids.count
    } else {
      number =
        try rows(
          of: SQLiteStore.countDevices[selector],
          SQLiteStore.values(of: selector, client: signal.clientID, after: nil, limit: nil)
        ).first ?? 0
    }
    let live = try firstRow(of: SQLiteStore.countLiveSignals, owner, .time(signal.createdAt)) ?? 0
    guard live < bounds.live else { throw .tooManySignals(limit: bounds.live) }
    guard kept.signals < bounds.kept else { throw .tooManyKeptSignals(limit: bounds.kept) }
    guard kept.deliveries + number <= bounds.deliveries else {
      throw .tooManyDeliveries(limit: bounds.deliveries)
    }
    return number
  }

  /// Throws `deviceNotFound`, `notOwner` or `deviceRevoked`, in this order of precedence.
  private func checkAddressees(_ ids: [DeviceID], of owner: ClientID) throws(RegistryError) {
    var (isForeign, isRevoked) = (false, false)
    for id in ids {
      guard let found = try firstRow(of: Self.selectAddressee, .id(id)) else { throw .deviceNotFound }
      if found.owner != owner { isForeign = true }
      if found.isRevoked { isRevoked = true }
    }
    if isForeign { throw .notOwner }
    if isRevoked { throw .deviceRevoked }
  }

  private static let selectAddressee = SQLiteStatement(
    "SELECT client_id, revoked FROM devices WHERE id = ?1"
  ) { (owner: $0.clientID(), isRevoked: $0.bool()) }

  /// Records the signal if it is stored wholly, so that it is visible.
  fileprivate func recordCreation(
    of signal: Signal, _ progress: SignalProgress, by change: Change
  ) throws(RegistryError) {
    guard progress.last == nil else { return }
    try useKey(of: change, for: signal.id.description)
    try record(
      .signalCreated, of: signal.clientID, signal: signal.id, by: change,
      changes: ["devices": (.null, .number(progress.deliveries))])
  }

  /// - Parameter devices: the number of its deliveries, which counts for the bounds at once.
  fileprivate func insert(_ signal: Signal, devices: Int, isVisible: Bool) throws(RegistryError) {
    try run(
      Self.insertSignal, .id(signal.id), .text(signal.clientID.text), .integer(Int64(devices)),
      .time(signal.createdAt), .time(signal.expiresAt), .utf8(signal.payload), .bool(isVisible))
  }

  private static let insertSignal = SQLiteStatement(
    """
    INSERT INTO signals (id, client_id, devices, created_at, expires_at, payload, is_visible)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    """)

  /// Stores the deliveries of the next selected devices, at most `step`, and no more than are reserved: a device
  /// that was registered meanwhile does not get the signal.
  fileprivate func insertDeliveries(
    of signal: Signal, to selector: DeviceSelector, after progress: SignalProgress, reserved: Int, step: Int
  ) throws(RegistryError) -> SignalProgress {
    let number = min(step, reserved - progress.deliveries)
    let stored = try run(
      SQLiteStore.insertDeliveries[selector],
      [.id(signal.id), .time(signal.expiresAt)]
        + SQLiteStore.values(of: selector, client: signal.clientID, after: progress.last, limit: number))
    let sum = progress.deliveries + stored
    // Fewer if devices were revoked meanwhile.
    guard stored == number, sum < reserved else { return SignalProgress(deliveries: sum, last: nil) }
    return SignalProgress(
      deliveries: sum, last: try firstRow(of: SQLiteStore.selectLastDelivery, .id(signal.id)))
  }
}
