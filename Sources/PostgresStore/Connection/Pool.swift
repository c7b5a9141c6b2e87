/// The connections of a store and what waits for them, as they were at its last look at them.
public struct PostgresPool: Hashable, Sendable {
  public var reads = PostgresLaneState()
  public var writes = PostgresLaneState()
  /// Renames that wait for the statement before theirs, and revocations likewise.
  public var waitingRenames = 0
  public var waitingRevocations = 0
}

/// Connections for statements of one kind, and what waits for them.
public struct PostgresLaneState: Hashable, Sendable {
  /// Can be used.
  public var ready = 0
  /// Being made.
  public var connecting = 0
  /// Lost, or never made; tried again in time.
  public var down = 0
  /// Statements that were sent and are not answered.
  public var pendingStatements = 0
  /// Requests that wait for a connection.
  public var waitingRequests = 0
}
