internal import CPostgres
public import EventLoop
public import Registry

/// Notifies an observer of changes in the database, and holds the process lock. Each process has one, with a
/// separate connection that reconnects until `close`.
///
/// It listens to the notifications that the database's triggers send for every change, including changes by
/// this process. An answered heartbeat proves that notifications still arrive: the observer may trust its state
/// for `trustMilliseconds` from when the heartbeat was sent. After a reconnection it calls `changesMissed`.
///
/// `@unchecked Sendable`: all mutable state is confined to `loop`. `start` and `close` switch to it; timer and
/// watch callbacks run on it; the connecting task prefers it, and only a `PostgresHandle` comes back from the
/// worker.
public final class PostgresChangeListener: ClosableService, @unchecked Sendable {
  /// How long the observer may trust its state after an answered heartbeat was sent.
  static let trustMilliseconds: Int64 = 1000
  static let heartbeatMilliseconds: Int64 = 250
  /// The connection is dropped when a heartbeat takes longer.
  static let heartbeatDeadlineMilliseconds: Int64 = 1000
  /// The connection is dropped when its first query takes longer.
  static let setUpDeadlineMilliseconds: Int64 = 5000
  /// How long `start` waits for the database.
  static let startMilliseconds: Int64 = 10_000
  /// How long `start` waits for the lock: the server notices the end of another process with a delay.
  static let lockMilliseconds: Int64 = 1000
  /// The interval at which heartbeats, deadlines and reconnection are checked.
  static let tickMilliseconds = 50

  /// What `start` waits for: the first connection, and the lock.
  private struct Start {
    let complete: (Result<Void, any Error>) -> Void
    var deadlineMilliseconds: Int64
    var lastFailure = "no connection"
  }

  private let loop: EventLoop
  private let workers: WorkerPool
  private let parameters: PostgresParameters
  private let lock: PostgresProcessLock
  private let observer: any ChangeObserver
  private let onLock: @Sendable (ServingLock) -> Void
  private let onDeliveryLock: (@Sendable (Bool) -> Void)?
  private let report: @Sendable (PostgresEvent) -> Void

  private var reconnection: Reconnection
  /// Non-nil while the connection is being set up or listens.
  private var link: PostgresListenerLink?
  /// When the pending query was sent: the first one of the connection, or a heartbeat.
  private var sentAtMilliseconds: Int64?
  private var nextBeatMilliseconds: Int64 = 0
  private var timer: Timer?
  private var start: Start?
  /// Whether the connection has the lock. It is held when its term has begun, too.
  private var hasLock = false
  private var isLockHeld = false
  private var isDeliveryLockHeld = false

  /// - Parameters:
  ///   - url: any URL that libpq accepts, including one with several hosts.
  ///   - lock: `exclusive` for a process that keeps nonces in its own memory.
  ///   - onLock: called on the loop when the lock is acquired or lost.
  ///   - onDeliveryLock: the same for the lock of the process that delivers to webhooks. Nil for a process that does not.
  ///   - report: called on the loop when the connection is made or lost.
  ///
  /// Throws `PostgresURLError`, or `EventLoopError` if no thread can be created.
  public init(
    url: String, loop: EventLoop, lock: PostgresProcessLock, observer: any ChangeObserver,
    onLock: @escaping @Sendable (ServingLock) -> Void, onDeliveryLock: (@Sendable (Bool) -> Void)? = nil,
    report: @escaping @Sendable (PostgresEvent) -> Void = { _ in }
  ) throws {
    parameters = try PostgresParameters(url: url)
    workers = try WorkerPool(name: "pg-listen", threads: 1, maximumQueueLength: 1)
    reconnection = Reconnection(backoffMilliseconds: PostgresLimits().backoffMilliseconds)
    self.loop = loop
    self.lock = lock
    self.observer = observer
    self.onLock = onLock
    self.onDeliveryLock = onDeliveryLock
    self.report = report
  }

  /// Connects, and waits until the connection listens and holds the lock. Call it once, from any task; the loop
  /// must run.
  ///
  /// Throws `PostgresProcessLockError` if another process holds the lock, and `RegistryError.unavailable` if
  /// the database does not answer in time. The listener is closed after an error.
  public func start() async throws {
    let result: Result<Void, any Error> = await loop.run { [self] in
      await withUnsafeContinuation { continuation in begin { continuation.resume(returning: $0) } }
    }
    if case .failure = result { await close() }
    try result.get()
  }

  /// Closes the connection, which releases the lock. Call it from any task, before the loop stops.
  public func close() async {
    await loop.run { [self] in
      timer?.close()
      timer = nil
      drop(PostgresFailure(message: "the listener was closed"), isFinal: true)
    }
    // A worker may be blocked on an unresponsive server; neither the loop nor the caller waits for it.
    workers.abandon()
  }

  private func begin(_ complete: @escaping (Result<Void, any Error>) -> Void) {
    loop.assertCurrent()
    precondition(timer == nil, "started twice")
    start = Start(
      complete: complete, deadlineMilliseconds: MonotonicClock.milliseconds + Self.startMilliseconds)
    let timer = Timer(on: loop)
    self.timer = timer
    timer.start(afterMilliseconds: 0, repeatMilliseconds: Self.tickMilliseconds) { [weak self] in
      self?.advance(to: MonotonicClock.milliseconds)
    }
  }

