internal import EventLoop
public import Registry

// Rows that nobody needs any more are deleted in steps, so that no step delays other writes for long.

extension SQLiteStore {
  public func removeSignals(
    expiredBefore time: Timestamp, abandonedBefore: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await clear(atMost: maximumRows) { (writer, clearing) throws(RegistryError) in
      while clearing.rowsLeft > 0, let id = try writer.firstRow(of: Self.selectExpiredSignal, .time(time)) {
        try writer.removeSignal(id, &clearing)
      }
      while clearing.rowsLeft > 0,
        let id = try writer.firstRow(of: Self.selectAbandonedSignal, .time(abandonedBefore))
      {
        try writer.removeSignal(id, &clearing)
      }
    }
  }

  static let selectExpiredSignal = SQLiteStatement(
    "SELECT id FROM signals WHERE expires_at < ?1 ORDER BY expires_at LIMIT 1"
  ) { $0.id() as SignalID }

  static let selectAbandonedSignal = SQLiteStatement(
    """
    SELECT id FROM signals INDEXED BY ix_signals_invisible WHERE NOT is_visible AND created_at < ?1 LIMIT 1
    """
  ) { $0.id() as SignalID }

  public func clearDeletedClients(
    _ id: ClientID?, maximumRows: Int, change: Change
  ) async throws(RegistryError) -> Int {
    try await clear(atMost: maximumRows) { (writer, clearing) throws(RegistryError) in
      while clearing.rowsLeft > 0, let client = try writer.deletedClient(id) {
        try writer.removeClient(client, by: change, &clearing)
      }
    }
  }

  static let selectDeletedClient = SQLiteStatement(
    "SELECT id FROM clients INDEXED BY ix_clients_deleted WHERE id = ?1 AND deleted_at IS NOT NULL"
  ) { $0.clientID() }

  static let selectDeletedClients = SQLiteStatement(
    "SELECT id FROM clients INDEXED BY ix_clients_deleted WHERE deleted_at IS NOT NULL LIMIT 1"
  ) { $0.clientID() }

  static let selectSignalOfClient = SQLiteStatement("SELECT id FROM signals WHERE client_id = ?1 LIMIT 1") {
    $0.id() as SignalID
  }

  static let selectDeviceOfClient = SQLiteStatement(
    "SELECT \(deviceColumns) FROM devices WHERE client_id = ?1 LIMIT 1", row: deviceColumns.read)

  /// Deletes the first ?2 deliveries of a signal.
  static let removeDeliveries = SQLiteStatement(
    """
    DELETE FROM deliveries WHERE signal_id = ?1 AND device_id < ifnull(
      (SELECT device_id FROM deliveries WHERE signal_id = ?1 ORDER BY device_id LIMIT 1 OFFSET ?2),
      '\(afterAllIDs)')
    """)

  static let selectWebhookOfClient = SQLiteStatement("SELECT id FROM webhooks WHERE client_id = ?1 LIMIT 1") {
    $0.id() as WebhookID
  }

  /// Deletes the first ?2 logged deliveries of a webhook.
  static let removeDeliveriesOfWebhook = SQLiteStatement(
    """
    DELETE FROM webhook_deliveries WHERE webhook_id = ?1
      AND number < (SELECT min(number) FROM webhook_deliveries WHERE webhook_id = ?1) + ?2
    """)

  /// Deletes the first ?2 tokens of a device.
  static let removeTokensOfDevice = SQLiteStatement(
    """
    DELETE FROM device_tokens WHERE token_hash IN (
      SELECT token_hash FROM device_tokens WHERE device_id = ?1 LIMIT ?2)
    """)

  /// Runs one step in a transaction, and returns how many rows it deleted.
  func clear(
    atMost maximumRows: Int,
    _ body: @escaping @Sendable (SQLiteConnection, inout Clearing) throws(RegistryError) -> Void
  ) async throws(RegistryError) -> Int {
    try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        var clearing = Clearing(rowsLeft: maximumRows)
        try body(writer, &clearing)
        try writer.giveBackPages()
        return maximumRows - clearing.rowsLeft
      }
    }
  }
}

/// How many rows a step may still delete.
struct Clearing {
  var rowsLeft: Int
}

