internal import CPostgres
internal import EventLoop
internal import Registry

/// One statement with its parameters. It is completed exactly once.
struct PostgresRequest {
  let statement: PreparedStatement
  let values: [PostgresValue]
  /// A number for the client; nil for the service's own statements.
  var party: Int?
  /// Remaining retries after another read of the same synchronisation point failed.
  var repetitionsLeft = 3
  /// Called on the loop with the connection that sends it.
  var whenSent: (PostgresConnection) -> Void = { _ in }
  /// Called on the loop.
  let complete: (Result<PostgresAnswer, PostgresFailure>) -> Void

  /// Statements that lock their client's row have a line beside its others, which need not wait for them.
  var turn: Turn {
    let kind = statement.kind
    return Turn(of: party.map { kind.locksClient ? ~$0 : $0 }, kind.urgency)
  }
}

/// One connection to the server, in pipeline mode. It reconnects until it is closed; `advance(to:)` drives it.
///
/// `@unchecked Sendable`: confined to `loop`. Its methods and the callbacks of its watch run there; the
/// connecting task prefers that loop, and only a `PostgresHandle` comes back from the worker.
final class PostgresConnection: @unchecked Sendable {
  private enum Step {
    case setUp
    case prepare
    case request(PostgresRequest)
  }

  private let loop: EventLoop
  private let workers: WorkerPool
  private let parameters: PostgresParameters
  private let statements: [PreparedStatement]
  private let isForWrites: Bool
  private let limits: PostgresLimits
  private let report: @Sendable (PostgresEvent) -> Void
  /// Called when the connection becomes ready, or has completed a request.
  var whenFree: () -> Void = {}

  private var reconnection: Reconnection
  /// Non-nil while the connection is being prepared or ready.
  private var link: PostgresLink?
  private var pipeline = Pipeline<Step, Result<PostgresAnswer, PostgresFailure>>()
  private var isPointPlanned = false
  /// The pending write that is not short. Nothing is sent after it, so there is at most one.
  private var pendingLong: (party: Int?, locksClient: Bool)?
  /// Whether a transaction of several statements uses it. Then `pendingLong` stays until `release`.
  private var isHeld = false
  /// Counts the sessions. A transaction ends with its session.
  private(set) var session = 0

  init(
    _ parameters: PostgresParameters, statements: [PreparedStatement], isForWrites: Bool,
    limits: PostgresLimits,
    loop: EventLoop, workers: WorkerPool, report: @escaping @Sendable (PostgresEvent) -> Void
  ) {
    self.isForWrites = isForWrites
    self.parameters = parameters
    self.statements = statements
    self.limits = limits
    reconnection = Reconnection(backoffMilliseconds: limits.backoffMilliseconds)
    self.loop = loop
    self.workers = workers
    self.report = report
  }

  var isReady: Bool { reconnection.isReady }

  var state: Reconnection.State { reconnection.state }

  var pendingCount: Int { pipeline.count }

  /// Whether it can send a request now: after short ones, but not after one that may take long.
  var hasRoom: Bool { isReady && pendingLong == nil && pipeline.count < pendingLimit }

  private var pendingLimit: Int { isForWrites ? limits.writesPerConnection : limits.readsPerConnection }

  /// Whether a write of the client that is not short is pending.
  func isUsed(by party: Int) -> Bool { pendingLong?.party == party }

  /// Whether a write that locks the client's row is pending.
  func isLocking(_ party: Int) -> Bool { isUsed(by: party) && pendingLong?.locksClient == true }

  /// Sends the request. The connection must be ready.
  func send(_ request: PostgresRequest) {
    guard isReady, let link else { preconditionFailure("not ready") }
    request.whenSent(self)
    if request.statement.kind.isWrite {
      let kind = request.statement.kind
      if !kind.isShort { pendingLong = (request.party, kind.locksClient) }
      if kind.beginsTransaction { isHeld = true }
      pipeline.append(.request(request), deadlineMilliseconds: nextDeadline)
    } else {
      pipeline.append(read: .request(request), deadlineMilliseconds: nextDeadline)
      planPoint(on: link)
    }
    if !link.send(request.statement, request.values) { drop(link.failure) }
  }

  /// Ends the use by a transaction, which was committed or rolled back.
  func release() {
    isHeld = false
    pendingLong = nil
    whenFree()
  }

  /// Connects if an attempt is due, and drops the connection if an answer is overdue.
  func advance(to now: Int64) {
    switch reconnection.duty(at: now, deadlineMilliseconds: pipeline.deadlineMilliseconds) {
    case .connect: connect()
    case .giveUp:
      drop(PostgresFailure(message: "no answer within \(limits.statementDeadlineMilliseconds) ms"))
    case nil: break
    }
  }

