internal import EventLoop
public import Registry

extension SQLiteStore {
  /// Where a device runs.
  static let terminalColumns = SQLiteColumns(
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

  static func values(of terminal: Terminal) -> [SQLiteValue] {
    [
      .text(terminal.lease?.instance.text), .time(terminal.lease?.since), .time(terminal.lease?.lastPoll),
      .time(terminal.contendedAt), .text(terminal.context?.json), .text(terminal.context?.account.login),
      .text(terminal.context?.account.server), .text(terminal.boundAccount?.login),
      .text(terminal.boundAccount?.server),
    ]
  }

  public func takeInstance(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID, takesOver: Bool, silentSince: Timestamp,
    at time: Timestamp
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.run(
        Self.takeInstance, .id(id), .text(owner.text), .text(instance.text), .bool(takesOver),
        .time(silentSince), .time(time)) > 0
    }
  }

  static let takeInstance = SQLiteStatement(
    """
    UPDATE devices SET instance_id = ?3, instance_polled_at = ?6,
      instance_since = CASE WHEN instance_id = ?3 THEN instance_since ELSE ?6 END
    WHERE id = ?1 AND client_id = ?2
      AND (instance_id IS NULL OR instance_id = ?3 OR instance_polled_at <= ?5 OR ?4)
    """)

  public func releaseInstance(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID
  ) async throws(RegistryError) {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      _ = try writer.run(Self.releaseInstance, .id(id), .text(owner.text), .text(instance.text))
    }
  }

  static let releaseInstance = SQLiteStatement(
    """
    UPDATE devices SET instance_id = NULL, instance_since = NULL, instance_polled_at = NULL
    WHERE id = ?1 AND client_id = ?2 AND instance_id = ?3
    """)

  public func recordContention(
    of id: DeviceID, owner: ClientID, by instance: InstanceID, recordedBefore: Timestamp, change: Change
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let found = try writer.firstRow(
          of: Self.noteContention, .id(id), .text(owner.text), .time(recordedBefore), .time(change.time))
        guard let holder = found else { return false }
        try writer.record(
          .deviceContended, of: owner, device: id, by: change,
          changes: ["instance": (holder.map { .text($0) } ?? .null, .text(instance.text))])
        return true
      }
    }
  }

  static let noteContention = SQLiteStatement(
    """
    UPDATE devices SET contended_at = ?4
    WHERE id = ?1 AND client_id = ?2 AND (contended_at IS NULL OR contended_at <= ?3)
    RETURNING instance_id
    """
  ) { $0.optionalText() }

  public func setContext(
    _ context: DeviceContext, of id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        let old = try writer.firstRow(of: Self.selectStoredDevice, .id(id))?.terminal.context
        let changed = try writer.run(
          Self.setContext, .id(id), .text(owner.text), .text(context.json), .text(context.account.login),
          .text(context.account.server))
        guard changed > 0 else { return false }
        try writer.record(
          .deviceContextChanged, of: owner, device: id, by: change,
          changes: ["context": (.json(orNull: old?.json), .json(context.json))])
        return true
      }
    }
  }

  static let setContext = SQLiteStatement(
    """
    UPDATE devices SET context = ?3, context_login = ?4, context_server = ?5
    WHERE id = ?1 AND client_id = ?2 AND context IS NOT ?3
    """)
}
