internal import EventLoop
public import Registry

extension SQLiteStore {
  /// An email address that hand-written SQL made invalid is read as nil.
  private static let clientColumns = SQLiteColumns(
    "id, email, telegram_id, created_at, suspended_at, status_reason, max_devices, device_count"
  ) {
    Client(
      id: $0.clientID(), email: $0.optionalText().flatMap { Email($0) }, telegramID: $0.optionalInteger(),
      createdAt: $0.time(), suspendedAt: $0.optionalTime(), reason: $0.optionalText(),
      maxDevices: $0.optionalInteger(), deviceCount: $0.integer())
  }

  public func insertClient(_ client: Client, change: Change) async throws(RegistryError) {
    try await write(Turn(of: nil)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        try writer.run(
          Self.insertClient, .text(client.id.text), .text(client.email?.text), .integer(client.telegramID),
          .time(client.createdAt), .integer(client.maxDevices.map(Int64.init))
        ) { (_) throws(RegistryError) in
          // There are two unique indexes: id and email. A deleted client keeps its id until its rows are cleared.
          try writer.hasRow(Self.hasClientRow, .text(client.id.text)) ? .clientIDTaken : .clientEmailTaken
        }
        try writer.useKey(of: change, for: client.id.text)
        let changes = client.maxDevices.map { ["max_devices": (.null, .number($0))] as EventChanges } ?? [:]
        try writer.record(.clientCreated, of: client.id, by: change, changes: changes)
      }
    }
  }

  static let insertClient = SQLiteStatement(
    "INSERT INTO clients (id, email, telegram_id, created_at, max_devices) VALUES (?1, ?2, ?3, ?4, ?5)")

  private static let hasClientRow = SQLiteStatement("SELECT 1 FROM clients WHERE id = ?1")

  static let hasClient = SQLiteStatement("SELECT 1 FROM clients WHERE id = ?1 AND deleted_at IS NULL")

  public func client(_ id: ClientID) async throws(RegistryError) -> Client? {
    try await firstRow(of: Self.selectClient, .text(id.text))
  }

  static let selectClient = SQLiteStatement(
    "SELECT \(clientColumns) FROM clients WHERE id = ?1 AND deleted_at IS NULL", row: clientColumns.read)

  public func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client] {
    try await rows(
      of: Self.selectClients, cursor.map { .time($0.createdAt) } ?? .integer(.min),
      .text(cursor?.id.text ?? ""), .integer(Int64(limit)))
  }

  static let selectClients = SQLiteStatement(
    """
    SELECT \(clientColumns) FROM clients
    WHERE (created_at, id) > (?1, ?2) AND deleted_at IS NULL
    ORDER BY created_at, id LIMIT ?3
    """, row: clientColumns.read)

  public func updateClient(
    _ id: ClientID, _ update: ClientUpdate, change: Change
  ) async throws(RegistryError) -> Client? {
    try await write(Turn(of: nil)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard let client = try writer.firstRow(of: Self.selectClient, .text(id.text)),
          let new = update.applied(to: client)
        else { return nil }
        // This statement can violate only the unique index on addresses.
        try writer.run(
          Self.updateClient, .text(id.text), .text(new.email?.text), .integer(new.telegramID),
          .integer(new.maxDevices.map(Int64.init))
        ) { (_) throws(RegistryError) in .clientEmailTaken }
        try writer.record(
          .clientUpdated, of: id, by: change, changes: ClientUpdate.changes(from: client, to: new))
        return new
      }
    }
  }

  static let updateClient = SQLiteStatement(
    """
    UPDATE clients SET email = ?2, telegram_id = ?3, max_devices = ?4 WHERE id = ?1 AND deleted_at IS NULL
    """)

  public func suspendClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client? {
    try await changeState(of: id, .clientSuspended, .urgent, change) { suspension in
      let isRepeated = suspension.map { change.reason == nil || change.reason == $0.reason } ?? false
      guard !isRepeated else { return nil }
      return (
        change.time, change.reason, suspension == nil ? ["status": (.text("active"), .text("suspended"))] : [:]
      )
    }
  }

  public func resumeClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client? {
    try await changeState(of: id, .clientResumed, .ordinary, change) { suspension in
      suspension.map { _ in (nil, nil, ["status": (.text("suspended"), .text("active"))]) }
    }
  }

  /// In the service's line, not in the client's: the client's own writes neither delay nor refuse it.
  private func changeState(
    of id: ClientID, _ kind: RegistryEvent.Kind, _ urgency: Turn.Urgency, _ change: Change,
    _ apply:
      @escaping @Sendable (DeviceAccess.ClientSuspension?) -> (
        suspendedAt: Timestamp?, reason: String?, changes: EventChanges
      )?
  ) async throws(RegistryError) -> Client? {
    try await write(Turn(of: nil, urgency)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard let client = try writer.firstRow(of: Self.selectClient, .text(id.text)),
          let changed = apply(client.suspension)
        else { return nil }
        try writer.run(
          Self.changeClientState, .text(id.text), .time(changed.suspendedAt), .text(changed.reason))
        try writer.record(kind, of: id, by: change, changes: changed.changes)
        return try writer.firstRow(of: Self.selectClient, .text(id.text))
      }
    }
  }

  static let changeClientState = SQLiteStatement(
    "UPDATE clients SET suspended_at = ?2, status_reason = ?3 WHERE id = ?1 AND deleted_at IS NULL")

  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool {
    // In the service's line, not in the client's: the client's own writes neither delay nor refuse it.
    try await write(Turn(of: nil, .urgent)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.run(Self.deleteClient, .text(id.text), .time(change.time)) > 0 else { return false }
        try writer.record(.clientDeleted, of: id, by: change)
        return true
      }
    }
  }

  /// The condition that the client of a row is not deleted.
  static func isKept(client column: String) -> String {
    """
    NOT EXISTS (
      SELECT 1 FROM clients AS gone INDEXED BY ix_clients_deleted
      WHERE gone.id = \(column) AND gone.deleted_at IS NOT NULL)
    """
  }

  static let deleteClient = SQLiteStatement(
    """
    UPDATE clients SET deleted_at = ?2, email = NULL, telegram_id = NULL WHERE id = ?1 AND deleted_at IS NULL
    """)
}
