public import Registry

extension PostgresStore {
  static let terminalStatements = [
    takeInstance.prepared, releaseInstance.prepared, recordContention.prepared, setContext.prepared,
  ]

  /// Where a device runs.
  static let terminalColumns = PostgresColumns(
    """
    instance_id, instance_since, instance_polled_at, contended_at, context, context_login, context_server, bound_login,
    bound_server
    """
  ) {
    Terminal.stored(
      instance: $0.optionalText(), since: $0.optionalTime(), lastPoll: $0.optionalTime(),
      contendedAt: $0.optionalTime(), context: $0.optionalText(), login: $0.optionalText(),
      server: $0.optionalText(), boundLogin: $0.optionalText(), boundServer: $0.optionalText())
  }

  static func values(of terminal: Terminal) -> [PostgresValue] {
    [
      .text(orNull: terminal.lease?.instance.text), .timestamp(orNull: terminal.lease?.since),
      .timestamp(orNull: terminal.lease?.lastPoll), .timestamp(orNull: terminal.contendedAt),
      .text(orNull: terminal.context?.json), .text(orNull: terminal.context?.account.login),
      .text(orNull: terminal.context?.account.server), .text(orNull: terminal.boundAccount?.login),
      .text(orNull: terminal.boundAccount?.server),
    ]
  }

  public func takeInstance(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID, takesOver: Bool, silentSince: Timestamp,
    at time: Timestamp
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.takeInstance, for: owner, .uuid(id), .text(owner.text), .text(instance.text), .bool(takesOver),
      .timestamp(silentSince), .timestamp(time)) > 0
  }

  /// A second statement waits for the first, and then sees that the lease is taken.
  static let takeInstance = PostgresStatement(
    .write,
    """
    UPDATE devices SET instance_id = $3::text, instance_polled_at = $6::timestamptz,
      instance_since = CASE WHEN instance_id = $3::text THEN instance_since ELSE $6::timestamptz END
    WHERE id = $1::uuid AND client_id = $2::text
      AND (instance_id IS NULL OR instance_id = $3::text OR instance_polled_at <= $5::timestamptz OR $4::boolean)
    """)

  public func releaseInstance(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID
  ) async throws(RegistryError) {
    try await run(Self.releaseInstance, for: owner, .uuid(id), .text(owner.text), .text(instance.text))
  }

  static let releaseInstance = PostgresStatement(
    .write,
    """
    UPDATE devices SET instance_id = NULL, instance_since = NULL, instance_polled_at = NULL
    WHERE id = $1::uuid AND client_id = $2::text AND instance_id = $3::text
    """)

  public func recordContention(
    of id: DeviceID, owner: ClientID, by instance: InstanceID, recordedBefore: Timestamp, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.recordContention, for: owner,
      [.uuid(id), .text(owner.text), .text(instance.text), .timestamp(recordedBefore)]
        + Self.values(of: change)) > 0
  }

  static let recordContention = PostgresStatement(
    .write,
    """
    WITH contended AS (
      UPDATE devices SET contended_at = $5::timestamptz
      WHERE id = $1::uuid AND client_id = $2::text AND (contended_at IS NULL OR contended_at <= $4::timestamptz)
      RETURNING id, client_id, instance_id
    )
    \(record(
      .deviceContended, forEachOf: "contended", device: "id", by: change(from: 5),
      changes: "json_build_object('instance', json_build_array(instance_id, $3::text))"))
    """)

  public func setContext(
    _ context: DeviceContext, of id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.setContext, for: owner,
      [.uuid(id), .text(owner.text)] + Self.values(of: change) + [
        .text(context.json), .text(context.account.login), .text(context.account.server),
      ]) > 0
  }

  static let setContext = PostgresStatement(
    .write,
    """
    WITH held AS (
      SELECT id AS held_id, context AS old FROM devices
      WHERE id = $1::uuid AND client_id = $2::text AND context IS DISTINCT FROM $8::text FOR NO KEY UPDATE
    ), changed AS (
      UPDATE devices SET context = $8::text, context_login = $9::text, context_server = $10::text
      FROM held WHERE id = held_id
      RETURNING id, client_id, old
    )
    \(record(
      .deviceContextChanged, forEachOf: "changed", device: "id", by: change(from: 3),
      changes: "json_build_object('context', json_build_array(old::json, $8::json))"))
    """)
}
