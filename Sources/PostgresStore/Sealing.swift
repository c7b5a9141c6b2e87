public import Registry

extension PostgresStore {
  static let sealingStatements = [
    selectSealingKeys.prepared, selectNextSealingKeys.prepared, selectDevicesToSeal.prepared,
    sealDevices.prepared, selectWebhookSealingKeys.prepared, selectWebhooksToSeal.prepared,
    sealWebhooks.prepared,
  ]

  public func sealingKeys(limit: Int) async throws(RegistryError) -> Set<SealingKeyID> {
    let current = try await rows(of: Self.selectSealingKeys, .int8(Int64(limit)))
    let next = try await rows(of: Self.selectNextSealingKeys, .int8(Int64(limit)))
    let webhooks = try await rows(of: Self.selectWebhookSealingKeys, .int8(Int64(limit)))
    return Set(current + next + webhooks)
  }

  static let selectSealingKeys = PostgresStatement(.read, keys(thatSealed: "stored_key")) { $0.sealingKey() }
  static let selectNextSealingKeys = PostgresStatement(.read, keys(thatSealed: "next_stored_key")) {
    $0.sealingKey()
  }

  static let selectWebhookSealingKeys = PostgresStatement(
    .read, keys(thatSealed: "secret", in: "webhooks", where: "true")
  ) { $0.sealingKey() }

  private static func keys(thatSealed column: String) -> String {
    keys(
      thatSealed: column, in: "devices", where: "octet_length(\(column)) > \(SecretVerifier.keyLength)")
  }

  /// Looks up each key in the index of the column: the first key, and from each the next one.
  private static func keys(thatSealed column: String, in table: String, where isSealed: String) -> String {
    let key = "substr(\(column), 2, 8)"
    return """
      WITH RECURSIVE found (key) AS (
        (SELECT \(key) FROM \(table) WHERE \(isSealed) ORDER BY \(key) LIMIT 1)
        UNION ALL
        SELECT (SELECT \(key) FROM \(table) WHERE \(isSealed) AND \(key) > found.key ORDER BY \(key) LIMIT 1)
        FROM found WHERE found.key IS NOT NULL
      )
      SELECT key FROM found WHERE key IS NOT NULL LIMIT $1::int8
      """
  }

  public func sealDevices(after id: DeviceID?, limit: Int) async throws(RegistryError) -> SealingStep {
    let devices = try await rows(
      of: Self.selectDevicesToSeal, .uuid(id ?? DeviceID(high: 0, low: 0)), .int8(Int64(limit)))
    var again: [StoredCredentials] = []
    for device in devices {
      if let device = try sealing.sealAgain(device) { again.append(device) }
    }
    let sealed = again.isEmpty ? 0 : try await store(again)
    return SealingStep(
      last: devices.last?.deviceID, count: devices.count, sealed: sealed, passedOver: again.count - sealed)
  }

  static let selectDevicesToSeal = PostgresStatement(
    .read, "SELECT \(credentialColumns) FROM devices WHERE id > $1::uuid ORDER BY id LIMIT $2::int8",
    row: credentialColumns.read)

  /// Returns how many were stored.
  private func store(_ devices: [StoredCredentials]) async throws(RegistryError) -> Int {
    try await run(
      Self.sealDevices, .uuids(devices.map(\.deviceID)),
      .array(of: .text, devices.map { .text($0.current.hmacKeyHash) }),
      .array(of: .bytes, devices.map { .bytes($0.current.storedKey) }),
      .array(of: .bytes, devices.map { .bytes($0.current.serverKey) }),
      .array(of: .text, devices.map { .text(orNull: $0.next?.hmacKeyHash) }),
      .array(of: .bytes, devices.map { .bytes(orNull: $0.next?.storedKey) }),
      .array(of: .bytes, devices.map { .bytes(orNull: $0.next?.serverKey) }))
  }

  /// Skips devices that another transaction has locked, or whose secrets changed since they were read.
  static let sealDevices = PostgresStatement(
    .backgroundWrite,
    """
    WITH found AS (
      SELECT given.* FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::text[], $6::bytea[], $7::bytea[])
          AS given (id, hash, stored_key, server_key, next_hash, next_stored_key, next_server_key)
        JOIN devices ON devices.id = given.id
      WHERE hmac_key_hash = hash AND next_hmac_key_hash IS NOT DISTINCT FROM next_hash
      FOR NO KEY UPDATE OF devices SKIP LOCKED
    )
    UPDATE devices SET stored_key = found.stored_key, server_key = found.server_key,
      next_stored_key = found.next_stored_key, next_server_key = found.next_server_key
    FROM found WHERE devices.id = found.id
    """)
}

extension PostgresStore {
  public func sealWebhooks(after id: WebhookID?, limit: Int) async throws(RegistryError) -> WebhookID? {
    let webhooks = try await rows(
      of: Self.selectWebhooksToSeal, .uuid(id ?? WebhookID(high: 0, low: 0)), .int8(Int64(limit)))
    var again: [(id: WebhookID, old: [UInt8], new: [UInt8])] = []
    for (id, box) in webhooks {
      if let new = try sealing.sealAgain(box, of: Webhook.secretPlace(id)) { again.append((id, box, new)) }
    }
    if !again.isEmpty {
      try await run(
        Self.sealWebhooks, .uuids(again.map(\.id)), .array(of: .bytes, again.map { .bytes($0.old) }),
        .array(of: .bytes, again.map { .bytes($0.new) }))
    }
    return webhooks.last?.id
  }

  static let selectWebhooksToSeal = PostgresStatement(
    .read, "SELECT id, secret FROM webhooks WHERE id > $1::uuid ORDER BY id LIMIT $2::int8"
  ) { (id: $0.id() as WebhookID, box: $0.bytes()) }

  static let sealWebhooks = PostgresStatement(
    .backgroundWrite,
    """
    UPDATE webhooks SET secret = new FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS given (id, old, new)
    WHERE webhooks.id = given.id AND secret = old
    """)
}

extension PostgresRow {
  fileprivate mutating func sealingKey() -> SealingKeyID { SealingKeyID(bytes())! }
}
