import CSQLite
import Crypto
import EventLoop
import Migrations
import Registry
import Synchronization
import TestSupport

@testable import PostgresStore
@testable import SQLiteStore
@testable import Server

/// The stores; all pass the same tests.
enum StoreKind: String, CaseIterable {
  case postgres, sqlite

  var migrations: [Migration] {
    self == .postgres ? PostgresMigrator.migrations : SQLiteMigrator.migrations
  }
}

/// An empty database of one kind.
final class TestDatabase: Sendable {
  let kind: StoreKind
  /// A URL, or a file's path.
  let location: String
  private let directory = TemporaryDirectory()

  /// Without tables unless `isMigrated`; on the server that all tests share unless another is given.
  init(_ kind: StoreKind, on cluster: PostgresCluster? = nil, isMigrated: Bool = true) async throws {
    self.kind = kind
    switch kind {
    case .postgres:
      if let cluster {
        location = await cluster.makeDatabase()
      } else {
        location = await PostgresCluster.shared.makeDatabase()
      }
    case .sqlite: location = "\(directory.path)/data/registry.db"
    }
    if isMigrated { _ = try await migrate() }
  }

  @discardableResult
  func migrate(_ migrations: [Migration]? = nil) async throws -> [String] {
    try await onOwnThread { [kind, location] in
      switch (kind, migrations) {
      case (.postgres, nil): try PostgresMigrator.migrate(url: location)
      case (.sqlite, nil): try SQLiteMigrator.migrate(path: location)
      case (.postgres, let some?): try PostgresMigrator.migrate(url: location, migrations: some)
      case (.sqlite, let some?): try SQLiteMigrator.migrate(path: location, migrations: some)
      }
    }
  }

  /// Runs hand-written SQL on a separate connection. Returns the first column of the first row, or nil; throws
  /// `SQLRefused`.
  @discardableResult
  func sql(_ text: String) async throws(SQLRefused) -> String? {
    switch kind {
    case .postgres: try await SQLSession(location).run(text).first
    case .sqlite: try await onOwnThread { [self] () throws(SQLRefused) in try sqlite(text) }
    }
  }

  private func sqlite(_ text: String) throws(SQLRefused) -> String? {
    var connection: OpaquePointer?
    defer { sqlite3_close_v2(connection) }
    sqlite3_open(location, &connection)
    sqlite3_busy_timeout(connection, 5000)
    var statement: OpaquePointer?
    defer { sqlite3_finalize(statement) }
    sqlite3_prepare_v2(connection, text, -1, &statement, nil)
    switch sqlite3_step(statement) {
    case SQLITE_ROW: return sqlite3_column_text(statement, 0).map { String(cString: $0) }
    case SQLITE_DONE: return nil
    default: throw SQLRefused(message: String(cString: sqlite3_errmsg(connection)))
    }
  }

  /// Limits concurrent stores: each has twelve connections, and the server that all tests share allows 300.
  private static let postgresTurns = Turns(20)

  /// Calls the body with a store, on the store's loop.
  ///
  /// - Parameter sealer: nil to store secrets plain.
  func withStore<Value: Sendable>(
    sealer: (any Sealer)? = testSealer(1),
    _ body: @escaping @Sendable (any RegistryStore) async throws -> Value
  ) async throws -> Value {
    let loop = try EventLoop(name: "test")
    defer { loop.stop() }
    switch kind {
    case .postgres:
      await Self.postgresTurns.take()
      defer { Self.postgresTurns.giveBack() }
      let store = try PostgresStore(url: location, loop: loop, loops: 1, sealer: sealer)
      let result = await loop.outcome {
        store.start()
        return try await body(store)
      }
      await store.close()
      return try result.get()
    case .sqlite:
      let database = try SQLiteDatabase(path: location)
      defer { database.close() }
      let store = try SQLiteStore(database: database, loop: loop, sealer: sealer)
      let result = await loop.outcome { try await body(store) }
      await store.close()
      return try result.get()
    }
  }
}

/// Limits how many tasks run concurrently.
private final class Turns: Sendable {
  private struct State {
    var free: Int
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state: Mutex<State>

  init(_ count: Int) { state = Mutex(State(free: count)) }

  func take() async {
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if state.free == 0 {
          state.waiting.append(continuation)
          return false
        }
        state.free -= 1
        return true
      }
      if isFree { continuation.resume() }
    }
  }

  func giveBack() {
    let next: CheckedContinuation<Void, Never>? = state.withLock { state in
      guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
      state.free += 1
      return nil
    }
    next?.resume()
  }
}

/// A sealer with a key for each number; the first one seals.
func testSealer(_ numbers: UInt8...) -> KeyFileSealer {
  KeyFileSealer(numbers.map { number in SealingKey { $0.update(repeating: number) } }, path: "sealing-key")
}

/// Calls the body with a store on an empty database.
func withStore(
  _ kind: StoreKind, _ body: @escaping @Sendable (any RegistryStore) async throws -> Void
) async throws {
  try await TestDatabase(kind).withStore(body)
}

