import CPostgres
import CSQLite
import EventLoop
import Migrations
import Registry
import Synchronization
import TestSupport

@testable import PostgresStore
@testable import SQLiteStore

/// The stores that pass the same tests.
enum StoreKind: String, CaseIterable {
  case postgres, sqlite
}

/// An empty database of one kind.
final class TestDatabase: Sendable {
  let kind: StoreKind
  /// A URL, or a file's path.
  let location: String
  private let directory = TemporaryDirectory()

  /// Without its tables unless `isMigrated`; on the server that all tests share unless on another.
  init(_ kind: StoreKind, on cluster: PostgresCluster? = nil, isMigrated: Bool = true) throws {
    self.kind = kind
    location =
      switch kind {
      case .postgres: (cluster ?? .shared).makeDatabase()
      case .sqlite: "\(directory.path)/data/registry.db"
      }
    if isMigrated { _ = try migrate() }
  }

  @discardableResult
  func migrate(_ migrations: [Migration]? = nil) throws -> [String] {
    switch (kind, migrations) {
    case (.postgres, nil): try PostgresMigrator.migrate(url: location)
    case (.sqlite, nil): try SQLiteMigrator.migrate(path: location)
    case (.postgres, let some?): try PostgresMigrator.migrate(url: location, migrations: some)
    case (.sqlite, let some?): try SQLiteMigrator.migrate(path: location, migrations: some)
    }
  }

  var migrations: [Migration] {
    kind == .postgres ? PostgresMigrator.migrations : SQLiteMigrator.migrations
  }

  /// Runs hand-written SQL on a connection of its own. Answers the first column of the first row, or nil;
  /// throws `SQLRefused`.
  @discardableResult
  func sql(_ text: String) throws(SQLRefused) -> String? {
    kind == .postgres ? try postgres(text) : try sqlite(text)
  }

  private func postgres(_ text: String) throws(SQLRefused) -> String? {
    let connection = PQconnectdb(location)
    defer { PQfinish(connection) }
    let result = PQexec(connection, text)
    defer { PQclear(result) }
    switch PQresultStatus(result) {
    case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
      return PQntuples(result) > 0 ? String(cString: PQgetvalue(result, 0, 0)) : nil
    default:
      throw SQLRefused(message: String(cString: PQresultErrorMessage(result)))
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

  /// Lends a store, on whose loop the body runs.
  func withStore<Value: Sendable>(
    _ body: @escaping @Sendable (any DeviceStore) async throws -> Value
  ) async throws -> Value {
    let loop = try EventLoop(name: "test")
    defer { loop.stop() }
    switch kind {
    case .postgres:
      let store = try PostgresStore(url: location, loop: loop, loops: 1)
      let result = await loop.outcome {
        store.start()
        return try await body(store)
      }
      await store.close()
      return try result.get()
    case .sqlite:
      let database = try SQLiteDatabase(path: location)
      defer { database.close() }
      let store = try SQLiteStore(database: database, loop: loop)
      let result = await loop.outcome { try await body(store) }
      await store.close()
      return try result.get()
    }
  }
}

struct SQLRefused: Error {
  let message: String
}

/// Lends a store on an empty database.
func withStore(
  _ kind: StoreKind, _ body: @escaping @Sendable (any DeviceStore) async throws -> Void
) async throws {
  try await TestDatabase(kind).withStore(body)
}

extension EventLoop {
  /// What became of an asynchronous body on the loop.
  func outcome<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) async -> Result<Value, any Error> {
    do { return .success(try await run(body)) } catch { return .failure(error) }
  }
}

// MARK: What the tests store

let noon = Timestamp(millisecondsSince1970: 1_764_000_000_123)

private let counter = Atomic<UInt64>(1)

/// A new id; ids sort by age.
func newID() -> DeviceID {
  DeviceID(high: 0x0193_6b2e_7c1f_7a4b, low: counter.add(1, ordering: .relaxed).newValue)
}

func verifier() -> SecretVerifier {
  let number = UInt8(truncatingIfNeeded: counter.load(ordering: .relaxed))
  return SecretVerifier(
    hmacKeyHash: "$argon2id$test$\(newID())", storedKey: Array(repeating: number, count: 32),
    serverKey: Array(repeating: 0, count: 32))
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

extension DeviceStore {
  /// Stores a device as registered, and answers it.
  @discardableResult
  func add(
    _ name: String, of client: String = "alice", id: DeviceID = newID(), at time: Timestamp = noon,
    maxDevices: Int = 100
  ) async throws -> Device {
    let device = try newDevice(name, of: client, id: id, at: time)
    try await insertDevice(device, verifier: verifier(), maxDevices: maxDevices)
    return device
  }

  /// How many of the calls ended in which way.
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

/// Whether it is the error that says: the database is out of reach.
func isUnavailable(_ error: RegistryError?) -> Bool {
  if case .unavailable? = error { true } else { false }
}

func isOverloaded(_ error: RegistryError?) -> Bool {
  if case .overloaded? = error { true } else { false }
}
