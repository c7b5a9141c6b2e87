public import Registry

extension PostgresStore {
  static let webhookStatements = [
    insertWebhook.prepared, selectWebhook.prepared, selectWebhooks.prepared, updateWebhook.prepared,
    deleteWebhook.prepared, selectDueOfClients.prepared, selectDue.prepared,
    selectRetries.prepared, recordDeliveries.prepared, recordLastDeliveries.prepared,
    selectWebhookDeliveries.prepared, removeWebhookDeliveries.prepared, countWebhooks.prepared,
  ]

  private static let webhookColumns = PostgresColumns(
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

  private static func progress(_ row: inout PostgresRow) -> DeliveryProgress {
    let position = EventPosition(epoch: row.integer(), transaction: row.integer(), sequence: row.integer())
    return DeliveryProgress(
      stored: position, failures: Int(row.integer()), failingSince: row.optionalTime(),
      nextAttemptAt: row.optionalTime(), end: DeliveryProgress.End(row.optionalTime(), row.optionalText()))
  }

  private static let deliverableColumns = PostgresColumns("\(webhookColumns), secret, version") {
    DeliverableWebhook(webhook: webhookColumns.read(&$0), sealedSecret: $0.bytes(), version: $0.integer())
  }

  /// The values of `webhookColumns`.
  private static func values(of webhook: Webhook) -> [PostgresValue] {
    [
      .uuid(webhook.id), .text(webhook.clientID.text), .text(webhook.url.text),
      .text(orNull: webhook.types?.text), .text(orNull: webhook.description?.text),
      .timestamp(webhook.createdAt), .timestamp(webhook.updatedAt),
    ] + values(of: webhook.progress)
  }

  /// The values of the columns that `progressAssignments` sets.
  private static func values(of progress: DeliveryProgress) -> [PostgresValue] {
    [
      .int8(progress.position.epoch), .int8(progress.position.transaction), .int8(progress.position.sequence),
      .int8(Int64(progress.failures)), .timestamp(orNull: progress.failingSince),
      .timestamp(orNull: progress.nextAttemptAt), .timestamp(orNull: progress.end?.time),
      .text(orNull: progress.end?.cause.rawValue),
    ]
  }

  private static func progressAssignments(from first: Int) -> String {
    let columns = [
      "position_epoch", "position_transaction", "position_sequence", "failures", "failing_since",
      "next_attempt_at", "disabled_at", "disabled_cause",
    ]
    return columns.enumerated().map { "\($1) = $\(first + $0)" }.joined(separator: ", ")
  }

  // MARK: The owner's operations

  public func insertWebhook(
    _ webhook: Webhook, sealedSecret: [UInt8], changes: EventChanges, change: Change
  ) async throws(RegistryError) {
    try await run(
      Self.insertWebhook, for: webhook.clientID,
      [.bytes(sealedSecret), .text(orNull: changes.json)] + Self.values(of: change)
        + Self.values(of: change.idempotencyClaim) + Self.values(of: webhook))
  }

  /// A trigger locks the client's row, so that it counts the client's webhooks rightly.
  static let insertWebhook = PostgresStatement(
    .lockingWrite,
    """
    WITH created AS (
      INSERT INTO webhooks (secret, \(webhookColumns)) VALUES ($1::bytea, \(webhookColumns.parameters(from: 11)))
      RETURNING id, client_id
    ), used AS (
      \(useKey(forEachOf: "created", resource: "id", from: 8, at: "$3::timestamptz"))
    )
    \(record(.webhookCreated, forEachOf: "created", by: change(from: 3), changes: "$2::text"))
    """)

  public func webhook(_ id: WebhookID) async throws(RegistryError) -> DeliverableWebhook? {
    try await firstRow(of: Self.selectWebhook, .uuid(id))
  }

  static let selectWebhook = PostgresStatement(
    .read, "SELECT \(deliverableColumns) FROM webhooks WHERE id = $1::uuid", row: deliverableColumns.read)

  public func webhooks(of client: ClientID) async throws(RegistryError) -> [Webhook] {
    try await rows(of: Self.selectWebhooks, .text(client.text))
  }

  static let selectWebhooks = PostgresStatement(
    .read, "SELECT \(webhookColumns) FROM webhooks WHERE client_id = $1::text ORDER BY created_at, id",
    row: webhookColumns.read)

  public func updateWebhook(
    _ webhook: Webhook, version: Int64, changes: EventChanges, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.updateWebhook, for: webhook.clientID,
      [.uuid(webhook.id), .int8(version), .text(orNull: changes.json)] + Self.values(of: change) + [
        .text(webhook.url.text), .text(orNull: webhook.types?.text), .text(orNull: webhook.description?.text),
      ] + Self.values(of: webhook.progress)) > 0
  }

