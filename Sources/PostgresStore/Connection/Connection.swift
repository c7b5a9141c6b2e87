internal import CPostgres
internal import EventLoop
internal import Registry

/// One statement with its parameters. It is completed exactly once.
struct PostgresRequest {
  let statement: PreparedStatement
  let values: [PostgresValue]
  /// Remaining retries after another read of the same synchronisation point failed.
  var repetitionsLeft = 3
  /// Called on the loop.
  let complete: (Result<PostgresAnswer, PostgresFailure>) -> Void
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
  private let limits: PostgresLimits
  private let report: @Sendable (PostgresEvent) -> Void
  /// Called when the connection becomes ready.
  var whenReady: () -> Void = {}

  private var reconnection: Reconnection
  /// Non-nil while the connection is being prepared or ready.
  private var link: PostgresLink?
  private var pipeline = Pipeline<Step, Result<PostgresAnswer, PostgresFailure>>()
  private var isPointPlanned = false

  init(
    _ parameters: PostgresParameters, statements: [PreparedStatement], limits: PostgresLimits, loop: EventLoop,
    workers: WorkerPool, report: @escaping @Sendable (PostgresEvent) -> Void
  ) {
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

  var isFull: Bool { pipeline.count >= limits.pendingPerConnection }

  /// Sends the request. The connection must be ready.
  func send(_ request: PostgresRequest) {
    guard isReady, let link else { preconditionFailure("not ready") }
    guard !isFull else {
      request.complete(.failure(PostgresFailure(fullQueue: "postgres statements")))
      return
    }
    if request.statement.kind == .write {
      pipeline.append(.request(request), deadlineMilliseconds: nextDeadline)
    } else {
      pipeline.append(read: .request(request), deadlineMilliseconds: nextDeadline)
      planPoint(on: link)
    }
    if !link.send(request.statement, request.values) { drop(link.failure) }
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

  private func finish(_ step: Step, _ outcome: Result<PostgresAnswer, PostgresFailure>) {
    switch (step, outcome) {
    case (.request(let request), _):
      request.complete(outcome)
      if case .failure(let failure) = outcome, failure.endsSession { drop(failure) }
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
    whenReady()
  }

  // MARK: Losing the connection

  /// Drops the connection, fails all pending requests, and schedules the next attempt.
  private func drop(_ failure: PostgresFailure, isFinal: Bool = false) {
    guard state != .closed else { return }
    let wasReady = isReady
    link?.close()
    link = nil
    if isFinal {
      reconnection.close()
    } else {
      reconnection.lost(at: MonotonicClock.milliseconds)
      report(wasReady ? .lost(cause: failure.description) : .connectFailed(cause: failure.description))
    }
    for case .request(let request) in pipeline.removeAll() {
      request.complete(.failure(PostgresFailure(message: failure.description)))
    }
  }
}

/// A change in the state of a connection, for the log.
public enum PostgresEvent: Sendable, Hashable {
  case connected
  case connectFailed(cause: String)
  case lost(cause: String)
}
