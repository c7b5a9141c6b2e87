internal import EventLoop

/// One connection to Redis, which reconnects until it is closed; `advance(to:)` drives it. The session decides
/// which commands it sends.
///
/// `@unchecked Sendable`: confined to `loop`. Its methods, the callbacks of its link and the task that looks up
/// the host run there.
final class RedisConnection: @unchecked Sendable {
  private let url: RedisURL
  private let limits: RedisLimits
  private let loop: EventLoop
  /// Called for each new connection. Sends the set-up commands, and then calls `becomeReady` or `giveUp`.
  var whenOpened: () -> Void = {}
  /// Called when connecting or set-up failed, and when a ready connection broke.
  var whenLost: (_ failure: RedisFailure, _ wasReady: Bool) -> Void = { _, _ in }

  private var reconnection: Reconnection
  /// Non-nil while the connection is being set up or ready.
  private var link: RedisLink?
  /// Addresses of the host that this attempt has not tried yet.
  private var addressesLeft: ArraySlice<String> = []
  private var pipeline = RedisPipeline()

  init(_ url: RedisURL, limits: RedisLimits, loop: EventLoop) {
    self.url = url
    self.limits = limits
    self.loop = loop
    reconnection = Reconnection(backoffMilliseconds: limits.backoffMilliseconds)
  }

  var isReady: Bool { reconnection.isReady }

  var pendingCount: Int { pipeline.count }

  var isFull: Bool { pendingCount >= limits.pending }

  /// Sends the commands together. The connection must be open. Completes on the loop, possibly before this
  /// returns.
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

  /// Called when the connection is set up.
  func becomeReady() { reconnection.prepared() }

  /// Drops the connection because of an answer, and schedules the next attempt.
  func giveUp(_ failure: RedisFailure) {
    guard link != nil else { return }
    drop(failure)
  }

  /// Connects if an attempt is due, and drops the connection if an answer is overdue.
  func advance(to now: Int64) {
    switch reconnection.duty(at: now, deadlineMilliseconds: pipeline.deadlineMilliseconds) {
    case .connect: connect()
    case .giveUp: lose(RedisFailure("no answer within \(limits.commandDeadlineMilliseconds) ms"))
    case nil: break
    }
  }

  func close() {
    drop(RedisFailure("the store was closed"), isFinal: true)
  }

  // MARK: Connecting

  private func connect() {
    loop.startTask { [self] in
      let outcome = await addresses()
      guard reconnection.state == .connecting else { return }
      do throws(RedisFailure) {
        addressesLeft = try outcome.get()[...]
        try open()
      } catch {
        drop(error)
      }
    }
  }

  /// The loop looks up the host, since hiredis would block for that.
  private func addresses() async -> Result<[String], RedisFailure> {
    do throws(EventLoopError) {
      return .success(try await loop.addresses(ofHost: url.host, maximum: RedisLimits.addresses))
    } catch {
      return .failure(RedisFailure("host lookup failed: \(error)"))
    }
  }

  /// Tries the remaining addresses in order.
  private func open() throws(RedisFailure) {
    var failure = RedisFailure("the host has no address")
    while let address = addressesLeft.popFirst() {
      do throws(RedisFailure) {
        link = try RedisLink(
          address: address, port: url.port, on: loop,
          whenAnswered: { [weak self] in self?.receive($0) },
          whenLost: { [weak self] in self?.lose($0) })
        reconnection.connected()
        return whenOpened()
      } catch {
        failure = error
      }
    }
    throw failure
  }

  // MARK: Receiving

  private var nextDeadline: Int64 { MonotonicClock.milliseconds + limits.commandDeadlineMilliseconds }

  private func receive(_ answer: RedisAnswer) {
    guard let exchange = pipeline.receive(answer) else { return }
    exchange.complete(.success(exchange.answers))
  }

  // MARK: Losing the connection

  /// The connection broke or hangs: tries the host's next address, if set-up was not complete.
  private func lose(_ failure: RedisFailure) {
    guard reconnection.state == .preparing, !addressesLeft.isEmpty else { return drop(failure) }
    link?.close()
    link = nil
    reconnection.reconnecting()
    failPending(failure)
    do throws(RedisFailure) { try open() } catch { drop(error) }
  }

  /// Drops the connection, fails all pending requests, and schedules the next attempt.
  private func drop(_ failure: RedisFailure, isFinal: Bool = false) {
    guard reconnection.state != .closed else { return }
    let wasReady = isReady
    link?.close()
    link = nil
    if isFinal { reconnection.close() } else { reconnection.lost(at: MonotonicClock.milliseconds) }
    failPending(failure)
    if !isFinal { whenLost(failure, wasReady) }
  }

  private func failPending(_ failure: RedisFailure) {
    for exchange in pipeline.removeAll() { exchange.complete(.failure(failure)) }
  }
}