extension SQLiteConnection {
  /// Unused pages that stay in the file for later rows: 4 MiB.
  static let keptPages = 1024
  /// Pages that one step gives back to the file system: 1 MiB, more than a step of 2,000 rows makes free.
  static let pagesPerStep = 256

  /// Makes the file smaller if it has many unused pages. Files of earlier versions keep their size: auto_vacuum is off.
  fileprivate func giveBackPages() throws(RegistryError) {
    let unused = try firstRow(of: Self.countUnusedPages) ?? 0
    if unused > Self.keptPages { try run(Self.removePages) }
  }

  private static let countUnusedPages = SQLiteStatement("PRAGMA freelist_count") { Int($0.integer()) }
  private static let removePages = SQLiteStatement("PRAGMA incremental_vacuum(\(pagesPerStep))")

  /// Deletes the signal's deliveries, and the signal after its last one.
  fileprivate func removeSignal(_ id: SignalID, _ clearing: inout Clearing) throws(RegistryError) {
    try run(SQLiteStore.removeDeliveries, .id(id), &clearing)
    try run(Self.removeSignal, .id(id), &clearing)
  }

  private static let removeSignal = SQLiteStatement("DELETE FROM signals WHERE id = ?1 AND ?2 > 0")

  fileprivate func deletedClient(_ id: ClientID?) throws(RegistryError) -> ClientID? {
    guard let id else { return try firstRow(of: SQLiteStore.selectDeletedClients) }
    return try firstRow(of: SQLiteStore.selectDeletedClient, .text(id.text))
  }

  /// Deletes the client's webhooks, enrolments, linked chats and signals, then its devices with their tokens, and the client after its last row.
  fileprivate func removeClient(
    _ id: ClientID, by change: Change, _ clearing: inout Clearing
  ) throws(RegistryError) {
    while clearing.rowsLeft > 0,
      let webhook = try firstRow(of: SQLiteStore.selectWebhookOfClient, .text(id.text))
    {
      try run(SQLiteStore.removeDeliveriesOfWebhook, .id(webhook), &clearing)
      guard try run(Self.removeWebhook, .id(webhook), &clearing) > 0 else { break }
      try recordDeletion(of: webhook, of: id, by: change)
    }
    while clearing.rowsLeft > 0,
      let enrolment = try firstRow(of: SQLiteStore.removeEnrolmentOfClient, .text(id.text))
    {
      clearing.rowsLeft -= 1
      try recordDeletion(of: enrolment, by: change)
    }
    while clearing.rowsLeft > 0,
      let link = try firstRow(of: SQLiteStore.removeTelegramLinkOfClient, .text(id.text))
    {
      clearing.rowsLeft -= 1
      try recordUnlinking(of: link, of: id, by: change)
    }
    while clearing.rowsLeft > 0,
      let signal = try firstRow(of: SQLiteStore.selectSignalOfClient, .text(id.text))
    {
      try removeSignal(signal, &clearing)
    }
    while clearing.rowsLeft > 0,
      let device = try firstRow(of: SQLiteStore.selectDeviceOfClient, .text(id.text))
    {
      try run(SQLiteStore.removeTokensOfDevice, .id(device.id), &clearing)
      guard try run(Self.removeDevice, .id(device.id), &clearing) > 0 else { break }
      try record(
        .deviceDeleted, of: id, device: device.id, by: change,
        changes: ["device_name": (.text(device.deviceName.text), .null)])
    }
    try run(Self.removeClient, .text(id.text), &clearing)
  }

  private static let removeDevice = SQLiteStatement("DELETE FROM devices WHERE id = ?1 AND ?2 > 0")
  private static let removeWebhook = SQLiteStatement("DELETE FROM webhooks WHERE id = ?1 AND ?2 > 0")
  private static let removeClient = SQLiteStatement("DELETE FROM clients WHERE id = ?1 AND ?2 > 0")

  /// Runs a statement that deletes at most ?2 rows.
  @discardableResult
  private func run(
    _ statement: SQLiteStatement<Void>, _ id: SQLiteValue, _ clearing: inout Clearing
  ) throws(RegistryError) -> Int {
    let deleted = try run(statement, id, .integer(Int64(clearing.rowsLeft)))
    clearing.rowsLeft -= deleted
    return deleted
  }
}