  private func advance(to now: Int64) {
    switch reconnection.duty(at: now, deadlineMilliseconds: answerDeadlineMilliseconds) {
    case .connect: connect()
    case .giveUp: giveUp()
    case nil: if isListening, sentAtMilliseconds == nil, nextBeatMilliseconds <= now { send(beat, at: now) }
    }
    if let start, start.deadlineMilliseconds <= now {
      endStart(
        .failure(
          isListening ? PostgresProcessLockError() : RegistryError.unavailable(cause: start.lastFailure)))
    }
  }

  private func endStart(_ result: Result<Void, any Error>) {
    let start = start
    self.start = nil
    start?.complete(result)
  }

  // MARK: Connecting

  private func connect() {
    loop.startTask { [self] in
      let outcome = await PostgresHandle.connect(
        parameters, on: workers, whenRefused: "the listener was closed")
      guard reconnection.state == .connecting else { return }
      do throws(PostgresFailure) {
        try adopt(outcome.get())
      } catch {
        drop(error)
      }
    }
  }

  private func adopt(_ handle: PostgresHandle) throws(PostgresFailure) {
    let link = try PostgresListenerLink(handle, on: loop) { [weak self] in self?.receive() }
    self.link = link
    reconnection.connected()
    send(Self.sessionSetup + beat, at: MonotonicClock.milliseconds)
  }

  private func send(_ sql: String, at now: Int64) {
    guard let link else { return }
    sentAtMilliseconds = now
    if !link.send(sql) { drop(link.failure) }
  }

  private static let sessionSetup = """
    SELECT \(PostgresParameters.serverSideSetup);
    LISTEN \(PostgresNotification.credentialsChannel); LISTEN \(PostgresNotification.signalsChannel);
    LISTEN \(PostgresNotification.clientsChannel); LISTEN \(PostgresNotification.eventsChannel);

    """

  // MARK: Listening

  /// Until a lock is held, each heartbeat also tries to acquire it.
  private var beat: String {
    let delivery =
      onDeliveryLock == nil ? "false" : isDeliveryLockHeld ? "true" : PostgresProcessLock.deliveryAttempt
    return "SELECT \(hasLock ? "true" : lock.attempt), \(delivery)"
  }

  private func receive() {
    guard let link else { return }
    let isOpen = link.readAvailable()
    let answer = sentAtMilliseconds.flatMap { sentAt in link.takeAnswer().map { (sentAt, $0) } }
    while let notification = link.nextNotification() { notification.notify(observer) }
    // Deliver notifications before the answer that follows them extends the observer's trust.
    switch answer {
    case (_, .success(let values))? where values.contains(""):
      return drop(PostgresFailure(message: "the table serving_term has no row"))
    case (let sentAt, .success(let values))?: finishQuery(sentAt: sentAt, values)
    case (_, .failure(let failure))?: return drop(failure)
    case nil: break
    }
    if !isOpen || !link.flush() { drop(link.failure) }
  }

  /// - Parameter values: what `beat` selected, or `beginTerm` returned.
  private func finishQuery(sentAt: Int64, _ values: [String]) {
    if !isListening {
      reconnection.prepared()
      report(.connected)
      observer.changesMissed()
      start?.deadlineMilliseconds = MonotonicClock.milliseconds + Self.lockMilliseconds
    }
    sentAtMilliseconds = nil
    nextBeatMilliseconds = sentAt + Self.heartbeatMilliseconds
    observer.trust(untilMilliseconds: sentAt + Self.trustMilliseconds)
    if hasLock, !isLockHeld {
      isLockHeld = true
      onLock(.acquired(term: values[1], previous: values[0]))
      endStart(.success(()))
      return
    }
    hasLock = values[0] == "t"
    setDeliveryLock(values[1] == "t")
    if hasLock, !isLockHeld {
      send(PostgresProcessLock.beginTerm, at: MonotonicClock.milliseconds)
    }
  }

  private func setDeliveryLock(_ isHeld: Bool) {
    guard isHeld != isDeliveryLockHeld else { return }
    isDeliveryLockHeld = isHeld
    onDeliveryLock?(isHeld)
  }

  private var isListening: Bool { reconnection.isReady }

  private var answerDeadlineMilliseconds: Int64? {
    sentAtMilliseconds.map { sentAt in
      sentAt + (isListening ? Self.heartbeatDeadlineMilliseconds : Self.setUpDeadlineMilliseconds)
    }
  }

  // MARK: Losing the connection

  /// The deadline has passed. The answer may have arrived without the loop having read it, so this reads first.
  private func giveUp() {
    receive()
    if sentAtMilliseconds != nil { drop(PostgresFailure(message: "no answer in time")) }
  }

  /// Drops the connection, and schedules the next attempt.
  private func drop(_ failure: PostgresFailure, isFinal: Bool = false) {
    guard reconnection.state != .closed else { return }
    let wasListening = isListening
    link?.close()
    link = nil
    sentAtMilliseconds = nil
    if isFinal {
      reconnection.close()
      endStart(.failure(RegistryError.unavailable(cause: failure.description)))
    } else {
      reconnection.lost(at: MonotonicClock.milliseconds)
      start?.lastFailure = failure.description
      report(
        wasListening
          ? .lost(cause: failure.description, isShutdown: failure.isShutdown)
          : .connectFailed(cause: failure.description))
    }
    if wasListening { observer.trust(untilMilliseconds: 0) }
    hasLock = false
    if isLockHeld {
      isLockHeld = false
      onLock(.lost)
    }
    setDeliveryLock(false)
  }
}
