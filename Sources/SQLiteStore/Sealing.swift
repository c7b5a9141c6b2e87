internal import EventLoop
public import Registry

extension SQLiteStore {
  public func sealingKeys(limit: Int) async throws(RegistryError) -> Set<SealingKeyID> {
    let current = try await rows(of: Self.selectSealingKeys, .integer(Int64(limit)))
    let next = try await rows(of: Self.selectNextSealingKeys, .integer(Int64(limit)))
    let webhooks = try await rows(of: Self.selectWebhookSealingKeys, .integer(Int64(limit)))
    return Set(current + next + webhooks)
  }

  static let selectSealingKeys = SQLiteStatement(keys(thatSealed: "stored_key")) { $0.sealingKey() }
  static let selectNextSealingKeys = SQLiteStatement(keys(thatSealed: "next_stored_key")) { $0.sealingKey() }

  static let selectWebhookSealingKeys = SQLiteStatement(
    keys(thatSealed: "secret", in: "webhooks", where: "TRUE")
  ) { $0.sealingKey() }

  private static func keys(thatSealed column: String) -> String {
    keys(thatSealed: column, in: "devices", where: "length(\(column)) > \(SecretVerifier.keyLength)")
  }

  /// Looks up each key in the index of the column: the first key, and from each the next one.
  private static func keys(thatSealed column: String, in table: String, where isSealed: String) -> String {
    let key = "substr(\(column), 2, 8)"
    return """
      WITH RECURSIVE found (key) AS (
        SELECT (SELECT \(key) FROM \(table) WHERE \(isSealed) ORDER BY \(key) LIMIT 1)
        UNION ALL
        SELECT (SELECT \(key) FROM \(table) WHERE \(isSealed) AND \(key) > found.key ORDER BY \(key) LIMIT 1)
        FROM found WHERE found.key IS NOT NULL
      )
      SELECT key FROM found WHERE key IS NOT NULL LIMIT ?1
      """
  }

  public func sealDevices(after id: DeviceID?, limit: Int) async throws(RegistryError) -> SealingStep {
    try await write(Turn(of: nil, .background), .long) { [sealing] (writer) throws(RegistryError) in
      let step = try writer.transaction { () throws(RegistryError) in
        let devices = try writer.rows(
          of: Self.selectDevicesToSeal, [id.map { .id($0) } ?? .text(""), .integer(Int64(limit))])
        var sealed = 0
        for device in devices {
          guard let device = try sealing.sealAgain(device) else { continue }
          try writer.run(
            Self.sealDevice, .id(device.deviceID), .blob(device.current.storedKey),
            .blob(device.current.serverKey),
            .blob(device.next?.storedKey), .blob(device.next?.serverKey))
          sealed += 1
        }
        return SealingStep(last: devices.last?.deviceID, count: devices.count, sealed: sealed, passedOver: 0)
      }
      // The log has pages from before. If a reader still uses them, a later checkpoint follows.
      if step.last == nil { _ = try writer.rows(of: Self.emptyLog, []) }
      return step
    }
  }

  private static let emptyLog = SQLiteStatement("PRAGMA wal_checkpoint(TRUNCATE)")

  static let selectDevicesToSeal = SQLiteStatement(
    "SELECT \(credentialColumns) FROM devices WHERE id > ?1 ORDER BY id LIMIT ?2", row: credentialColumns.read)

  static let sealDevice = SQLiteStatement(
    """
    UPDATE devices SET stored_key = ?2, server_key = ?3, next_stored_key = ?4, next_server_key = ?5 WHERE id = ?1
    """)
}

extension SQLiteStore {
  public func sealWebhooks(after id: WebhookID?, limit: Int) async throws(RegistryError) -> WebhookID? {
    try await write(Turn(of: nil, .background), .long) { [sealing] (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let webhooks = try writer.rows(
          of: Self.selectWebhooksToSeal, [id.map { .id($0) } ?? .text(""), .integer(Int64(limit))])
        for (id, box) in webhooks {
          guard let box = try sealing.sealAgain(box, of: Webhook.secretPlace(id)) else { continue }
          try writer.run(Self.sealWebhook, .id(id), .blob(box))
        }
        return webhooks.last?.id
      }
    }
  }

  static let selectWebhooksToSeal = SQLiteStatement(
    "SELECT id, secret FROM webhooks WHERE id > ?1 ORDER BY id LIMIT ?2"
  ) { (id: $0.id() as WebhookID, box: $0.blob()) }

  static let sealWebhook = SQLiteStatement("UPDATE webhooks SET secret = ?2 WHERE id = ?1")
}

extension SQLiteRow {
  fileprivate mutating func sealingKey() -> SealingKeyID { SealingKeyID(blob())! }
}
