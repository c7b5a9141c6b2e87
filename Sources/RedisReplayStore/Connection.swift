internal import EventLoop

/// One connection to Redis, which connects, breaks and reconnects until it is closed; `advance(to:)` drives it. It knows
/// no command.
///
/// `@unchecked Sendable`: confined to `loop`. Its methods are called there, and so are the callbacks of its link and the
/// task that looks up the host.
final class RedisConnection: @unchecked Sendable {
  private let url: RedisURL
  private let limits: RedisLimits
  private let loop: EventLoop
  /// Called for each connection, to set it up: with commands, and then `becomeReady` or `giveUp`.
  var whenOpened: () -> Void = {}
  /// Called when a connection could not be made or set up, and when one that was ready broke.
  var whenLost: (_ failure: RedisFailure, _ wasReady: Bool) -> Void = { _, _ in }

  private var reconnection: Reconnection
  /// There is one while the connection is set up or ready.
  private var link: RedisLink?
  /// Addresses of the host that this attempt has not tried.
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
  func becomeReady() { reconnection.prepared() }

  /// Ends the connection, because of what Redis said on it, and plans the next attempt.
  func giveUp(_ failure: RedisFailure) {
    guard link != nil else { return }
    drop(failure)
  }

  /// Does what is due by now: connects, or gives up a connection whose answer is overdue.
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

  /// hiredis itself would block the loop for a look-up.
  private func addresses() async -> Result<[String], RedisFailure> {
    do throws(EventLoopError) {
      return .success(try await loop.addresses(ofHost: url.host, maximum: RedisLimits.addresses))
    } catch {
      return .failure(RedisFailure("no address of the host: \(error)"))
    }
  }

  /// Tries the next address.
  private func open() throws(RedisFailure) {
    var failure = RedisFailure("no address of the host")
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

  /// The connection broke, or hangs. Another address of the host may do better.
  private func lose(_ failure: RedisFailure) {
    guard reconnection.state == .preparing, !addressesLeft.isEmpty else { return drop(failure) }
    link?.close()
    link = nil
    reconnection.reconnecting()
    failPending(failure)
    do throws(RedisFailure) { try open() } catch { drop(error) }
  }

  /// Gives the connection up, fails everything that waits for it, and plans the next attempt.
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
