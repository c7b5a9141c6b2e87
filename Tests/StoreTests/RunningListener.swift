import EventLoop
import Registry
import Synchronization
import TestSupport

@testable import PostgresStore

/// A listener on a loop of its own that has started, and what it tells.
struct RunningListener: Sendable {
  let listener: PostgresChangeListener
  let observer: RecordingObserver
  /// Another session on its database.
  let session: SQLSession
  private let told: Told

  private final class Told: Sendable {
    let locks = Mutex<[Bool]>([])
  }

  /// Lends one, and closes it.
  static func with(
    _ database: TestDatabase, lock: PostgresProcessLock = .shared,
    _ body: (RunningListener) async throws -> Void
  ) async throws {
    let loop = try EventLoop(name: "test")
    defer { loop.stop() }
    let (observer, told) = (RecordingObserver(), Told())
    let listener = try PostgresChangeListener(
      url: database.location, loop: loop, lock: lock, observer: observer,
      onLock: { isHeld in told.locks.withLock { $0.append(isHeld) } })
    try await listener.start()
    let running = RunningListener(
      listener: listener, observer: observer, session: await SQLSession(database.location), told: told)
    // That it began with a clean slate is no news.
    _ = observer.take()
    let result: Result<Void, any Error>
    do { result = .success(try await body(running)) } catch { result = .failure(error) }
    await listener.close()
    try result.get()
  }

  /// Each time that the lock was had, and each time that it was lost.
  var locks: [Bool] { told.locks.withLock { $0 } }

  /// What was heard of all that was committed so far, since this was last asked. Notifications come in the order
  /// of commits: where one that is sent now was heard, all before it were.
  func heard() async throws -> Heard {
    let marker = newID()
    try await session.run("SELECT pg_notify('device_registry_credentials', '\(marker)')")
    try await wait { observer.heard.changed.contains(marker) }
    var heard = observer.take()
    heard.changed.remove(marker)
    return heard
  }

  /// The number of the process on the server that listens and holds the lock.
  func backend() async throws -> Int32 {
    Int32(try await session.run("SELECT pid FROM (\(Self.holders)) AS holders")[0])!
  }

  /// Ends the session that listens.
  func cut() async throws {
    try await session.run("SELECT pg_terminate_backend(pid) FROM (\(Self.holders)) AS holders")
  }

  private static let holders = """
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND granted AND datname = current_database()
    """
}
