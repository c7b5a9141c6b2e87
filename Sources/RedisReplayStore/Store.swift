public import EventLoop
public import Registry
private import Synchronization

/// The nonces of signed requests in a Redis that several processes share. Each event loop has its own store and
/// connection.
///
/// A nonce is accepted only if Redis has kept every nonce since before the signature can have been used. So
/// Redis also holds an epoch: the time since which it has kept every nonce. The store reads the epoch after it
/// stores a nonce. If Redis was emptied, restarted or failed over, signatures that may have been used before that
/// are refused. A replicated Redis may lose its newest nonces unnoticed only while two servers act as master.
///
/// `@unchecked Sendable`: all mutable state except `lastLook` is confined to `loop`. `start` and `close` switch
/// to it; `remember` begins with `loop.assertCurrent()`, and its completion callback runs there too.
public final class RedisReplayStore: ReplayStore, ClosableService, @unchecked Sendable {
  /// The interval at which deadlines and reconnection are checked.
  static let tickMilliseconds = 50

  private let loop: EventLoop
  let session: RedisSession
  private var timer: Timer?
  private let lastLook = Mutex(RedisState())

  /// - Parameters:
  ///   - isFirstStart: whether there was no device when the process started, so that no nonce can have been
  ///     used. Called at most once, on the loop, and only if the first Redis that is reached holds no epoch.
  ///   - report: called on the loop when a connection is made or lost, and when Redis is misconfigured or was
  ///     emptied.
  public convenience init(
    url: RedisURL, loop: EventLoop, clock: any Clock, random: any RandomSource,
    isFirstStart: @escaping @Sendable () -> Bool, report: @escaping @Sendable (RedisEvent) -> Void = { _ in }
  ) {
    self.init(
      url: url, loop: loop, limits: RedisLimits(), clock: clock, random: random, isFirstStart: isFirstStart,
      report: report)
  }

  init(
    url: RedisURL, loop: EventLoop, limits: RedisLimits, clock: any Clock, random: any RandomSource,
    isFirstStart: @escaping @Sendable () -> Bool, report: @escaping @Sendable (RedisEvent) -> Void
  ) {
    self.loop = loop
    let connection = RedisConnection(url, limits: limits, loop: loop)
    session = RedisSession(
      url, on: connection, limits: limits, clock: clock, random: random, isFirstStart: isFirstStart,
      report: report)
  }

  /// Starts connecting, and reconnects until `close`. Call it once, on the loop. Requests may follow
  /// immediately: they wait for the connection.
  public func start() {
    loop.assertCurrent()
    precondition(timer == nil, "started twice")
    let timer = Timer(on: loop)
    self.timer = timer
    timer.start(afterMilliseconds: 0, repeatMilliseconds: Self.tickMilliseconds) { [weak self] in
      self?.advance()
    }
  }

  private func advance() {
    session.advance(to: MonotonicClock.milliseconds)
    lastLook.withLock { $0 = session.state }
  }

  /// The state of the connection up to 50 ms ago. Any thread may read it, without waiting for the loop.
  public var state: RedisState { lastLook.withLock { $0 } }

  /// Closes the connection. Pending requests fail as `replayUnavailable`. Call it from any task, before the
  /// loop stops.
  public func close() async {
    await loop.run { [self] in
      timer?.close()
      timer = nil
      session.close()
    }
  }

  /// Throws `signedBeforeStart`, `replayUnavailable` or `overloaded`, within 2 s. Call it on the loop.
  public func remember(_ nonce: SignedNonce) async throws(RegistryError) -> Bool {
    loop.assertCurrent()
    let result: Result<Bool, RegistryError> = await withUnsafeContinuation { continuation in
      session.remember(RedisRequest(nonce: nonce) { continuation.resume(returning: $0) })
    }
    return try result.get()
  }
}

/// A snapshot of a store's connection and queue.
public struct RedisState: Hashable, Sendable {
  /// Whether the connection can be used.
  public var isReady = false
  /// Unanswered requests.
  public var pendingRequests = 0
  /// Requests that wait for the connection.
  public var waitingRequests = 0
}
