import EventLoop
import Registry
import Synchronization
import TestSupport

@testable import PostgresStore

/// A started listener on a separate loop, and its events.
struct RunningListener: Sendable {
  let listener: PostgresChangeListener
  let observer: RecordingObserver
  /// A separate session on its database.
  let session: SQLSession
  private let told: Told

  private final class Told: Sendable {
    let locks = Mutex<[ServingLock]>([])
  }

  /// Calls the body with a listener, and closes it.
  static func with(
    _ database: TestDatabase, lock: PostgresProcessLock = .shared,
    _ body: (RunningListener) async throws -> Void
  ) async throws {
    try await with(database.location, lock: lock, body)
  }

  static func with(
    _ url: String, lock: PostgresProcessLock, _ body: (RunningListener) async throws -> Void
  ) async throws {
    let loop = try EventLoop(name: "test")
    defer { loop.stop() }
    let (observer, told) = (RecordingObserver(), Told())
    let listener = try PostgresChangeListener(
      url: url, loop: loop, lock: lock, observer: observer,
      onLock: { lock in told.locks.withLock { $0.append(lock) } })
    try await listener.start()
    let running = RunningListener(
      listener: listener, observer: observer, session: await SQLSession(url), told: told)
    // Drop the initial `changesMissed`.
    _ = observer.take()
    let result: Result<Void, any Error>
    do { result = .success(try await body(running)) } catch { result = .failure(error) }
    await listener.close()
    try result.get()
  }

  /// Each acquisition (true) and loss (false) of the lock.
  var locks: [Bool] { told.locks.withLock { $0.map { $0 != .lost } } }

  /// The names of the terms that began, each after the name of the one before.
  var terms: [(previous: String, term: String)] {
    told.locks.withLock {
      $0.compactMap { if case .acquired(let term, let previous) = $0 { (previous, term) } else { nil } }
    }
  }

  /// The reports of everything committed since the last call. Notifications arrive in commit order, so once the
  /// change that this makes is reported, all earlier ones are.
  func heard() async throws -> Heard {
    let marker = newID()
    try await session.run("SELECT pg_notify('device_registry_credentials', '\(marker)')")
    try await wait { observer.heard.changed.contains(marker) }
    var heard = observer.take()
    heard.changed.remove(marker)
    return heard
  }

  /// The process id of the server session that listens and holds the lock.
  func backend() async throws -> Int32 {
    Int32(try await session.run("SELECT pid FROM (\(Self.holders)) AS holders")[0])!
  }

  /// Terminates the session that listens.
  func cut() async throws {
    try await session.run("SELECT pg_terminate_backend(pid) FROM (\(Self.holders)) AS holders")
  }

  private static let holders = """
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND granted AND datname = current_database()
    """
}
