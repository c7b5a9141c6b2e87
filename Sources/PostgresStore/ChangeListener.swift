internal import CPostgres
public import EventLoop
public import Registry

/// Tells an observer what changes in the database, and holds the lock of the process. There is one for each process, with a
/// separate connection, which reconnects until `close`.
///
/// It listens to the notifications that the database's triggers send for every change, those of this process included. A
/// heartbeat shows that it still receives them: one that is answered is valid for `trustMilliseconds` from when it was sent.
/// After a new connection listens, the observer learns that changes may have been missed, and then trusts it.
///
/// `@unchecked Sendable`: everything mutable is confined to `loop`. `start` and `close` go there; the callbacks of
/// timer and watch run there; the task that connects prefers that loop, and only a `PostgresHandle` comes back from
/// the worker.
public final class PostgresChangeListener: ClosableService, @unchecked Sendable {
  /// For how long an answered heartbeat is good.
  static let trustMilliseconds: Int64 = 1000
  static let heartbeatMilliseconds: Int64 = 250
  /// Within this time a heartbeat is answered, or the connection is given up.
  static let heartbeatDeadlineMilliseconds: Int64 = 1000
  /// The same for the first query of a connection.
  static let setUpDeadlineMilliseconds: Int64 = 5000
  /// How long `start` waits for the database.
  static let startMilliseconds: Int64 = 10_000
  /// How long `start` waits for the lock: the server takes a moment to notice that a process has ended.
  static let lockMilliseconds: Int64 = 1000
  /// How often heartbeats, deadlines and attempts to reconnect are looked at.
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
  private let onLock: @Sendable (Bool) -> Void
  private let report: @Sendable (PostgresEvent) -> Void

  private var reconnection: Reconnection
  /// There is one while the connection is set up or listens.
  private var link: PostgresListenerLink?
  /// When the query that is in progress was sent: the first one of the connection, or a heartbeat.
  private var sentAtMilliseconds: Int64?
  private var nextBeatMilliseconds: Int64 = 0
  private var timer: Timer?
  private var start: Start?
  private var isLockHeld = false

  /// - Parameters:
  ///   - url: any URL that libpq reads, several hosts included.
  ///   - lock: `exclusive` for a process that remembers nonces in its own memory.
  ///   - onLock: called on the loop each time that the lock was taken, and each time that it was lost.
  ///   - report: called on the loop when the connection was made or lost.
  ///
  /// Throws `PostgresURLError`, and `EventLoopError` when the system has no thread left.
  public init(
    url: String, loop: EventLoop, lock: PostgresProcessLock, observer: any ChangeObserver,
    onLock: @escaping @Sendable (Bool) -> Void, report: @escaping @Sendable (PostgresEvent) -> Void = { _ in }
  ) throws {
    parameters = try PostgresParameters(url: url)
    workers = try WorkerPool(name: "pg-listen", threads: 1, maximumQueueLength: 1)
    reconnection = Reconnection(backoffMilliseconds: PostgresLimits().backoffMilliseconds)
    self.loop = loop
    self.lock = lock
    self.observer = observer
    self.onLock = onLock
    self.report = report
  }

  /// Connects, and waits until it listens and holds the lock. From any task, once; the loop must run.
  ///
  /// Throws `PostgresProcessLockError` where another process holds the lock, and `RegistryError.unavailable` where the
  /// database does not answer in time. Then it is closed.
  public func start() async throws {
    let result: Result<Void, any Error> = await loop.run { [self] in
      await withUnsafeContinuation { continuation in begin { continuation.resume(returning: $0) } }
    }
    if case .failure = result { await close() }
    try result.get()
  }

  /// Ends the connection, and with it the lock. From any task; the loop must run, and is to be stopped only
  /// afterwards.
  public func close() async {
    await loop.run { [self] in
      timer?.close()
      timer = nil
      drop(PostgresFailure(message: "the listener was closed"), isFinal: true)
    }
    // A worker may be waiting for a server that does not answer: that must hold up neither loop nor caller.
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

  /// Does what is due by now.
  private func advance(to now: Int64) {
    switch reconnection.duty(at: now, deadlineMilliseconds: answerDeadlineMilliseconds) {
    case .connect: connect()
    case .giveUp: giveUp()
    case nil: if isListening, sentAtMilliseconds == nil, nextBeatMilliseconds <= now { beat(at: now) }
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
    send(Self.sessionSetup + lock.sql, at: MonotonicClock.milliseconds)
  }

  private func send(_ sql: String, at now: Int64) {
    guard let link else { return }
    sentAtMilliseconds = now
    if !link.send(sql) { drop(link.failure) }
  }

  private static let sessionSetup = """
    SELECT \(PostgresParameters.serverSideSetup);
    LISTEN \(PostgresNotification.credentialsChannel); LISTEN \(PostgresNotification.signalsChannel);

    """

  // MARK: Listening

  /// A heartbeat is also an attempt at the lock, for as long as it is not held.
  private func beat(at now: Int64) { send(isLockHeld ? "SELECT true" : lock.sql, at: now) }

  private func receive() {
    guard let link else { return }
    let isOpen = link.readAvailable()
    let answer = sentAtMilliseconds.flatMap { sentAt in link.takeAnswer().map { (sentAt, $0) } }
    while let notification = link.nextNotification() { notification.tell(observer) }
    // The observer must learn of a notification before the answer that follows it extends its trust.
    switch answer {
    case (let sentAt, .success(let isLockHeld))?: finishQuery(sentAt: sentAt, isLockHeld)
    case (_, .failure(let failure))?: return drop(failure)
    case nil: break
    }
    if !isOpen || !link.flush() { drop(link.failure) }
  }

  private func finishQuery(sentAt: Int64, _ isLockHeld: Bool) {
    if !isListening {
      reconnection.prepared()
      report(.connected)
      observer.changesMissed()
      // From now on `start` waits for the lock.
      start?.deadlineMilliseconds = MonotonicClock.milliseconds + Self.lockMilliseconds
    }
    sentAtMilliseconds = nil
    nextBeatMilliseconds = sentAt + Self.heartbeatMilliseconds
    observer.trust(untilMilliseconds: sentAt + Self.trustMilliseconds)
    setLock(isLockHeld)
    if isLockHeld { endStart(.success(())) }
  }

  private func setLock(_ isHeld: Bool) {
    guard isHeld != isLockHeld else { return }
    isLockHeld = isHeld
    onLock(isHeld)
  }

  /// Whether the connection's first query was answered.
  private var isListening: Bool { reconnection.isReady }

  private var answerDeadlineMilliseconds: Int64? {
    sentAtMilliseconds.map { sentAt in
      sentAt + (isListening ? Self.heartbeatDeadlineMilliseconds : Self.setUpDeadlineMilliseconds)
    }
  }

  // MARK: Losing the connection

  /// There is no answer in time, unless it has arrived and this loop had no time to read it.
  private func giveUp() {
    receive()
    if sentAtMilliseconds != nil { drop(PostgresFailure(message: "no answer in time")) }
  }

  /// Gives the connection up, and plans the next attempt.
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
      report(wasListening ? .lost(cause: failure.description) : .connectFailed(cause: failure.description))
    }
    if wasListening { observer.trust(untilMilliseconds: 0) }
    setLock(false)
  }
}
