import EventLoop
import Glibc
import Registry
import TestSupport
import Testing

@testable import SQLiteStore

/// A store on a separate loop, whose database has the client alice.
final class RunningSQLiteStore: RunningStore {
  let path: String
  let database: SQLiteDatabase
  let store: SQLiteStore
  let loop: EventLoop

  init(
    _ path: String, busyTimeoutMilliseconds: Int32, maximumWaitMilliseconds: Int64,
    maximumBackgroundWaitMilliseconds: Int64
  ) throws {
    self.path = path
    database = try SQLiteDatabase(
      path: path, busyTimeoutMilliseconds: busyTimeoutMilliseconds,
      maximumWaitMilliseconds: maximumWaitMilliseconds,
      maximumBackgroundWaitMilliseconds: maximumBackgroundWaitMilliseconds)
    loop = try EventLoop(name: "test")
    store = try SQLiteStore(database: database, loop: loop)
  }

  /// Runs SQL on the writer's connection.
  func execute(_ sql: String) async throws {
    try await database.write { (writer) throws(RegistryError) in
      do throws(SQLiteFailure) { try writer.execute(sql) } catch { throw error.registryError }
    }
  }

  /// Limits the file to its current number of pages.
  func leaveNoRoom() async throws {
    let pages = try await database.write { (writer) throws(RegistryError) in
      try writer.rows(of: SQLiteStatement("PRAGMA page_count") { $0.integer() }, [])[0]
    }
    try await execute("PRAGMA max_page_count = \(pages)")
  }

  /// Runs `count` writes that all wait for the writer before it runs the first, and counts them by error.
  func outcomes(
    _ count: Int, _ body: @escaping @Sendable (any RegistryStore, Int) async throws -> Void
  ) async throws -> [RegistryError?: Int] {
    let gate = Gate()
    async let held: Void = hold(gate)
    try await gate.waitUntilReached()
    async let outcomes = withTaskGroup(of: RegistryError?.self) { group in
      for number in 0..<count {
        group.addTask { [self] in await error { try await body($0, number) } }
      }
      return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }
    let areWaiting: Void? = try? await wait { [database] in database.waitingWrites == count }
    gate.open()
    await held
    #expect(areWaiting != nil)
    return await outcomes
  }

  /// Blocks the writer until the gate opens.
  func hold(_ gate: Gate) async {
    // On a busy machine the blocking write itself may wait too long.
    while (try? await database.write { (_) throws(RegistryError) in gate.pass() }) == nil {}
  }
}

/// Calls the body with a running store.
func withRunningStore(
  busyTimeoutMilliseconds: Int32 = 4000, maximumWaitMilliseconds: Int64 = 5000,
  maximumBackgroundWaitMilliseconds: Int64 = SQLiteDatabase.maximumBackgroundWaitMilliseconds,
  _ body: (RunningSQLiteStore) async throws -> Void
) async throws {
  let file = try await TestDatabase(.sqlite)
  try await file.sql("INSERT INTO clients (id, created_at) VALUES ('alice', \(noon.millisecondsSince1970))")
  let running = try RunningSQLiteStore(
    file.location, busyTimeoutMilliseconds: busyTimeoutMilliseconds,
    maximumWaitMilliseconds: maximumWaitMilliseconds,
    maximumBackgroundWaitMilliseconds: maximumBackgroundWaitMilliseconds)
  let result: Result<Void, any Error>
  do { result = .success(try await body(running)) } catch { result = .failure(error) }
  await running.store.close()
  running.loop.stop()
  running.database.close()
  try result.get()
}

/// Blocks a thread until the test opens it.
///
/// `@unchecked Sendable`: a semaphore may be used from any thread.
final class Gate: @unchecked Sendable {
  private let reached = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private let opened = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() {
    sem_init(reached, 0, 0)
    sem_init(opened, 0, 0)
  }

  deinit {
    sem_destroy(reached)
    sem_destroy(opened)
    reached.deallocate()
    opened.deallocate()
  }

  func pass() {
    sem_post(reached)
    sem_wait(opened)
  }

  func waitUntilReached() async throws {
    try await wait { sem_trywait(reached) == 0 }
  }

  func open() { sem_post(opened) }
}
