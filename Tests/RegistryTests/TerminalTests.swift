import Registry
import Synchronization
import TestSupport
import Testing

@Suite("The cost of leases and contexts", .timeLimit(.minutes(1))) struct TerminalTests {
  private let id = DeviceID(high: 1, low: 1)
  private let store: TerminalStoreOfOne
  private let services: Services

  init() async throws {
    let (store, clock) = (TerminalStoreOfOne(), SetClock())
    self.store = store
    let live = LiveDevices(monotonicMilliseconds: { 0 })
    live.trust(untilMilliseconds: .max)
    let replay = ReplayMemory(clock: clock, hash: TestNonceHash(), skewSeconds: 300)
    replay.hold(since: nil)
    let limits = RateLimits(RateLimits.Settings(), random: CountingRandom(), monotonicMilliseconds: { 0 })
    services = Services(
      store: store, live: live, replay: replay, hasher: Unused(), limits: limits, clock: clock,
      random: CountingRandom(), observer: Unobserved(), skewSeconds: 300, maxDevicesPerClient: 1)
  }

  private func session() async throws(RegistryError) -> DeviceSession {
    let nonce = store.nextNonce()
    return try await services.authentication.authenticate(
      id, nonce: nonce, created: 1_764_000_000, from: CallerAddress(high: 0, low: 1), requestID: "request"
    ) { $0 == TerminalStoreOfOne.key }
  }

  private func poll(_ instance: String, takesOver: Bool = false) async throws(RegistryError) {
    _ = try await services.signals.poll(
      try await session(), as: InstanceID(instance)!, takesOver: takesOver, waitSeconds: 0, limit: 1)
  }

  private func isInUse(for instance: String) async -> Bool {
    do throws(RegistryError) { try await poll(instance) } catch {
      if case .deviceInUse = error { return true }
    }
    return false
  }

  private var calls: [String: Int] { store.calls.withLock(\.self) }

  @Test func `An instance is one write, and its further polls have no statement`() async throws {
    for _ in 0..<3 { try await poll("instance-1") }
    let first = calls
    #expect(first["takeInstance"] == 1)
    for _ in 0..<20 { try await poll("instance-1") }
    #expect(calls == first)
  }

  @Test func `A takeover is one write, and a refusal one read after the first of a minute`() async throws {
    try await poll("instance-1")
    try await poll("instance-2", takesOver: true)
    for _ in 0..<2 { try await poll("instance-2") }
    #expect(calls["takeInstance"] == 2)
    for _ in 0..<2 { #expect(await isInUse(for: "instance-1")) }
    let refused = calls
    #expect(await isInUse(for: "instance-1"))
    #expect(refused["takeInstance"] == 2 && refused["recordContention"] == 1)
    var next = refused
    next["credentials", default: 0] += 1
    #expect(calls == next)
  }

  @Test func `A context is one write, and the same again is none`() async throws {
    func context(_ login: String) -> DeviceContext {
      DeviceContext(account: TradingAccount(login: login, server: "s"), json: "{\"login\":\"\(login)\"}")
    }
    for login in ["1", "1", "1", "2", "2"] {
      try await services.terminals.setContext(context(login), try await session())
    }
    #expect(calls["setContext"] == 2)
  }
}

/// A database with one device, which counts its operations.
private final class TerminalStoreOfOne: UnusableStore {
  static let key = [UInt8](repeating: 7, count: SecretVerifier.keyLength)
  let error = RegistryError.fault(cause: "not for this test")
  let calls = Mutex<[String: Int]>([:])
  private let terminal = Mutex(Terminal.none)

  private let nonces = Mutex(0)

  func nextNonce() -> String {
    nonces.withLock {
      $0 += 1
      return "nonce-\($0)"
    }
  }

  private func count(_ operation: String) { calls.withLock { $0[operation, default: 0] += 1 } }

  func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    count("credentials")
    return DeviceCredentials(
      deviceID: id, clientID: ClientID("alice")!,
      access: DeviceAccess(
        state: DeviceState(), clientSuspension: nil,
        tradingMode: TradingMode(since: Timestamp(millisecondsSince1970: 0))),
      current: SecretVerifier(hmacKeyHash: "", storedKey: Self.key, serverKey: Self.key), next: nil,
      graceExpiresAt: nil, terminal: terminal.withLock(\.self))
  }

  func signals(
    for id: DeviceID, of owner: ClientID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> DeviceSignals {
    count("signals")
    return DeviceSignals()
  }

  func takeInstance(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID, takesOver: Bool, silentSince: Timestamp,
    at time: Timestamp
  ) async throws(RegistryError) -> Bool {
    count("takeInstance")
    terminal.withLock {
      $0 = Terminal(
        lease: InstanceLease(instance: instance, since: time, lastPoll: time), context: $0.context)
    }
    return true
  }

  func recordContention(
    of id: DeviceID, owner: ClientID, by instance: InstanceID, recordedBefore: Timestamp, change: Change
  ) async throws(RegistryError) -> Bool {
    count("recordContention")
    terminal.withLock { $0 = Terminal(lease: $0.lease, context: $0.context, contendedAt: change.time) }
    return true
  }

  func setContext(
    _ context: DeviceContext, of id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    count("setContext")
    terminal.withLock { $0 = Terminal(lease: $0.lease, context: context) }
    return true
  }
}
