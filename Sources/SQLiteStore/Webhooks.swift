internal import Encoding
internal import EventLoop
public import Registry

extension SQLiteStore {
  private static let webhookColumns = SQLiteColumns(
    """
    id, client_id, url, types, description, created_at, updated_at, position_epoch, position_transaction,
    position_sequence, failures, failing_since, next_attempt_at, disabled_at, disabled_cause
    """
  ) { row in
    Webhook(
      id: row.id(), clientID: row.clientID(), url: WebhookURL(stored: row.text()),
      types: row.optionalText().map { EventPatterns(stored: $0) },
      description: row.optionalText().map { WebhookDescription(stored: $0) }, createdAt: row.time(),
      updatedAt: row.time(), progress: progress(&row))
  }

  private static func progress(_ row: inout SQLiteRow) -> DeliveryProgress {
    let position = EventPosition(epoch: row.integer(), transaction: row.integer(), sequence: row.integer())
    return DeliveryProgress(
      stored: position, failures: Int(row.integer()), failingSince: row.optionalTime(),
      nextAttemptAt: row.optionalTime(), end: DeliveryProgress.End(row.optionalTime(), row.optionalText()))
  }

  private static let deliverableColumns = SQLiteColumns("\(webhookColumns), secret, version") {
    DeliverableWebhook(webhook: webhookColumns.read(&$0), sealedSecret: $0.blob(), version: $0.integer())
  }

  /// The values of `webhookColumns`.
  private static func values(of webhook: Webhook) -> [SQLiteValue] {
    [
      .id(webhook.id), .text(webhook.clientID.text), .text(webhook.url.text), .text(webhook.types?.text),
      .text(webhook.description?.text), .time(webhook.createdAt), .time(webhook.updatedAt),
    ] + values(of: webhook.progress)
  }

  /// The values of the columns that `progressAssignments` sets.
  private static func values(of progress: DeliveryProgress) -> [SQLiteValue] {
    [
      .integer(progress.position.epoch), .integer(progress.position.transaction),
      .integer(progress.position.sequence), .integer(Int64(progress.failures)), .time(progress.failingSince),
      .time(progress.nextAttemptAt), .time(progress.end?.time), .text(progress.end?.cause.rawValue),
    ]
  }

  private static func progressAssignments(from first: Int) -> String {
    let columns = [
      "position_epoch", "position_transaction", "position_sequence", "failures", "failing_since",
      "next_attempt_at", "disabled_at", "disabled_cause",
    ]
    return columns.enumerated().map { "\($1) = ?\(first + $0)" }.joined(separator: ", ")
  }

  // MARK: The owner's operations

