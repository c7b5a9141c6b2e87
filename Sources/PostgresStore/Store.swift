public import EventLoop
public import Registry
private import Synchronization

/// The registry's data in PostgreSQL. One for each event loop, with connections of its own.
///
/// `@unchecked Sendable`: everything mutable but `lastLook` is confined to `loop`. `start` and `close` go there; every
/// operation begins with `loop.assertCurrent()`, and the callbacks that complete it run there too.
public final class PostgresStore: RegistryStore, ClosableService, @unchecked Sendable {
  /// How often deadlines and attempts to reconnect are looked at.
  static let tickMilliseconds = 50

  let loop: EventLoop
  private let workers: WorkerPool
  private let reads: PostgresLane
  private let writes: PostgresLane
  private var timer: Timer?
  let renames: PostgresDeviceChanges
  let revocations: PostgresDeviceChanges
  private let lastLook = Mutex(PostgresPool())

  /// - Parameters:
  ///   - url: any URL that libpq reads, several hosts included.
  ///   - loops: how many event loops the process has, each with a store: they share a bound on connections.
  ///   - report: called on the loop when a connection was made or lost.
  ///
  /// Throws `PostgresURLError`, and `EventLoopError` when the system has no thread left.
  public convenience init(
    url: String, loop: EventLoop, loops: Int,
    report: @escaping @Sendable (PostgresEvent) -> Void = { _ in }
  ) throws {
    try self.init(url: url, loop: loop, limits: PostgresLimits(loops: loops), report: report)
  }

  init(
    url: String, loop: EventLoop, limits: PostgresLimits, report: @escaping @Sendable (PostgresEvent) -> Void
  ) throws {
    let parameters = try PostgresParameters(url: url)
    let count = limits.readConnections + limits.writeConnections
    let workers = try WorkerPool(name: "pg-connect", threads: 2, maximumQueueLength: count)
    func lane(_ count: Int, for kind: PreparedStatement.Kind) -> PostgresLane {
      let statements = Self.statements.filter { $0.kind == kind }
      return PostgresLane(
        (0..<count).map { _ in
          PostgresConnection(
            parameters, statements: statements, limits: limits, loop: loop, workers: workers, report: report)
        }, limits: limits)
    }
    self.loop = loop
    self.workers = workers
    reads = lane(limits.readConnections, for: .read)
    writes = lane(limits.writeConnections, for: .write)
    renames = PostgresDeviceChanges(
      "renames", together: Self.renameDevices, alone: Self.renameDevice, of: [.uuid, .text, .timestamp, .text],
      on: loop, lane: writes)
    revocations = PostgresDeviceChanges(
      "revocations", together: Self.revokeDevices, alone: Self.revokeDevice, of: [.uuid, .text, .timestamp],
      on: loop, lane: writes)
  }

  /// Begins to connect, and goes on reconnecting until `close`. Called on the loop, once. Requests may follow at
  /// once: they wait for the connection.
  public func start() {
    loop.assertCurrent()
    precondition(timer == nil, "started twice")
    let timer = Timer(on: loop)
    self.timer = timer
    timer.start(afterMilliseconds: 0, repeatMilliseconds: Self.tickMilliseconds) { [weak self] in
      self?.advance()
    }
    advance()
  }

  /// Ends all connections; what is still pending fails as `unavailable`. From any task; the loop must run, and
  /// is to be stopped only afterwards.
  public func close() async {
    await loop.run { [self] in
      timer?.close()
      timer = nil
      reads.close()
      writes.close()
    }
    // A worker may be waiting for a server that does not answer: that must hold up neither loop nor caller.
    workers.abandon()
  }

  private func advance() {
    let now = MonotonicClock.milliseconds
    reads.advance(to: now)
    writes.advance(to: now)
    let pool = PostgresPool(
      reads: reads.state, writes: writes.state, waitingRenames: renames.waitingCount,
      waitingRevocations: revocations.waitingCount)
    lastLook.withLock { $0 = pool }
  }

  /// The connections, as they were about 50 ms ago. From any thread, without waiting for the loop.
  public var pool: PostgresPool { lastLook.withLock { $0 } }

  // MARK: Running statements

  static let statements =
    clientStatements + deviceStatements + credentialStatements + tokenStatements + presenceStatements
    + signalStatements

  /// Runs one statement, and answers all of its rows.
  func rows<Row>(
    of statement: PostgresStatement<Row>, _ values: PostgresValue...
  ) async throws(RegistryError) -> [Row] {
    try await answer(to: statement.prepared, values).rows(statement.row)
  }

  /// Runs one statement, and answers its first row, if there is one.
  func firstRow<Row>(
    of statement: PostgresStatement<Row>, _ values: PostgresValue...
  ) async throws(RegistryError) -> Row? {
    try await firstRow(of: statement, values)
  }

  func firstRow<Row>(
    of statement: PostgresStatement<Row>, _ values: [PostgresValue]
  ) async throws(RegistryError) -> Row? {
    try await answer(to: statement.prepared, values).firstRow(statement.row)
  }

  /// Runs one statement, and answers how many rows it changed.
  @discardableResult
  func run(
    _ statement: PostgresStatement<Void>, _ values: PostgresValue...
  ) async throws(RegistryError) -> Int {
    try await answer(to: statement.prepared, values).changedRowCount
  }

  private func answer(
    to statement: PreparedStatement, _ values: [PostgresValue]
  ) async throws(RegistryError) -> PostgresAnswer {
    loop.assertCurrent()
    assert(Self.statements.contains { $0 === statement }, "\(statement.name) is not in its file's statements")
    let result: Result<PostgresAnswer, PostgresFailure> = await withUnsafeContinuation { continuation in
      let request = PostgresRequest(statement: statement, values: values) { answer in
        // The caller is on the same loop.
        nonisolated(unsafe) let answer = answer
        continuation.resume(returning: answer)
      }
      (statement.kind == .write ? writes : reads).submit(request)
    }
    return try result.mapError(\.registryError).get()
  }
}

/// The connections of a store and what waits for them, as they were at its last look at them.
public struct PostgresPool: Hashable, Sendable {
  public var reads = PostgresLaneState()
  public var writes = PostgresLaneState()
  /// Renames that wait for the statement before theirs, and revocations likewise.
  public var waitingRenames = 0
  public var waitingRevocations = 0
}