/// Calls the body with a store on an empty database, whose feed of events no other test delays.
func withQuietStore(
  _ kind: StoreKind, _ body: @escaping @Sendable (any RegistryStore) async throws -> Void
) async throws {
  try await TestDatabase(kind, on: await .quiet).withStore(body)
}

extension EventLoop {
  /// The result of an asynchronous body on the loop.
  func outcome<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) async -> Result<Value, any Error> {
    do { return .success(try await run(body)) } catch { return .failure(error) }
  }
}

// MARK: What the tests store

let noon = Timestamp(millisecondsSince1970: 1_764_000_000_123)

extension Timestamp {
  func plus(milliseconds: Int64) -> Timestamp {
    Timestamp(millisecondsSince1970: millisecondsSince1970 + milliseconds)
  }

  func plus(seconds: Int64) -> Timestamp { plus(milliseconds: 1000 * seconds) }
}

private let counter = Atomic<UInt64>(1)

/// A new id; ids sort by age.
func newID() -> DeviceID {
  DeviceID(high: 0x0193_6b2e_7c1f_7a4b, low: counter.add(1, ordering: .relaxed).newValue)
}

/// A new secret's verifier.
func verifier() -> SecretVerifier {
  let id = newID()
  let number = withUnsafeBytes(of: id.low.bigEndian) { Array($0) }
  return SecretVerifier(
    hmacKeyHash: "$argon2id$test$\(id)", storedKey: number + number + number + number,
    serverKey: number + Array(repeating: 0, count: 24))
}

func client(_ id: String, email: String? = nil, telegramID: Int64? = nil, at time: Timestamp = noon) -> Client {
  Client(id: ClientID(id)!, email: email.map { Email($0)! }, telegramID: telegramID, createdAt: time)
}

func newDevice(
  _ name: String, of client: String = "alice", id: DeviceID = newID(), at time: Timestamp = noon
) throws -> Device {
  Device(registered: id, clientID: ClientID(client)!, deviceName: try DeviceName(name), at: time)
}

let alice = ClientID("alice")!
let bob = ClientID("bob")!

extension RegistryStore {
  /// Stores a new device, and returns it.
  @discardableResult
  func add(
    _ name: String, of client: String = "alice", id: DeviceID = newID(), at time: Timestamp = noon,
    verifier secret: SecretVerifier = verifier(), maxDevices: Int = 100
  ) async throws -> Device {
    let device = try newDevice(name, of: client, id: id, at: time)
    try await insertDevice(device, verifier: secret, maxDevices: maxDevices)
    return device
  }

  /// Counts the results of the calls.
  func outcomes(
    _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Void
  ) async -> [RegistryError?: Int] {
    await withTaskGroup(of: RegistryError?.self) { group in
      for index in 0..<count {
        group.addTask {
          do { try await body(index) } catch { return error as? RegistryError }
          return nil
        }
      }
      return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }
  }
}

func newHash() -> TokenHash { TokenHash(verifier().storedKey) }

/// A signal that lives for a minute.
func newSignal(
  of client: String = "alice", payload: String = "{}", at time: Timestamp = noon, expiresAt: Timestamp? = nil
) -> Signal {
  let id = newID()
  return Signal(
    id: SignalID(high: id.high, low: id.low), clientID: ClientID(client)!, payload: Array(payload.utf8),
    createdAt: time, expiresAt: expiresAt ?? time.plus(seconds: 60))
}

extension RegistryStore {
  /// Stores the client alice and `number` devices of hers, with ascending ids.
  func addDevices(_ number: Int) async throws -> [DeviceID] {
    try await insertClient(StoreTests.client("alice"))
    var ids: [DeviceID] = []
    for index in 0..<number { ids.append(try await add("device \(index)").id) }
    return ids
  }

  /// Stores a token with `insertToken`; the default limits are those of the service.
  func addToken(
    _ hash: TokenHash = newHash(), of id: DeviceID, owner: ClientID = alice, _ secret: SecretVerifier,
    at time: Timestamp = noon, expiresAt: Timestamp? = nil, maxLive: Int = 10, windowSeconds: Int = 60
  ) async throws -> Bool {
    try await insertToken(
      hash, of: id, owner: owner, hmacKeyHash: secret.hmacKeyHash,
      expiresAt: expiresAt ?? time.plus(seconds: 900),
      at: time,
      maxLive: maxLive, windowSeconds: windowSeconds)
  }

  /// Stores a signal, and returns it.
  @discardableResult
  func send(_ signal: Signal = newSignal(), to ids: DeviceID...) async throws -> Signal {
    _ = try await insertSignal(signal, to: .devices(ids), maxLive: 1000)
    return signal
  }
}

/// Whether the error means that the database is unreachable.
func isUnavailable(_ error: RegistryError?) -> Bool {
  if case .unavailable? = error { true } else { false }
}

func isOverloaded(_ error: RegistryError?) -> Bool {
  if case .overloaded? = error { true } else { false }
}

/// Changes by an arbitrary actor.
extension RegistryStore {
  func insertClient(_ client: Client) async throws(RegistryError) {
    try await insertClient(client, change: .at(client.createdAt))
  }