  public func insertWebhook(
    _ webhook: Webhook, sealedSecret: [UInt8], changes: EventChanges, change: Change
  ) async throws(RegistryError) {
    let owner = webhook.clientID
    let values =
      [.text(owner.text), .integer(Int64(Webhook.maximumPerClient)), .blob(sealedSecret)]
      + Self.values(of: webhook)
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.run(Self.insertWebhook, values) > 0 else {
          throw try writer.hasRow(Self.hasClient, .text(owner.text))
            ? .tooManyWebhooks(limit: Webhook.maximumPerClient) : .clientNotFound
        }
        try writer.useKey(of: change, for: webhook.id.description)
        try writer.record(.webhookCreated, of: owner, by: change, changes: changes)
      }
    }
  }

  static let insertWebhook = SQLiteStatement(
    """
    INSERT INTO webhooks (secret, \(webhookColumns))
    SELECT ?3, \(webhookColumns.parameters(from: 4)) FROM clients
    WHERE id = ?1 AND deleted_at IS NULL AND (SELECT count(*) FROM webhooks WHERE client_id = ?1) < ?2
    """)

  public func webhook(_ id: WebhookID) async throws(RegistryError) -> DeliverableWebhook? {
    try await firstRow(of: Self.selectWebhook, .id(id))
  }

  static let selectWebhook = SQLiteStatement(
    "SELECT \(deliverableColumns) FROM webhooks WHERE id = ?1", row: deliverableColumns.read)

  public func webhooks(of client: ClientID) async throws(RegistryError) -> [Webhook] {
    try await rows(of: Self.selectWebhooks, .text(client.text))
  }

  static let selectWebhooks = SQLiteStatement(
    "SELECT \(webhookColumns) FROM webhooks WHERE client_id = ?1 ORDER BY created_at, id",
    row: webhookColumns.read)

  public func updateWebhook(
    _ webhook: Webhook, version: Int64, changes: EventChanges, change: Change
  ) async throws(RegistryError) -> Bool {
    let values: [SQLiteValue] =
      [
        .id(webhook.id), .integer(version), .time(change.time), .text(webhook.url.text),
        .text(webhook.types?.text), .text(webhook.description?.text),
      ] + Self.values(of: webhook.progress)
    return try await write(Turn(of: webhook.clientID.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.run(Self.updateWebhook, values) > 0 else { return false }
        try writer.record(.webhookUpdated, of: webhook.clientID, by: change, changes: changes)
        return true
      }
    }
  }

  static let updateWebhook = SQLiteStatement(
    """
    UPDATE webhooks SET version = version + 1, updated_at = ?3, url = ?4, types = ?5, description = ?6,
      \(progressAssignments(from: 7))
    WHERE id = ?1 AND version = ?2
    """)

  public func deleteWebhook(
    _ id: WebhookID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.run(Self.deleteWebhook, .id(id), .text(owner.text)) > 0 else { return false }
        try writer.recordDeletion(of: id, of: owner, by: change)
        return true
      }
    }
  }

  static let deleteWebhook = SQLiteStatement("DELETE FROM webhooks WHERE id = ?1 AND client_id = ?2")

  // MARK: Delivery

  private static let dueColumns = SQLiteColumns("id, client_id") {
    DueWebhook(id: $0.id(), clientID: $0.clientID())
  }

  public func dueWebhooks(
    of clients: [ClientID], at time: Timestamp
  ) async throws(RegistryError) -> [DueWebhook] {
    let ids = clients.map { JSONString.quoted($0.text) }.joined(separator: ",")
    return try await rows(of: Self.selectDueOfClients, .text("[\(ids)]"), .time(time))
  }

  /// Enabled, not waiting for a retry, and of a client that is not deleted.
  private static let isDue = """
    disabled_at IS NULL AND (next_attempt_at IS NULL OR next_attempt_at <= ?2) AND \(isKept(client: "client_id"))
    """

  static let selectDueOfClients = SQLiteStatement(
    """
    SELECT \(dueColumns) FROM webhooks
    WHERE client_id IN (SELECT value FROM json_each(?1)) AND \(isDue)
    """, row: dueColumns.read)

  public func dueWebhooks(
    after id: WebhookID?, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [DueWebhook] {
    try await rows(
      of: Self.selectDue, id.map { .id($0) } ?? .text(""), .time(time), .integer(Int64(limit)))
  }

  static let selectDue = SQLiteStatement(
    "SELECT \(dueColumns) FROM webhooks WHERE id > ?1 AND \(isDue) ORDER BY id LIMIT ?3",
    row: dueColumns.read)

  public func webhooksToRetry(
    at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [DueWebhook] {
    try await rows(of: Self.selectRetries, .integer(Int64(limit)), .time(time))
  }

  static let selectRetries = SQLiteStatement(
    """
    SELECT \(dueColumns) FROM webhooks WHERE next_attempt_at <= ?2 AND \(isKept(client: "client_id"))
    ORDER BY next_attempt_at LIMIT ?1
    """, row: dueColumns.read)

  public func recordDeliveries(
    _ deliveries: [WebhookDelivery], of webhook: Webhook, version: Int64, progress: DeliveryProgress,
    change: Change
  ) async throws(RegistryError) -> Int64? {
    let (id, owner) = (webhook.id, webhook.clientID)
    let values = [.id(id), .integer(version), .integer(Int64(deliveries.count))] + Self.values(of: progress)
    return try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard let (version, last) = try writer.rows(of: Self.moveWebhook, values).first else { return nil }
        for (number, delivery) in zip((last - Int64(deliveries.count) + 1)..., deliveries) {
          try writer.insert(delivery, of: id, number: number)
        }
        try writer.run(Self.trimDeliveries, .id(id), .integer(last - Int64(WebhookDelivery.maximumKept)))
        if !progress.isEnabled { try writer.recordEnd(of: id, of: owner, by: change) }
        return version
      }
    }
  }

  private static let moveWebhook = SQLiteStatement(
    """
    UPDATE webhooks SET version = version + 1, delivery_count = delivery_count + ?3,
      \(progressAssignments(from: 4))
    WHERE id = ?1 AND version = ?2
    RETURNING version, delivery_count
    """
  ) { (version: $0.integer(), last: $0.integer()) }

  fileprivate static let insertDelivery = SQLiteStatement(
    """
    INSERT INTO webhook_deliveries (
      webhook_id, number, event_id, event_type, attempt, at, duration_ms, status, excerpt, reason
    ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    """)

  private static let trimDeliveries = SQLiteStatement(
    "DELETE FROM webhook_deliveries WHERE webhook_id = ?1 AND number <= ?2")

  fileprivate static let touchWebhook = SQLiteStatement("UPDATE webhooks SET updated_at = ?2 WHERE id = ?1")

  public func webhookDeliveries(
    of id: WebhookID, before cursor: DeliveryCursor?, limit: Int
  ) async throws(RegistryError) -> [LoggedDelivery] {
    try await rows(
      of: Self.selectWebhookDeliveries, .id(id), .integer(cursor?.number ?? .max), .integer(Int64(limit)))
  }

  static let selectWebhookDeliveries = SQLiteStatement(
    """
    SELECT number, event_id, event_type, attempt, at, duration_ms, status, excerpt, reason
    FROM webhook_deliveries WHERE webhook_id = ?1 AND number < ?2
    ORDER BY number DESC LIMIT ?3
    """
  ) { row in
    LoggedDelivery(
      number: row.integer(),
      delivery: WebhookDelivery(
        eventID: row.id(), eventType: row.text(), attempt: Int(row.integer()), at: row.time(),
        durationMilliseconds: Int(row.integer()),
        outcome: DeliveryOutcome(
          status: row.optionalInteger().map { Int($0) }, excerpt: row.optionalText(), reason: row.optionalText()
        )
      ))
  }

  public func removeWebhookDeliveries(
    before time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.run(Self.removeWebhookDeliveries, .time(time), .integer(Int64(maximumRows)))
    }
  }

  static let removeWebhookDeliveries = SQLiteStatement(
    """
    DELETE FROM webhook_deliveries WHERE (webhook_id, number) IN (
      SELECT webhook_id, number FROM webhook_deliveries WHERE at < ?1 ORDER BY at LIMIT ?2)
    """)

  public func webhookCounts() async throws(RegistryError) -> WebhookCounts {
    try await firstRow(of: Self.countWebhooks) ?? WebhookCounts(failing: 0, disabled: 0)
  }

  static let countWebhooks = SQLiteStatement(
    """
    SELECT count(*) FILTER (WHERE disabled_at IS NULL), count(*) FILTER (WHERE disabled_at IS NOT NULL)
    FROM webhooks WHERE failures > 0
    """
  ) { WebhookCounts(failing: Int($0.integer()), disabled: Int($0.integer())) }
}

extension SQLiteConnection {
  fileprivate func insert(
    _ delivery: WebhookDelivery, of id: WebhookID, number: Int64
  ) throws(RegistryError) {
    try run(
      SQLiteStore.insertDelivery, .id(id), .integer(number), .id(delivery.eventID), .text(delivery.eventType),
      .integer(Int64(delivery.attempt)), .time(delivery.at), .integer(Int64(delivery.durationMilliseconds)),
      .integer(delivery.outcome.status.map(Int64.init)), .text(delivery.outcome.excerpt),
      .text(delivery.outcome.reason))
  }

  /// Records that the webhook was disabled.
  fileprivate func recordEnd(of id: WebhookID, of owner: ClientID, by change: Change) throws(RegistryError) {
    try run(SQLiteStore.touchWebhook, .id(id), .time(change.time))
    try record(
      .webhookDisabled, of: owner, by: change,
      changes: [
        "webhook_id": (.text(id.description), .text(id.description)), "enabled": (.bool(true), .bool(false)),
      ])
  }

  func recordDeletion(of id: WebhookID, of owner: ClientID, by change: Change) throws(RegistryError) {
    try record(
      .webhookDeleted, of: owner, by: change, changes: ["webhook_id": (.text(id.description), .null)])
  }
}
