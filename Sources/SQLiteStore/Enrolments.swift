internal import EventLoop
public import Registry

extension SQLiteStore {
  private static let enrolmentColumns = SQLiteColumns(
    """
    id, client_id, replaces_secret, device_id, device_name, labels, groups, device_expires_at, created_at, expires_at,
    used_at
    """
  ) { row in
    Enrolment(
      id: row.id(), clientID: row.clientID(), replacesSecret: row.bool(), deviceID: row.optionalID(),
      deviceName: row.optionalText().map { DeviceName(stored: $0) }, labels: Labels(stored: row.text()),
      groups: GroupName.list(stored: row.text()), deviceExpiresAt: row.optionalTime(), createdAt: row.time(),
      expiresAt: row.time(),
      usedAt: row.optionalTime())
  }

  // MARK: The owner's operations

  public func insertEnrolments(
    _ enrolments: [NewEnrolment], change: Change
  ) async throws(RegistryError) -> Bool {
    guard let first = enrolments.first?.enrolment else { return true }
    let owner = SQLiteValue.text(first.clientID.text)
    return try await write(Turn(of: first.clientID.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.hasRow(Self.hasClient, owner) else { throw .clientNotFound }
        if let device = first.deviceID {
          guard try writer.hasRow(Self.hasEnrollableDevice, .id(device), owner) else { return false }
        }
        for group in first.groups { try writer.checkGroup(group, of: first.clientID) }
        let maximum = Enrolment.maximumPerClient
        let kept = try writer.firstRow(of: Self.countEnrolments, owner, .integer(Int64(maximum))) ?? 0
        guard kept + enrolments.count <= maximum else { throw .tooManyEnrolments(limit: maximum) }
        for new in enrolments { try writer.insert(new, by: change) }
        try writer.useKey(of: change, for: first.id.description)
        return true
      }
    }
  }

  private static let hasEnrollableDevice = SQLiteStatement(
    "SELECT 1 FROM devices WHERE id = ?1 AND client_id = ?2 AND NOT revoked")

  /// Up to ?2.
  static let countEnrolments = SQLiteStatement(
    "SELECT count(*) FROM (SELECT 1 FROM enrolments WHERE client_id = ?1 LIMIT ?2)"
  ) { Int($0.integer()) }

  fileprivate static let insertEnrolment = SQLiteStatement(
    """
    INSERT INTO enrolments (code_hash, \(enrolmentColumns)) VALUES (?1, \(enrolmentColumns.parameters(from: 2)))
    """)

  public func enrolment(_ id: EnrolmentID) async throws(RegistryError) -> Enrolment? {
    try await firstRow(of: Self.selectEnrolment, .id(id))
  }

  static let selectEnrolment = SQLiteStatement(
    "SELECT \(enrolmentColumns) FROM enrolments WHERE id = ?1", row: enrolmentColumns.read)

  public func enrolment(withCode hash: TokenHash) async throws(RegistryError) -> Enrolment? {
    try await firstRow(of: Self.selectEnrolmentOfCode, .blob(hash.bytes))
  }

  static let selectEnrolmentOfCode = SQLiteStatement(
    "SELECT \(enrolmentColumns) FROM enrolments WHERE code_hash = ?1", row: enrolmentColumns.read)

  public func enrolments(
    of client: ClientID, after id: EnrolmentID?, limit: Int
  ) async throws(RegistryError) -> [Enrolment] {
    try await rows(
      of: Self.selectEnrolments, .text(client.text), id.map { .id($0) } ?? .text(""), .integer(Int64(limit)))
  }

