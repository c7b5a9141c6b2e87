internal import EventLoop
internal import Observability
internal import PostgresStore
internal import Registry
internal import SQLiteStore

/// The database of a process: of it come the stores, one for each event loop.
struct Database: Sendable {
  private let url: DatabaseURL
  private let loops: Int
  private let sqlite: SQLiteDatabase?

  /// Brings the database up to date; answers the labels of the migrations that were applied. Blocks.
  static func migrate(_ url: DatabaseURL) throws -> [String] {
    switch url {
    case .sqlite(let path): try SQLiteMigrator.migrate(path: path)
    case .postgres(let url): try PostgresMigrator.migrate(url: url)
    }
  }

  /// Opens what is shared by all loops, of which there are so many.
  init(_ url: DatabaseURL, loops: Int) throws {
    self.url = url
    self.loops = loops
    sqlite =
      switch url {
      case .sqlite(let path): try SQLiteDatabase(path: path)
      case .postgres: nil
      }
  }

  /// A store for a loop. The caller is on it.
  func store(on loop: EventLoop, logger: Logger) throws -> OpenStore {
    switch url {
    case .sqlite:
      let store = try SQLiteStore(database: sqlite!, loop: loop)
      return OpenStore(store: store, pool: nil) { await store.close() }
    case .postgres(let url):
      let store = try PostgresStore(url: url, loop: loop, loops: loops) { logger.log($0) }
      store.start()
      return OpenStore(store: store, pool: { store.pool }) { await store.close() }
    }
  }

  /// How long after the lock was lost elsewhere its former holder may still take it for held.
  var lockMarginMilliseconds: Int64 {
    switch url {
    case .sqlite: 0
    case .postgres: 1000
    }
  }

  /// Writes that wait for SQLite's one writer; nil where there is none. From any thread.
  var waitingWrites: Int? { sqlite?.waitingWrites }

  /// After the stores were closed. Blocks until what is queued is written.
  func close() { sqlite?.close() }
}

/// How a process shares its database with others that serve it.
enum ServiceLock: Sendable {
  /// It alone serves the database.
  case exclusive
  /// Others may serve it too.
  case shared
}

/// What tells of changes in the database, and holds the lock of the process that serves it.
struct ChangeFeed: Sendable {
  let close: @Sendable () async -> Void
}

extension Database {
  /// Takes the lock and begins to tell `observer` of changes, on a loop.
  ///
  /// - Parameter onLock: told when the lock is held, and when it is held no longer.
  ///
  /// Throws an error that names REPLAY_STORE where another process serves the database.
  func openFeed(
    on loop: EventLoop, lock: ServiceLock, observer: any ChangeObserver, logger: Logger,
    onLock: @escaping @Sendable (_ isHeld: Bool) -> Void
  ) async throws -> ChangeFeed {
    switch url {
    case .sqlite(let path):
      let held = try SQLiteProcessLock(databasePath: path, mode: lock == .exclusive ? .exclusive : .shared)
      onLock(true)
      let watcher = try SQLiteChangeWatcher(database: sqlite!, loop: loop, observer: observer)
      await loop.run { watcher.start() }
      return ChangeFeed {
        await watcher.close()
        withExtendedLifetime(held) {}
      }
    case .postgres(let url):
      let listener = try PostgresChangeListener(
        url: url, loop: loop, lock: lock == .exclusive ? .exclusive : .shared, observer: observer,
        onLock: onLock
      ) { logger.log($0) }
      try await listener.start()
      return ChangeFeed { await listener.close() }
    }
  }
}

/// A store, and how to close it.
struct OpenStore: Sendable {
  let store: any RegistryStore
  /// Its connections to PostgreSQL, for the metrics. From any thread.
  let pool: (@Sendable () -> PostgresPool)?
  let close: @Sendable () async -> Void
}

extension Logger {
  fileprivate func log(_ event: PostgresEvent) {
    switch event {
    case .connected: log(.debug, "database connected")
    case .connectFailed(let cause): log(.warning, "database not reached", ["cause": cause])
    case .lost(let cause): log(.warning, "database connection lost", ["cause": cause])
    }
  }
}
