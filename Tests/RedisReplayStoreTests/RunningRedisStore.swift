import EventLoop
import Registry
import Synchronization
import TestSupport
import Testing

@testable import RedisReplayStore

/// A store on a separate loop, and its events.
final class RunningRedisStore: Sendable {
  let store: RedisReplayStore
  let loop: EventLoop
  let clock: TestClock
  private let events: AsyncStream<RedisEvent>
  private let told = Told()

  private final class Told: Sendable {
    let events = Mutex<[RedisEvent]>([])
  }

  /// Calls the body with a store, and closes it.
  static func with(
    _ url: String, limits: RedisLimits = RedisLimits(), clock: TestClock = TestClock(),
    isFirstStart: Bool = true,
    _ body: (RunningRedisStore) async throws -> Void
  ) async throws {
    let running = try RunningRedisStore(RedisURL(url)!, limits, clock, isFirstStart)
    await running.loop.run { running.store.start() }
    let result: Result<Void, any Error>
    do { result = .success(try await body(running)) } catch { result = .failure(error) }
    await running.store.close()
    running.loop.stop()
    try result.get()
  }

  private init(_ url: RedisURL, _ limits: RedisLimits, _ clock: TestClock, _ isFirstStart: Bool) throws {
    let (events, continuation) = AsyncStream.makeStream(of: RedisEvent.self)
    self.events = events
    self.clock = clock
    loop = try EventLoop(name: "test")
    store = RedisReplayStore(
      url: url, loop: loop, limits: limits, clock: clock, random: TestRandom(), isFirstStart: { isFirstStart }
    ) { [told] event in
      told.events.withLock { $0.append(event) }
      continuation.yield(event)
    }
  }

  /// Whether the nonce is accepted, with a signature created that many milliseconds from now.
  func remember(
    _ nonce: String = "nonce-01", of device: DeviceID = one, createdAfterMilliseconds: Int64 = 0,
    leadMilliseconds: Int64 = 5000
  ) async throws -> Bool {
    let created = clock.now().after(createdAfterMilliseconds)
    return try await loop.run { [store] () async throws(RegistryError) in
      try await store.remember(
        SignedNonce(
          nonce, of: device, created: created, leadMilliseconds: leadMilliseconds,
          expiry: created.after(300_000)))
    }
  }

  /// The error that `remember` throws, or nil.
  func error(
    _ nonce: String = "nonce-01", createdAfterMilliseconds: Int64 = 0, leadMilliseconds: Int64 = 5000
  ) async -> RegistryError? {
    do {
      _ = try await remember(
        nonce, createdAfterMilliseconds: createdAfterMilliseconds, leadMilliseconds: leadMilliseconds)
    } catch {
      return error as? RegistryError
    }
    return nil
  }

  /// Waits for one more event of the kind.
  func waitForEvent(_ isWanted: (RedisEvent) -> Bool) async {
    for await event in events where isWanted(event) { return }
  }

  /// Waits until a request is pending.
  func waitUntilPending() async throws {
    try await wait { await loop.run { [store] in store.session.state.pendingRequests } > 0 }
  }

  /// All events so far.
  var eventsSoFar: [RedisEvent] { told.events.withLock { $0 } }
}

extension RedisEvent {
  var isLoss: Bool { if case .lost = self { true } else { false } }
  var isRefusal: Bool { if case .connectFailed = self { true } else { false } }
  var isEvictionPolicy: Bool { if case .evictionPolicy = self { true } else { false } }
  var isUninspected: Bool { if case .uninspected = self { true } else { false } }
}

/// A clock that the test moves.
final class TestClock: Registry.Clock {
  private let time = Mutex(Timestamp(millisecondsSince1970: 1_764_000_000_123))

  func now() -> Timestamp { time.withLock { $0 } }

  func advance(milliseconds: Int64) { time.withLock { $0 = $0.after(milliseconds) } }
}

struct TestRandom: RandomSource {
  func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    for index in buffer.indices { buffer[index] = .random(in: .min ... .max) }
  }
}

extension Timestamp {
  func after(_ milliseconds: Int64) -> Timestamp {
    Timestamp(millisecondsSince1970: millisecondsSince1970 + milliseconds)
  }
}

let one = DeviceID("01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a")!
let two = DeviceID("01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7b")!

extension RedisServer {
  /// The URL of its database 0, for the default user.
  func url(_ credentials: String = "", database: Int = 0) -> String {
    "redis://\(credentials)127.0.0.1:\(port)/\(database)"
  }

  /// Where the store keeps the epoch of this run of the server.
  var epochKey: String {
    get async {
      let info = await run("INFO server").split(whereSeparator: \.isWhitespace)
      return "device-registry:epoch:\(info.first { $0.hasPrefix("run_id:") }!.dropFirst("run_id:".count))"
    }
  }
}

/// After how many seconds to try again; nil for any other result.
func secondsLeft(_ error: RegistryError?) -> Int? {
  switch error {
  case .replayUnavailable(_, let seconds), .signedBeforeStart(_, let seconds, _): seconds
  default: nil
  }
}

func cause(_ error: RegistryError?) -> String? {
  switch error {
  case .replayUnavailable(let cause, _), .signedBeforeStart(let cause, _, _): cause
  default: nil
  }
}

/// The time that the body takes.
func elapsedMilliseconds(_ body: () async throws -> Void) async rethrows -> Int64 {
  let start = MonotonicClock.milliseconds
  try await body()
  return MonotonicClock.milliseconds - start
}