  static let selectEnrolments = SQLiteStatement(
    "SELECT \(enrolmentColumns) FROM enrolments WHERE client_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    row: enrolmentColumns.read)

  public func deleteEnrolment(
    _ id: EnrolmentID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let gone = try writer.firstRow(of: Self.deleteEnrolment, .id(id), .text(owner.text))
        guard let gone else { return false }
        try writer.recordDeletion(of: gone, by: change)
        return true
      }
    }
  }

  static let deleteEnrolment = SQLiteStatement(
    "DELETE FROM enrolments WHERE id = ?1 AND client_id = ?2 RETURNING \(enrolmentColumns)",
    row: enrolmentColumns.read)

  // MARK: Using a code

  public func enrol(
    _ device: Device, verifier: SecretVerifier, with id: EnrolmentID, maxDevices: Int, change: Change
  ) async throws(RegistryError) -> Bool {
    let stored = sealing.seal(verifier, of: device.id)
    return try await write(Turn(of: device.clientID.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let used = try writer.run(
          Self.useForNewDevice, .id(id), .text(device.clientID.text), .time(change.time), .id(device.id))
        guard used > 0 else { return false }
        try writer.insert(device, verifier: stored, maxDevices: maxDevices)
        try writer.useKey(of: change, for: device.id.description)
        try writer.record(
          .deviceEnrolled, of: device.clientID, device: device.id, by: change,
          changes: [
            "device_name": (.null, .text(device.deviceName.text)),
            "enrolment_id": (.null, .text(id.description)),
          ])
        return true
      }
    }
  }

  static let useForNewDevice = SQLiteStatement(
    """
    UPDATE enrolments SET used_at = ?3, device_id = ?4
    WHERE id = ?1 AND client_id = ?2 AND used_at IS NULL AND expires_at > ?3 AND NOT replaces_secret
    """)

  public func replaceSecret(
    of device: DeviceID, of owner: ClientID, by verifier: SecretVerifier, with id: EnrolmentID, change: Change
  ) async throws(RegistryError) -> Device? {
    let stored = sealing.seal(verifier, of: device)
    return try await write(Turn(of: owner.hashValue, .urgent)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let used = try writer.run(
          Self.useForSecret, .id(id), .text(owner.text), .time(change.time), .id(device))
        guard used > 0 else { return nil }
        let replaced = try writer.firstRow(
          of: Self.replaceSecret, .id(device), .text(owner.text), .text(stored.hmacKeyHash),
          .blob(stored.storedKey), .blob(stored.serverKey), .time(change.time), .time(change.time))
        guard let replaced else { throw .fault(cause: "device \(device) was enrolled, but not changed") }
        try writer.useKey(of: change, for: device.description)
        try writer.record(
          .deviceEnrolled, of: owner, device: device, by: change,
          changes: ["enrolment_id": (.null, .text(id.description))])
        return replaced.device
      }
    }
  }

  /// Only if the device can get a secret.
  static let useForSecret = SQLiteStatement(
    """
    UPDATE enrolments SET used_at = ?3
    WHERE id = ?1 AND client_id = ?2 AND device_id = ?4 AND used_at IS NULL AND expires_at > ?3 AND replaces_secret
      AND EXISTS (SELECT 1 FROM devices WHERE id = ?4 AND client_id = ?2 AND NOT revoked)
      AND \(isKept(client: "?2"))
    """)

  // MARK: Retention

  public func removeEnrolments(
    endedBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.run(Self.removeEnrolments, .time(time), .integer(Int64(maximumRows)))
    }
  }

  static let removeEnrolments = SQLiteStatement(
    """
    DELETE FROM enrolments WHERE id IN (
      SELECT id FROM enrolments WHERE ifnull(used_at, expires_at) < ?1 ORDER BY ifnull(used_at, expires_at) LIMIT ?2)
    """)

  /// Deletes an enrolment of a client.
  static let removeEnrolmentOfClient = SQLiteStatement(
    """
    DELETE FROM enrolments WHERE id = (SELECT id FROM enrolments WHERE client_id = ?1 ORDER BY id LIMIT 1)
    RETURNING \(enrolmentColumns)
    """, row: enrolmentColumns.read)
}

extension SQLiteConnection {
  fileprivate func insert(_ new: NewEnrolment, by change: Change) throws(RegistryError) {
    let enrolment = new.enrolment
    try run(
      SQLiteStore.insertEnrolment, .blob(new.codeHash.bytes), .id(enrolment.id), .text(enrolment.clientID.text),
      .bool(enrolment.replacesSecret), enrolment.deviceID.map { .id($0) } ?? .null,
      .text(enrolment.deviceName?.text), .text(enrolment.labels.json), .text(enrolment.groups.stored),
      .time(enrolment.deviceExpiresAt),
      .time(enrolment.createdAt), .time(enrolment.expiresAt), .time(enrolment.usedAt))
    try record(
      .enrolmentCreated, of: enrolment.clientID, device: enrolment.deviceID, by: change,
      changes: [
        "enrolment_id": (.null, .text(enrolment.id.description)),
        "expires_at": (.null, .text(enrolment.expiresAt.description)),
      ])
  }

  func recordDeletion(of enrolment: Enrolment, by change: Change) throws(RegistryError) {
    try record(
      .enrolmentDeleted, of: enrolment.clientID, device: enrolment.deviceID, by: change,
      changes: ["enrolment_id": (.text(enrolment.id.description), .null)])
  }
}