  static let updateWebhook = PostgresStatement(
    .write,
    """
    WITH changed AS (
      UPDATE webhooks SET version = version + 1, updated_at = $4::timestamptz, url = $9, types = $10,
        description = $11, \(progressAssignments(from: 12))
      WHERE id = $1::uuid AND version = $2::int8
      RETURNING client_id
    )
    \(record(.webhookUpdated, forEachOf: "changed", by: change(from: 4), changes: "$3::text"))
    """)

  public func deleteWebhook(
    _ id: WebhookID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(Self.deleteWebhook, for: owner, [.uuid(id), .text(owner.text)] + Self.values(of: change)) > 0
  }

  static let deleteWebhook = PostgresStatement(
    .waitingWrite,
    """
    WITH gone AS (
      DELETE FROM webhooks WHERE id = $1::uuid AND client_id = $2::text RETURNING id, client_id
    )
    \(record(
      .webhookDeleted, forEachOf: "gone", by: change(from: 3),
      changes: "json_build_object('webhook_id', json_build_array(id, NULL))"))
    """)

  // MARK: Delivery

  private static let dueColumns = PostgresColumns("id, client_id") {
    DueWebhook(id: $0.id(), clientID: $0.clientID())
  }

  public func dueWebhooks(
    of clients: [ClientID], at time: Timestamp
  ) async throws(RegistryError) -> [DueWebhook] {
    try await rows(
      of: Self.selectDueOfClients, .array(of: .text, clients.map { .text($0.text) }), .timestamp(time))
  }

  /// Enabled, not waiting for a retry, and of a client that is not deleted.
  private static let isDue = """
    disabled_at IS NULL AND (next_attempt_at IS NULL OR next_attempt_at <= $2::timestamptz)
      AND \(isKept(client: "client_id"))
    """

  static let selectDueOfClients = PostgresStatement(
    .read,
    "SELECT \(dueColumns) FROM webhooks WHERE client_id = ANY ($1::text[]) AND \(isDue)",
    row: dueColumns.read)