  func deleteClient(_ id: ClientID) async throws(RegistryError) -> Bool {
    try await deleteClient(id, change: .at(noon))
  }

  /// The events that readers see when no older transaction runs: those of other tests' databases delay the feed too.
  func seenEvents(
    of client: ClientID = alice, after position: EventPosition? = nil, _ filter: EventFilter = .all,
    limit: Int = 1000, scan: Int? = nil
  ) async throws -> EventPage {
    var page = try await events(of: client, after: position, filter, limit: limit, scan: scan ?? limit)
    try await wait {
      if page.hasHidden {
        page = try await events(of: client, after: position, filter, limit: limit, scan: scan ?? limit)
      }
      return !page.hasHidden
    }
    return page
  }

  /// Deletes all rows of deleted clients.
  func clearDeletedClients() async throws(RegistryError) {
    while try await clearDeletedClients(nil, maximumRows: 1000) == 1000 {}
  }

  func clearDeletedClients(_ id: ClientID?, maximumRows: Int) async throws(RegistryError) -> Int {
    try await clearDeletedClients(id, maximumRows: maximumRows, change: .at(noon))
  }

  func insertDevice(_ device: Device, verifier: SecretVerifier, maxDevices: Int) async throws(RegistryError) {
    try await insertDevice(device, verifier: verifier, maxDevices: maxDevices, change: .at(device.createdAt))
  }

  func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, at time: Timestamp
  ) async throws(RegistryError) -> Device? {
    try await renameDevice(id, of: owner, to: deviceName, change: .at(time))
  }

  func revokeDevice(
    _ id: DeviceID, of owner: ClientID, at time: Timestamp
  ) async throws(RegistryError) -> Device? {
    try await revokeDevice(id, of: owner, change: .at(time))
  }

  func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    at time: Timestamp
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)? {
    try await rotateSecret(
      of: id, of: owner, to: verifier, graceExpiresAt: graceExpiresAt, change: .at(time))
  }

  func promoteNextSecret(
    of id: DeviceID, owner: ClientID = alice, hmacKeyHash: String
  ) async throws(RegistryError) -> Bool {
    try await promoteNextSecret(of: id, owner: owner, hmacKeyHash: hmacKeyHash, change: .at(noon))
  }

  func insertSignal(
    _ signal: Signal, to selector: DeviceSelector, maxLive: Int
  ) async throws(RegistryError) -> Int {
    try await insertSignal(
      signal, to: selector, bounds: SignalBounds(live: maxLive, kept: 10_000, deliveries: 100_000),
      step: 2000,
      change: .at(signal.createdAt)
    ).deliveries
  }

  func pendingSignals(
    of id: DeviceID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [Signal] {
    let owner = try await device(id)?.clientID ?? alice
    return try await signals(for: id, of: owner, at: time, limit: limit).pending
  }

  /// Presence without statistics, so long ago that nobody comes online.
  func recordPresence(_ presence: [DeviceID: Presence]) async throws(RegistryError) {
    var devices: [ActiveDevice] = []
    for (id, times) in presence {
      let owner = try await device(id)?.clientID ?? alice
      devices.append(ActiveDevice(id: id, clientID: owner, presence: times))
    }
    _ = try await recordActivity(
      devices, offlineAfterMilliseconds: 90_000, change: .at(noon.plus(seconds: 86_400)))
  }

  func deliveries(of id: SignalID) async throws(RegistryError) -> [Delivery] {
    try await deliveries(of: id, after: nil, limit: 1000)
  }

  /// Deletes signals and their deliveries; returns how many rows.
  func removeSignals(
    expiredBefore time: Timestamp = Timestamp(millisecondsSince1970: 0),
    abandonedBefore: Timestamp = Timestamp(millisecondsSince1970: 0), limit: Int
  ) async throws(RegistryError) -> Int {
    try await removeSignals(
      expiredBefore: time, abandonedBefore: abandonedBefore, maximumRows: limit)
  }

  /// The signals sent to the device.
  func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, of owner: ClientID = alice, at time: Timestamp
  ) async throws(RegistryError) -> Set<SignalID> {
    Set(try await acknowledge(acknowledgements, by: id, owner: owner, change: .at(time)).keys)
  }
}

extension Change {
  static func at(_ time: Timestamp) -> Change { Change(by: .system, at: time) }
}

/// What a device that was registered at noon may do.
func access(
  _ status: DeviceState.Status, _ mode: TradingMode = TradingMode(since: noon)
) -> DeviceAccess {
  DeviceAccess(
    state: DeviceState(
      isRevoked: status == .revoked, suspension: status == .suspended ? .init(since: nil, until: nil) : nil,
      expiresAt: status == .expired ? noon : nil, reason: nil),
    clientSuspension: nil, tradingMode: mode)
}

extension Device {
  /// The same device in another mode.
  func with(_ mode: TradingMode) -> Device {
    Device(
      id: id, clientID: clientID, deviceName: deviceName, createdAt: createdAt, updatedAt: updatedAt,
      lastPoll: lastPoll, lastAck: lastAck, lastSeen: lastSeen, labels: labels, groups: groups, state: state,
      tradingMode: mode, terminal: terminal)
  }
}
