public import EventLoop
public import Registry
private import Synchronization

/// The registry's data in PostgreSQL. Each event loop has its own store with its own connections.
///
/// `@unchecked Sendable`: all mutable state except `lastLook` is confined to `loop`. `start` and `close` switch
/// to it; every operation begins with `loop.assertCurrent()`, and its completion callbacks run there too.
public final class PostgresStore: RegistryStore, ClosableService, @unchecked Sendable {
  /// The interval at which deadlines and reconnection are checked.
  static let tickMilliseconds = 50

  let loop: EventLoop
  let sealing: VerifierSealing
  private let workers: WorkerPool
  private let reads: PostgresLane
  private let writes: PostgresLane
  private let held: PostgresLane
  private var timer: Timer?
  let renames: PostgresDeviceChanges
  let revocations: PostgresDeviceChanges
  let announcements: PostgresEventAnnouncements
  let transactions: PostgresTransactions
  private let lastLook = Mutex(PostgresPool())

  /// - Parameters:
  ///   - url: any URL that libpq accepts, including one with several hosts.
  ///   - loops: the number of event loops in the process. Each has a store, and the stores share a limit on
  ///     connections.
  ///   - sealer: seals secrets; nil to store them plain.
  ///   - report: called on the loop when a connection is made or lost.
  ///
  /// Throws `PostgresURLError`, or `EventLoopError` if no thread can be created.
  public convenience init(
    url: String, loop: EventLoop, loops: Int, sealer: (any Sealer)? = nil,
    report: @escaping @Sendable (PostgresEvent) -> Void = { _ in }
  ) throws {
    try self.init(url: url, loop: loop, limits: PostgresLimits(loops: loops), sealer: sealer, report: report)
  }

  init(
    url: String, loop: EventLoop, limits: PostgresLimits, sealer: (any Sealer)? = nil,
    report: @escaping @Sendable (PostgresEvent) -> Void
  ) throws {
    let parameters = try PostgresParameters(url: url)
    let count = limits.readConnections + limits.writeConnections + limits.transactionConnections
    let workers = try WorkerPool(name: "pg-connect", threads: 2, maximumQueueLength: count)
    func lane(_ count: Int, forWrites isForWrites: Bool, inTransactions: Bool = false) -> PostgresLane {
      let statements = Self.statements.filter {
        $0.kind.isWrite == isForWrites && $0.kind.isInTransaction == inTransactions
      }
      return PostgresLane(
        (0..<count).map { _ in
          PostgresConnection(
            parameters, statements: statements, isForWrites: isForWrites, limits: limits, loop: loop,
            workers: workers, report: report)
        }, limits: limits)
    }
    self.loop = loop
    sealing = VerifierSealing(sealer)
    self.workers = workers
    reads = lane(limits.readConnections, forWrites: false)
    writes = lane(limits.writeConnections, forWrites: true)
    held = lane(limits.transactionConnections, forWrites: true, inTransactions: true)
    transactions = PostgresTransactions(held)
    announcements = PostgresEventAnnouncements(on: loop) { [writes] in writes.submit($0) }
    renames = PostgresDeviceChanges(
      "renames", together: Self.renameDevices, togetherOfOne: Self.renameDevicesOfOne, alone: Self.renameDevice,
      of: [.uuid, .text] + Self.changeTypes + [.text],
      on: loop, lane: writes, maximumPerClient: limits.waitingPerClient)
    revocations = PostgresDeviceChanges(
      "revocations", together: Self.revokeDevices, alone: Self.revokeDevice,
      of: [.uuid, .text] + Self.changeTypes,
      on: loop, lane: writes, maximumPerClient: limits.waitingPerClient)
  }

  /// Starts connecting, and reconnects until `close`. Call it once, on the loop. Operations may follow
  /// immediately: they wait for the connection.
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

  /// Closes all connections. Pending operations fail as `unavailable`. Call it from any task, before the loop
  /// stops.
  public func close() async {
    await loop.run { [self] in
      timer?.close()
      timer = nil
      announcements.close()
      reads.close()
      writes.close()
      held.close()
    }
    // A worker may be blocked on an unresponsive server; neither the loop nor the caller waits for it.
    workers.abandon()
  }