  public func dueWebhooks(
    after id: WebhookID?, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [DueWebhook] {
    try await rows(
      of: Self.selectDue, .uuid(id ?? WebhookID(high: 0, low: 0)), .timestamp(time), .int8(Int64(limit))
    )
  }

  static let selectDue = PostgresStatement(
    .read,
    """
    SELECT \(dueColumns) FROM webhooks WHERE id > $1::uuid AND \(isDue)
    ORDER BY id LIMIT $3::int8
    """, row: dueColumns.read)

  public func webhooksToRetry(
    at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [DueWebhook] {
    try await rows(of: Self.selectRetries, .int8(Int64(limit)), .timestamp(time))
  }

  static let selectRetries = PostgresStatement(
    .read,
    """
    SELECT \(dueColumns) FROM webhooks
    WHERE next_attempt_at <= $2::timestamptz AND \(isKept(client: "client_id"))
    ORDER BY next_attempt_at LIMIT $1::int8
    """, row: dueColumns.read)

  public func recordDeliveries(
    _ deliveries: [WebhookDelivery], of webhook: Webhook, version: Int64, progress: DeliveryProgress,
    change: Change
  ) async throws(RegistryError) -> Int64? {
    let log: [PostgresValue] = [
      .array(of: .uuid, deliveries.map { .uuid($0.eventID) }),
      .array(of: .text, deliveries.map { .text($0.eventType) }),
      .array(of: .int8, deliveries.map { .int8(Int64($0.attempt)) }),
      .array(of: .timestamp, deliveries.map { .timestamp($0.at) }),
      .array(of: .int8, deliveries.map { .int8(Int64($0.durationMilliseconds)) }),
      .array(of: .int8, deliveries.map { .int8(orNull: $0.outcome.status.map(Int64.init)) }),
      .array(of: .text, deliveries.map { .text(orNull: $0.outcome.excerpt) }),
      .array(of: .text, deliveries.map { .text(orNull: $0.outcome.reason) }),
    ]
    let values = [.uuid(webhook.id), .int8(version)] + Self.values(of: progress) + log
    guard progress.isEnabled else {
      return try await firstRow(
        of: Self.recordLastDeliveries, for: webhook.clientID, values + Self.values(of: change))
    }
    return try await firstRow(of: Self.recordDeliveries, for: webhook.clientID, values)
  }

  static let recordDeliveries = PostgresStatement(
    .write, "\(withRecordedDeliveries("")) SELECT version FROM moved"
  ) { $0.integer() }

  /// The same, with the event that the webhook was disabled.
  static let recordLastDeliveries = PostgresStatement(
    .write,
    """
    \(withRecordedDeliveries(", updated_at = $19::timestamptz")), ended AS (
      \(record(
        .webhookDisabled, forEachOf: "moved", by: change(from: 19),
        changes: """
          json_build_object('webhook_id', json_build_array(id, id), 'enabled', json_build_array(true, false))
          """))
    )
    SELECT version FROM moved
    """
  ) { $0.integer() }

  private static func withRecordedDeliveries(_ assignments: String) -> String {
    """
    WITH moved AS (
      UPDATE webhooks SET version = version + 1, delivery_count = delivery_count + cardinality($11::uuid[]),
        \(progressAssignments(from: 3))\(assignments)
      WHERE id = $1::uuid AND version = $2::int8
      RETURNING id, client_id, version, delivery_count
    ), logged AS (
      INSERT INTO webhook_deliveries (
        webhook_id, number, event_id, event_type, attempt, at, duration_ms, status, excerpt, reason
      )
      SELECT moved.id, delivery_count - cardinality($11::uuid[]) + place, event_id, event_type, attempt, at,
        duration_ms, status, excerpt, reason
      FROM moved, unnest(
        $11::uuid[], $12::text[], $13::int8[], $14::timestamptz[], $15::int8[], $16::int8[], $17::text[], $18::text[]
      ) WITH ORDINALITY AS given (event_id, event_type, attempt, at, duration_ms, status, excerpt, reason, place)
    ), trimmed AS (
      DELETE FROM webhook_deliveries USING moved
      WHERE webhook_id = moved.id AND number <= delivery_count - \(WebhookDelivery.maximumKept)
    )
    """
  }

  public func webhookDeliveries(
    of id: WebhookID, before cursor: DeliveryCursor?, limit: Int
  ) async throws(RegistryError) -> [LoggedDelivery] {
    try await rows(
      of: Self.selectWebhookDeliveries, .uuid(id), .int8(cursor?.number ?? .max), .int8(Int64(limit)))
  }

  static let selectWebhookDeliveries = PostgresStatement(
    .read,
    """
    SELECT number, event_id, event_type, attempt, at, duration_ms, status, excerpt, reason
    FROM webhook_deliveries WHERE webhook_id = $1::uuid AND number < $2::int8
    ORDER BY number DESC LIMIT $3::int8
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
    Int(try await firstRow(of: Self.removeWebhookDeliveries, .timestamp(time), .int8(Int64(maximumRows))) ?? 0)
  }

  static let removeWebhookDeliveries = PostgresStatement(
    .backgroundWrite, "SELECT remove_webhook_deliveries($1::timestamptz, $2::int8)"
  ) { $0.integer() }

  public func webhookCounts() async throws(RegistryError) -> WebhookCounts {
    try await firstRow(of: Self.countWebhooks) ?? WebhookCounts(failing: 0, disabled: 0)
  }

  static let countWebhooks = PostgresStatement(
    .read,
    """
    SELECT count(*) FILTER (WHERE disabled_at IS NULL), count(*) FILTER (WHERE disabled_at IS NOT NULL)
    FROM webhooks WHERE failures > 0
    """
  ) { WebhookCounts(failing: Int($0.integer()), disabled: Int($0.integer())) }
}
