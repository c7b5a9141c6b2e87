public import Registry

extension PostgresStore {
  public func hasDevices() async throws(RegistryError) -> Bool {
    try await run(.hasDevices, []) { $0.row(0).bool(0) }
  }

  public func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    try await run(.credentials, [.uuid(id)]) { $0.firstRow.map(DeviceCredentials.init(row:)) }
  }

  public func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    change: Change
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)? {
    let values: [PostgresValue] = [
      .uuid(id), .text(owner.text), .text(verifier.hmacKeyHash), .bytes(verifier.storedKey),
      .bytes(verifier.serverKey), .timestamp(graceExpiresAt), .timestamp(change.time),
    ]
    return try await run(.rotateSecret, values) { answer in
      answer.firstRow.map { (Device(row: $0), $0.timestamp(10)!) }
    }
  }

  public func promoteNextSecret(of id: DeviceID, storedKey: [UInt8], change: Change) async throws(RegistryError)
    -> Bool
  {
    try await run(.promoteNextSecret, [.uuid(id), .bytes(storedKey)]) { $0.changedRowCount > 0 }
  }

  public func insertToken(
    _ hash: TokenHash, of id: DeviceID, storedKey: [UInt8], expiresAt: Timestamp, at time: Timestamp,
    maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool {
    let values: [PostgresValue] = [
      .bytes(hash.bytes), .uuid(id), .bytes(storedKey), .timestamp(expiresAt), .timestamp(time),
      .int8(Int64(maxLive)), .int8(Int64(windowSeconds)),
    ]
    return try await run(.insertToken, values) { (answer) throws(RegistryError) in
      guard let waitSeconds = answer.row(0).int8(0) else { return false }
      guard waitSeconds == 0 else { throw .tooManyTokens(retryAfterSeconds: Int(waitSeconds)) }
      return true
    }
  }

  public func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials? {
    try await run(.tokenCredentials, [.bytes(hash.bytes), .timestamp(time)]) { answer in
      answer.firstRow.map {
        TokenCredentials(device: DeviceCredentials(row: $0), expiresAt: $0.timestamp(10)!)
      }
    }
  }

  public func recordPresence(_ presence: [DeviceID: Presence]) async throws(RegistryError) {
    guard !presence.isEmpty else { return }
    let entries = Array(presence)
    let values: [PostgresValue] = [
      .uuids(entries.map(\.key)),
      .array(of: .timestamp, entries.map { .timestamp($0.value.lastSeen) }),
      .array(of: .timestamp, entries.map { .timestamp(orNull: $0.value.lastPoll) }),
      .array(of: .timestamp, entries.map { .timestamp(orNull: $0.value.lastAck) }),
    ]
    try await run(.recordPresence, values) { (_) throws(RegistryError) in }
  }

  public func removeTokens(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int {
    try await run(.removeTokens, [.timestamp(time), .int8(Int64(limit))]) { $0.changedRowCount }
  }
}

extension DeviceCredentials {
  /// Reads `PostgresStatement.credentialColumns`. A next secret is there in whole or not at all: the database's
  /// constraints hold that, and the lengths.
  fileprivate convenience init(row: PostgresAnswer.Row) {
    self.init(
      deviceID: row.uuid(0), clientID: ClientID(row.text(1)!)!, isActive: row.bool(2),
      current: SecretVerifier(
        hmacKeyHash: row.text(3)!, storedKey: row.octets(4)!, serverKey: row.octets(5)!),
      next: row.text(6).map {
        SecretVerifier(hmacKeyHash: $0, storedKey: row.octets(7)!, serverKey: row.octets(8)!)
      }, graceExpiresAt: row.timestamp(9))
  }
}
