internal import EventLoop

/// One connection to Redis, which connects, breaks and reconnects for as long as it is not closed;
/// `advance(to:)` drives it. What is said on it is its user's business.
///
/// `@unchecked Sendable`: confined to `loop`. Its methods are called there, and so are the callbacks of its link;
/// the task that looks up the host prefers that loop, and only addresses come back from the worker.
final class RedisConnection: @unchecked Sendable {
  private enum State {
    /// Not connected; the next attempt is due at this time.
    case disconnected(retryAtMilliseconds: Int64)
    case lookingUp
    /// Being made and set up; further addresses are left to try.
    case preparing(RedisLink, others: ArraySlice<String>)
    case ready(RedisLink)
    case closed
  }

  private let url: RedisURL
  private let limits: RedisLimits
  private let loop: EventLoop
  private let workers: WorkerPool
  /// Called for each connection, to set it up: with commands, and then `becomeReady` or `giveUp`.
  var whenOpened: () -> Void = {}
  /// Called when a connection could not be made or set up, or broke after it had been ready.
  var whenLost: (_ failure: RedisFailure, _ wasReady: Bool) -> Void = { _, _ in }

  private var state = State.disconnected(retryAtMilliseconds: 0)
  private var pipeline = RedisPipeline()
  private var backoff: Backoff

  init(_ url: RedisURL, limits: RedisLimits, loop: EventLoop, workers: WorkerPool) {
    self.url = url
    self.limits = limits
    self.loop = loop
    self.workers = workers
    backoff = Backoff(
      minimumMilliseconds: limits.minimumBackoffMilliseconds,
      maximumMilliseconds: limits.maximumBackoffMilliseconds)
  }

  var isReady: Bool {
    if case .ready = state { true } else { false }
  }

  var pendingCount: Int { pipeline.count }

  var isFull: Bool { pendingCount >= limits.pending }

  /// Sends the commands together, which the caller does only while there is a connection. Completes on the loop,
  /// and perhaps before it returns.
  func send(
    _ commands: [RedisCommand], _ complete: @escaping (Result<[RedisAnswer], RedisFailure>) -> Void
  ) {
    guard let link else { preconditionFailure("not connected") }
    pipeline.append(
      RedisExchange(answersExpected: commands.count, deadlineMilliseconds: nextDeadline, complete: complete))
    for command in commands where !link.send(command) {
      return lose(RedisFailure("connection lost"))
    }
  }

  /// The connection is set up.
  func becomeReady() {
    guard case .preparing(let link, _) = state else { return }
    state = .ready(link)
    backoff.reset()
  }

  /// Ends the connection, because of what Redis said on it, and plans the next attempt.
  func giveUp(_ failure: RedisFailure) {
    guard link != nil else { return }
    drop(failure)
  }

  /// Does what is due by now: connects, or gives up a connection whose answer is overdue.
  func advance(to now: Int64) {
    switch state {
    case .disconnected(let retryAt) where retryAt <= now: connect()
    case .preparing, .ready:
      if let deadline = pipeline.deadlineMilliseconds, deadline <= now {
        lose(RedisFailure("no answer within \(limits.commandDeadlineMilliseconds) ms"))
      }
    case .disconnected, .lookingUp, .closed: break
    }
  }

  func close() {
    drop(RedisFailure("the store was closed"), isFinal: true)
  }

  // MARK: Connecting

  private func connect() {
    state = .lookingUp
    loop.startTask { [self] in
      let outcome = await addresses()
      guard case .lookingUp = state else { return }
      switch outcome {
      case .success(let addresses): open(addresses[...])
      case .failure(let failure): drop(failure)
      }
    }
  }

  private func addresses() async -> Result<[String], RedisFailure> {
    do {
      return try await workers.run { [host = url.host] in RedisAddresses.lookUp(host) }
    } catch {
      return .failure(RedisFailure("too many names are being looked up"))
    }
  }

  /// Tries the first address.
  private func open(_ addresses: ArraySlice<String>) {
    guard let address = addresses.first else { return drop(RedisFailure("no address of the host")) }
    do throws(RedisFailure) {
      let link = try RedisLink(
        address: address, port: url.port, on: loop,
        whenAnswered: { [weak self] in self?.receive($0) },
        whenLost: { [weak self] in self?.lose($0) })
      state = .preparing(link, others: addresses.dropFirst())
      whenOpened()
    } catch {
      addresses.count > 1 ? open(addresses.dropFirst()) : drop(error)
    }
  }

  // MARK: Receiving

  private var nextDeadline: Int64 { MonotonicClock.milliseconds + limits.commandDeadlineMilliseconds }

  private func receive(_ answer: RedisAnswer) {
    guard let exchange = pipeline.receive(answer) else { return }
    exchange.complete(.success(exchange.answers))
  }

  private var link: RedisLink? {
    switch state {
    case .preparing(let link, _), .ready(let link): link
    case .disconnected, .lookingUp, .closed: nil
    }
  }

  // MARK: Losing the connection

  /// The connection broke, or hangs. Another address of the host may do better.
  private func lose(_ failure: RedisFailure) {
    guard case .preparing(let link, let others) = state, !others.isEmpty else { return drop(failure) }
    link.close()
    state = .lookingUp
    failPending(failure)
    open(others)
  }

  /// Gives the connection up, fails everything that waits for it, and plans the next attempt: at once after one
  /// that worked, later and later while none does.
  private func drop(_ failure: RedisFailure, isFinal: Bool = false) {
    if case .closed = state { return }
    let wasReady = isReady
    link?.close()
    if isFinal {
      state = .closed
    } else {
      state = .disconnected(
        retryAtMilliseconds: backoff.nextAttemptMilliseconds(hasWorked: wasReady))
    }
    failPending(failure)
    if !isFinal { whenLost(failure, wasReady) }
  }

  private func failPending(_ failure: RedisFailure) {
    for exchange in pipeline.removeAll() { exchange.complete(.failure(failure)) }
  }
}
