import Registry
import Synchronization
import TestSupport
import Testing

/// A process that is not notified of the database's changes.
@Suite("A change without a notification", .timeLimit(.minutes(1))) struct UnheardChangeTests {
  private let id = DeviceID(high: 1, low: 1)
  private let store: OneDeviceStore
  private let live: LiveDevices
  private let services: Services
  private let monotonic = MonotonicTime()

  init() async throws {
    let (store, clock, monotonic) = (OneDeviceStore(id), SetClock(), monotonic)
    self.store = store
    live = LiveDevices(monotonicMilliseconds: { monotonic.milliseconds.withLock(\.self) })
    let replay = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300)
    replay.hold(since: nil)
    let limits = RateLimits(
      RateLimits.Settings(), random: CountingRandom(),
      monotonicMilliseconds: { monotonic.milliseconds.withLock(\.self) })
    services = Services(
      store: store, live: live, replay: replay, hasher: Unused(), limits: limits, clock: clock,
      random: CountingRandom(), observer: Unobserved(), skewSeconds: 300, maxDevicesPerClient: 1)
  }

  private func session(_ nonce: String) async throws(RegistryError) -> DeviceSession {
    try await services.authentication.authenticate(
      id, nonce: nonce, created: 1_764_000_000, from: CallerAddress(high: 0, low: 1), requestID: "request"
    ) {
      $0 == OneDeviceStore.key
    }
  }

  /// Waits until the poll has queried signals: by then it has a seat and a deadline.
  private func untilParked() async throws {
    try await wait { store.searches.withLock(\.self) > 0 }
  }

  @Test
  func `takes effect when notifications are overdue: a revoked device is refused`() async throws {
    live.trust(untilMilliseconds: 1000)
    _ = try await session("nonce-01")
    store.revoke()
    // The device is cached, and no notification arrived.
    monotonic.set(999)
    _ = try await session("nonce-02")
    monotonic.set(1000)
    #expect(try await session("nonce-03").refusal == .revoked(reason: nil))
  }

  @Test
  func `ends a parked poll when notifications are overdue, and no sooner`() async throws {
    live.trust(untilMilliseconds: 1000)
    let session = try await session("nonce-01")
    let polled = Task { [signals = services.signals] () async throws(RegistryError) in
      try await signals.poll(session, waitSeconds: 30, limit: 1)
    }
    try await untilParked()
    store.revoke()
    monotonic.set(999)
    live.tick()
    #expect(live.parked.count == 1)
    monotonic.set(1000)
    live.tick()
    await #expect(throws: RegistryError.refused(.revoked(reason: nil))) { _ = try await polled.value }
    #expect(live.parked.count == 0)
  }

  @Test
  func `does not end the poll of a valid device, which waits until its deadline`() async throws {
    let session = try await session("nonce-01")
    async let polled = services.signals.poll(session, waitSeconds: 30, limit: 1)
    defer { live.parked.close() }
    try await untilParked()
    for milliseconds: Int64 in [1000, 2000, 29_999] {
      let looks = store.looks.withLock(\.self)
      monotonic.set(milliseconds)
      live.tick()
      // The poll queries the database.
      try await wait { store.looks.withLock(\.self) > looks }
      #expect(live.parked.count == 1)
    }
    monotonic.set(30_000)
    // If its query has not returned yet, the next tick ends it.
    try await wait {
      live.tick()
      return live.parked.count == 0
    }
    #expect(try await polled.signals.isEmpty)
  }
}

/// A monotonic clock that the test advances.
private final class MonotonicTime: Sendable {
  let milliseconds = Mutex<Int64>(0)
  func set(_ time: Int64) { milliseconds.withLock { $0 = time } }
}

/// A database with one device and no signals, which sends no notifications.
private final class OneDeviceStore: UnusableStore {
  static let key = [UInt8](repeating: 7, count: SecretVerifier.keyLength)
  let error = RegistryError.fault(cause: "not for this test")
  let looks = Mutex(0)
  let searches = Mutex(0)
  private let id: DeviceID
  private let isActive = Mutex(true)

  init(_ id: DeviceID) { self.id = id }

  func revoke() { isActive.withLock { $0 = false } }

  private var access: DeviceAccess {
    let state = DeviceState(
      isRevoked: !isActive.withLock(\.self), suspension: nil, expiresAt: nil, reason: nil)
    return DeviceAccess(
      state: state, clientSuspension: nil, tradingMode: TradingMode(since: Timestamp(millisecondsSince1970: 0)))
  }

  func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    guard id == self.id else { return nil }
    looks.withLock { $0 += 1 }
    return DeviceCredentials(
      deviceID: id, clientID: ClientID("alice")!, access: access,
      current: SecretVerifier(hmacKeyHash: "", storedKey: Self.key, serverKey: Self.key), next: nil,
      graceExpiresAt: nil)
  }

  func signals(
    for id: DeviceID, of owner: ClientID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> DeviceSignals {
    searches.withLock { $0 += 1 }
    return DeviceSignals()
  }
}
