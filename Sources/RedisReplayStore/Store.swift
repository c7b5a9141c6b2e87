public import EventLoop
public import Registry
private import Synchronization

/// The nonces of signed requests in a Redis that several processes share. There is one for each event loop, with a
/// separate connection.
///
/// A nonce is accepted only if Redis has remembered since before the signature can have been used. Therefore Redis keeps an
/// epoch with the nonces: the time from which it remembers. The epoch is read after each nonce is stored. A Redis that was
/// emptied, was started again, or took over from another refuses what was created up to 5 s after that. One that replicates
/// may lose its newest nonces unnoticed only while two servers take themselves for the master.
///
/// `@unchecked Sendable`: everything mutable but `lastLook` is confined to `loop`. `start` and `close` go there;
/// `remember` begins with `loop.assertCurrent()`, and the callback that completes it runs there too.
public final class RedisReplayStore: ReplayStore, ClosableService, @unchecked Sendable {
  /// How often deadlines and attempts to reconnect are looked at.
  static let tickMilliseconds = 50

  private let loop: EventLoop
  let session: RedisSession
  private var timer: Timer?
  private let lastLook = Mutex(RedisState())

  /// - Parameters:
  ///   - isFirstStart: whether there was no device yet when the process started, so that no nonce can have been
  ///     used. Asked at most once, on the loop, and only if the first Redis that is reached holds no epoch.
  ///   - report: called on the loop when a connection was made or lost, or Redis is not as it should be.
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

  /// Begins to connect, and reconnects until `close`. Called on the loop, once. Requests may follow at once: they wait
  /// for the connection.
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

  /// The connection, as it was up to 50 ms ago. From any thread, without waiting for the loop.
  public var state: RedisState { lastLook.withLock { $0 } }

  /// Ends the connection; what is still pending fails as `replayUnavailable`. From any task; the loop must run, and
  /// is to be stopped only afterwards.
  public func close() async {
    await loop.run { [self] in
      timer?.close()
      timer = nil
      session.close()
    }
  }

  /// Throws `replayUnavailable` and `overloaded`, within 2 s. Called on the loop.
  public func remember(
    nonce: String, of deviceID: DeviceID, created: Timestamp, until expiry: Timestamp
  ) async throws(RegistryError) -> Bool {
    loop.assertCurrent()
    let result: Result<Bool, RegistryError> = await withUnsafeContinuation { continuation in
      session.remember(
        RedisRequest(nonce: nonce, deviceID: deviceID, created: created, expiry: expiry) {
          continuation.resume(returning: $0)
        })
    }
    return try result.get()
  }
}

/// A store's connection to Redis and what waits for it, as they were at its last look at them.
public struct RedisState: Hashable, Sendable {
  /// Whether the connection can be used.
  public var isReady = false
  /// What was sent and is not answered.
  public var pendingRequests = 0
  /// Nonces that wait for the connection.
  public var waitingRequests = 0
}
