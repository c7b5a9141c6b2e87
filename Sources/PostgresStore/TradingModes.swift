public import Registry

extension PostgresStore {
  static let tradingModeStatements = [confirmModes.prepared]

  public func confirmModes(
    _ confirmations: [ModeConfirmation]
  ) async throws(RegistryError) -> [DeviceID: Bool] {
    guard !confirmations.isEmpty else { return [:] }
    defer { for client in Set(confirmations.map(\.clientID)) { announcements.announce(client) } }
    let changes = confirmations.map { Self.values(of: $0.change) }
    let rows = try await rows(
      of: Self.confirmModes,
      [
        .uuids(confirmations.map(\.deviceID)), .array(of: .text, confirmations.map { .text($0.clientID.text) }),
        .array(of: .int8, confirmations.map { .int8($0.version) }),
      ]
        + Self.changeTypes.enumerated().map { index, type in .array(of: type, changes.map { $0[index] }) })
    return Dictionary(rows) { $0 || $1 }
  }

  /// Skips devices that another transaction has locked: they confirm again.
  static let confirmModes = PostgresStatement(
    .waitingWrite,
    """
    WITH found AS (
      SELECT given.*, confirmed_version AS old_version
      FROM unnest(
        $1::uuid[], $2::text[], $3::int8[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[]
      ) AS given (id, owner, version, \(changeColumns))
        JOIN devices ON devices.id = given.id AND client_id = given.owner
      WHERE NOT revoked AND mode_version = version FOR NO KEY UPDATE OF devices SKIP LOCKED
    ), confirmed AS (
      UPDATE devices SET confirmed_version = found.version, confirmed_at = found.moment
      FROM found WHERE devices.id = found.id AND confirmed_version IS DISTINCT FROM found.version
      RETURNING devices.id
    ), recorded AS (
      \(record(
        .modeConfirmed, forEachOf: "found JOIN confirmed USING (id)", client: "owner", device: "id", by: changeColumns,
        changes: "json_build_object('confirmed_version', json_build_array(old_version, version))"))
    )
    SELECT found.id, confirmed.id IS NOT NULL FROM found LEFT JOIN confirmed USING (id)
    """
  ) { ($0.id() as DeviceID, $0.bool()) }
}
