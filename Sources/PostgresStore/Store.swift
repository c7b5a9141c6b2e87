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
    func lane(_ count: Int, isWrite: Bool) -> PostgresLane {
      let statements = PostgresStatement.allCases.filter { $0.isWrite == isWrite }
      return PostgresLane(
        (0..<count).map { _ in
          PostgresConnection(
            parameters, statements: statements, limits: limits, loop: loop, workers: workers, report: report)
        }, limits: limits)
    }
    self.loop = loop
    self.workers = workers
    reads = lane(limits.readConnections, isWrite: false)
    writes = lane(limits.writeConnections, isWrite: true)
    renames = PostgresDeviceChanges(together: .renameDevices, alone: .renameDevice, on: loop, lane: writes)
    revocations = PostgresDeviceChanges(together: .revokeDevices, alone: .revokeDevice, on: loop, lane: writes)
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

  /// The connections, as they were some 50 ms ago. From any thread, without waiting for the loop.
  public var pool: PostgresPool { lastLook.withLock { $0 } }

  /// Runs one statement, and reads its answer with `decode`.
  func run<Value: Sendable>(
    _ statement: PostgresStatement, _ values: [PostgresValue],
    decode: @escaping (PostgresAnswer) throws(RegistryError) -> Value
  ) async throws(RegistryError) -> Value {
    loop.assertCurrent()
    let result: Result<Value, RegistryError> = await withUnsafeContinuation { continuation in
      let request = PostgresRequest(statement: statement, values: values) { answer in
        do throws(RegistryError) {
          continuation.resume(returning: .success(try decode(answer.mapError(\.registryError).get())))
        } catch {
          continuation.resume(returning: .failure(error))
        }
      }
      (statement.isWrite ? writes : reads).submit(request)
    }
    return try result.get()
  }
}