  func close() {
    drop(PostgresFailure(message: "the store was closed"), isFinal: true)
  }

  // MARK: Connecting

  private func connect() {
    loop.startTask { [self] in
      let outcome = await PostgresHandle.connect(
        parameters, on: workers, whenRefused: "too many connections are being made")
      guard state == .connecting else { return }
      do throws(PostgresFailure) {
        try adopt(outcome.get())
      } catch {
        drop(error)
      }
    }
  }

  private func adopt(_ handle: PostgresHandle) throws(PostgresFailure) {
    let link = try PostgresLink(handle, on: loop) { [weak self] in self?.receive() }
    self.link = link
    reconnection.connected()
    enqueue(.setUp, on: link) { link.sendSetup() }
    for statement in statements {
      guard state == .preparing else { return }
      enqueue(.prepare, on: link) { link.sendPrepare(statement) }
    }
  }

  // MARK: Sending and receiving

  private var nextDeadline: Int64 { MonotonicClock.milliseconds + limits.statementDeadlineMilliseconds }

  /// All reads of one pass of the loop share a synchronisation point.
  private func planPoint(on link: PostgresLink) {
    guard !isPointPlanned else { return }
    isPointPlanned = true
    loop.atEndOfPass { [self] in
      isPointPlanned = false
      guard isReady, self.link === link else { return }
      pipeline.appendPoint(deadlineMilliseconds: nextDeadline)
      if !link.synchronise() { drop(link.failure) }
    }
  }

  private func enqueue(_ step: Step, on link: PostgresLink, _ send: () -> Bool) {
    pipeline.append(step, deadlineMilliseconds: nextDeadline)
    if !send() { drop(link.failure) }
  }

  private func receive() {
    guard let link else { return }
    let isOpen = link.readAvailable()
    // Handle what arrived before the connection broke: it may include the server's reason.
    while pipeline.count > 0, let event = link.nextEvent() {
      if case .failure(.failure(let failure)) = event, failure.isFatal { return drop(failure) }
      guard let finished = pipeline.receive(event) else { continue }
      if case .skipped = event {
        repeatRead(finished.statement)
      } else {
        finish(finished.statement, finished.outcome ?? .failure(PostgresFailure(message: "no result")))
      }
      guard self.link === link else { return }
    }
    if !isOpen || !link.flush() { drop(link.failure) }
  }

  /// Retries a read that the server skipped because an earlier one failed.
  private func repeatRead(_ step: Step) {
    guard case .request(var request) = step else { return }
    guard request.repetitionsLeft > 0, isReady else {
      return request.complete(
        .failure(PostgresFailure(message: "other reads in the pipeline failed repeatedly")))
    }
    request.repetitionsLeft -= 1
    send(request)
  }

  private func complete(_ request: PostgresRequest, _ outcome: Result<PostgresAnswer, PostgresFailure>) {
    if !request.statement.kind.isShort, !isHeld { pendingLong = nil }
    // The server need not wait until the caller has the answer.
    whenFree()
    request.complete(outcome)
  }

  private func finish(_ step: Step, _ outcome: Result<PostgresAnswer, PostgresFailure>) {
    switch (step, outcome) {
    case (.request(let request), _):
      if case .failure(let failure) = outcome, failure.endsSession { drop(failure) }
      complete(request, outcome)
    case (_, .failure(let failure)):
      drop(failure)
    case (_, .success):
      becomeReadyIfPrepared()
    }
  }

  private func becomeReadyIfPrepared() {
    guard state == .preparing, pipeline.count == 0 else { return }
    reconnection.prepared()
    report(.connected)
    whenFree()
  }

  // MARK: Losing the connection

  /// Drops the connection, fails all pending requests, and schedules the next attempt.
  private func drop(_ failure: PostgresFailure, isFinal: Bool = false) {
    guard state != .closed else { return }
    let wasReady = isReady
    link?.close()
    link = nil
    session += 1
    isHeld = false
    pendingLong = nil
    if isFinal {
      reconnection.close()
    } else {
      reconnection.lost(at: MonotonicClock.milliseconds)
      report(
        wasReady
          ? .lost(cause: failure.description, isShutdown: failure.isShutdown)
          : .connectFailed(cause: failure.description))
    }
    for case .request(let request) in pipeline.removeAll() {
      complete(request, .failure(PostgresFailure(message: failure.description)))
    }
  }
}

/// A change in the state of a connection, for the log.
public enum PostgresEvent: Sendable, Hashable {
  case connected
  case connectFailed(cause: String)
  /// - Parameter isShutdown: whether the server said that an administrator stops it, or ends the session.
  case lost(cause: String, isShutdown: Bool)
}