  private func advance() {
    let now = MonotonicClock.milliseconds
    reads.advance(to: now)
    writes.advance(to: now)
    held.advance(to: now)
    let pool = PostgresPool(
      reads: reads.state, writes: writes.state, transactions: held.state, waitingRenames: renames.waitingCount,
      waitingRevocations: revocations.waitingCount)
    lastLook.withLock { $0 = pool }
  }

  /// The state of the connections up to 50 ms ago. Any thread may read it, without waiting for the loop.
  public var pool: PostgresPool { lastLook.withLock { $0 } }

  // MARK: Running statements

  static let statements =
    clientStatements + deviceStatements + deviceStateStatements + deviceFilterStatements + groupStatements
    + credentialStatements + tokenStatements + presenceStatements + signalStatements + eventStatements
    + webhookStatements + enrolmentStatements + idempotencyStatements + sealingStatements + selectionStatements
    + tradingModeStatements + transactionStatements + bulkStatements + terminalStatements
    + statisticsStatements + telegramStatements

  /// Runs one statement, and returns all rows.
  ///
  /// - Parameter client: the client whose statement it is, for its turn among other clients'.
  func rows<Row>(
    of statement: PostgresStatement<Row>, for client: ClientID? = nil, _ values: PostgresValue...
  ) async throws(RegistryError) -> [Row] {
    try await rows(of: statement, for: client, values)
  }

  func rows<Row>(
    of statement: PostgresStatement<Row>, for client: ClientID? = nil, _ values: [PostgresValue]
  ) async throws(RegistryError) -> [Row] {
    try await answer(to: statement.prepared, for: client, values).rows(statement.row)
  }

  /// Runs one statement, and returns its first row, if any.
  func firstRow<Row>(
    of statement: PostgresStatement<Row>, for client: ClientID? = nil, _ values: PostgresValue...
  ) async throws(RegistryError) -> Row? {
    try await firstRow(of: statement, for: client, values)
  }

  func firstRow<Row>(
    of statement: PostgresStatement<Row>, for client: ClientID? = nil, _ values: [PostgresValue]
  ) async throws(RegistryError) -> Row? {
    try await answer(to: statement.prepared, for: client, values).firstRow(statement.row)
  }

  /// Runs one statement, and returns how many rows it changed.
  @discardableResult
  func run(
    _ statement: PostgresStatement<Void>, for client: ClientID? = nil, _ values: PostgresValue...
  ) async throws(RegistryError) -> Int {
    try await run(statement, for: client, values)
  }

  @discardableResult
  func run(
    _ statement: PostgresStatement<Void>, for client: ClientID? = nil, _ values: [PostgresValue]
  ) async throws(RegistryError) -> Int {
    try await answer(to: statement.prepared, for: client, values).changedRowCount
  }

  private func answer(
    to statement: PreparedStatement, for client: ClientID?, _ values: [PostgresValue]
  ) async throws(RegistryError) -> PostgresAnswer {
    loop.assertCurrent()
    assert(Self.statements.contains { $0 === statement }, "\(statement.name) is not in its file's statements")
    let result: Result<PostgresAnswer, PostgresFailure> = await withUnsafeContinuation { continuation in
      let request = PostgresRequest(statement: statement, values: values, party: client?.hashValue) { answer in
        // The caller is on the same loop.
        nonisolated(unsafe) let answer = answer
        continuation.resume(returning: answer)
      }
      (statement.kind.isWrite ? writes : reads).submit(request)
    }
    // Also after an error: the database may have committed the change.
    if let client, statement.recordsEvents { announcements.announce(client) }
    return try result.mapError(\.registryError).get()
  }
}

/// A snapshot of a store's connections and queues.
public struct PostgresPool: Hashable, Sendable {
  public var reads = PostgresLaneState()
  public var writes = PostgresLaneState()
  /// Of changes that take several statements: those of many devices.
  public var transactions = PostgresLaneState()
  /// Renames that wait for the running statement to end.
  public var waitingRenames = 0
  /// Revocations that wait for the running statement to end.
  public var waitingRevocations = 0
}
