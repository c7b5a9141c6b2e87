internal import EventLoop
internal import Migrations
internal import Observability
internal import PostgresStore
internal import Registry
internal import SQLiteStore

/// The database of a process. Opens a store for each event loop.
enum Database: ClosableService {
  case sqlite(SQLiteDatabase, path: String)
  case postgres(url: String, loops: Int)

  /// Migrates the database and returns the labels of the applied migrations. Blocks.
  ///
  /// - Parameter warn: called with a sentence about each file that others could read or write.
  static func migrate(_ url: DatabaseURL, warn: (String) -> Void) throws -> [String] {
    switch url {
    case .sqlite(let path):
      try SQLiteMigrator.migrate(path: path) {
        warn("others could read or write \($0); only its owner can now (mode 600)")
      }
    case .postgres(let url): try PostgresMigrator.migrate(url: url)
    }
  }

  /// The same for a command on an existing registry, which a mistyped setting must not create. Throws `RegistryMissing`.
  static func migrateExisting(_ url: DatabaseURL) throws {
    guard try schema(of: url) != nil else { throw RegistryMissing(url) }
    _ = try migrate(url, warn: CommandLineInterface.warn)
  }

  /// The state of the schema; nil if there is none of a registry. Changes nothing. Blocks.
  static func schema(of url: DatabaseURL) throws -> SchemaState? {
    switch url {
    case .sqlite(let path): try SQLiteMigrator.state(path: path)
    case .postgres(let url): try PostgresMigrator.state(url: url)
    }
  }

  /// How much a registry's database has. Changes nothing. Blocks.
  static func figures(of url: DatabaseURL, at now: Timestamp) throws -> DatabaseFigures {
    switch url {
    case .sqlite(let path): try SQLiteFigures.read(path: path, at: now)
    case .postgres(let url): try PostgresFigures.read(url: url, at: now)
    }
  }

  /// Why this process could not create a SQLite file; nil if it could.
  static func objection(toCreating path: String) -> String? { SQLiteMigrator.objection(toCreating: path) }

  /// Opens the parts that all loops share.
  init(_ url: DatabaseURL, loops: Int) throws {
    switch url {
    case .sqlite(let path): self = .sqlite(try SQLiteDatabase(path: path), path: path)
    case .postgres(let url): self = .postgres(url: url, loops: loops)
    }
  }

  /// A store for a loop. Called on the loop.
  ///
  /// - Parameter sealer: seals secrets; nil to store them plain.
  func store(
    on loop: EventLoop, sealer: (any Sealer)?, interruptions: Interruptions
  ) throws -> any RegistryStore & ClosableService {
    switch self {
    case .sqlite(let database, _): return try SQLiteStore(database: database, loop: loop, sealer: sealer)
    case .postgres(let url, let loops):
      let store = try PostgresStore(url: url, loop: loop, loops: loops, sealer: sealer) {
        interruptions.log($0)
      }
      store.start()
      return store
    }
  }

  /// Runs the body with a store of a migrated database, on a new event loop. Throws `CommandFailure` for errors of the
  /// registry.
  static func withStore(
    of url: DatabaseURL, sealer: (any Sealer)? = nil, logLevel: Logger.Level = .warning,
    _ body: @escaping @Sendable (any RegistryStore) async throws -> Void
  ) async throws {
    let logger = Logger(level: logLevel, format: .text)
    let database = try Database(url, loops: 1)
    let loop = try EventLoop(name: "command")
    defer {
      loop.stop()
      database.close()
      logger.close()
    }
    do {
      try await loop.run {
        let store = try database.store(on: loop, sealer: sealer, interruptions: Interruptions(logger))
        do {
          try await body(store)
        } catch {
          await store.close()
          throw error
        }
        await store.close()
      }
    } catch let error as RegistryError {
      throw CommandFailure(error)
    }
  }

  /// Acquires the process's lock on the database and starts to notify `observer` of changes, on a loop.
  ///
  /// - Parameters:
  ///   - isExclusive: whether no other process may serve the database.
  ///   - delivery: becomes held while this process is the one that delivers to webhooks. Nil for one that never does.
  ///   - onLock: called when the lock is acquired or lost.
  ///
  /// Throws an error that names REPLAY_STORE if another process serves the database.
  func startFeed(
    on loop: EventLoop, isExclusive: Bool, observer: any ChangeObserver, delivery: LockState?, logger: Logger,
    interruptions: Interruptions, services: inout RunningServices,
    onLock: @escaping @Sendable (ServingLock) -> Void
  ) async throws {
    switch self {
    case .sqlite(let database, let path):
      services.start(try SQLiteProcessLock(databasePath: path, mode: isExclusive ? .exclusive : .shared))
      onLock(try await database.beginTerm())
      if let delivery { services.start(SQLiteDeliveryLock(path: path, loop: loop, state: delivery), on: loop) }
      let watcher = try SQLiteChangeWatcher(database: database, loop: loop, observer: observer) { isInPlace in
        if isInPlace {
          logger.log(.notice, "database file back", ["path": path])
        } else {
          logger.log(.error, "database file removed or replaced: nothing is served", ["path": path])
        }
      }
      await loop.run { watcher.start() }
      services.start(watcher)
    case .postgres(let url, _):
      let listener = try PostgresChangeListener(
        url: url, loop: loop, lock: isExclusive ? .exclusive : .shared, observer: observer, onLock: onLock,
        onDeliveryLock: delivery?.set, report: { interruptions.log($0) })
      try await listener.start()
      services.start(listener)
    }
  }

  /// How long after the loss of the lock its former holder may not have noticed the loss.
  var lockMarginMilliseconds: Int64 {
    switch self {
    case .sqlite: 0
    case .postgres: 1000
    }
  }

  /// Writes that wait for SQLite's single writer; nil with PostgreSQL. Callable from any thread.
  var waitingWrites: Int? {
    switch self {
    case .sqlite(let database, _): database.waitingWrites
    case .postgres: nil
    }
  }

  /// Called after the stores are closed. Blocks until queued writes are done.
  func close() {
    if case .sqlite(let database, _) = self { database.close() }
  }
}

/// There is no registry where the settings say that the database is.
struct RegistryMissing: Error, CustomStringConvertible {
  let description: String

  init(_ url: DatabaseURL) {
    let place =
      switch url {
      case .sqlite(let path):
        SQLiteMigrator.hasFile(path)
          ? "\(path) is not the database of a registry" : "there is no database \(path)"
      case .postgres: "the PostgreSQL database of \(Setting.databaseURL.rawValue) has no registry"
      }
    description =
      "\(place); set \(Setting.databaseURL.rawValue), or create a registry there with: device-registry migrate"
  }
}

/// Acquires the lock on deliveries of a SQLite database as soon as no other process has it.
private struct SQLiteDeliveryLock: Service {
  static let intervalMilliseconds = 250

  let path: String
  let loop: EventLoop
  let state: LockState

  func run() async {
    while !Task.isCancelled {
      if let lock = try? SQLiteProcessLock(databasePath: path, mode: .exclusive, for: .delivery) {
        state.isHeld = true
        await untilCancelled()
        state.isHeld = false
        return await lock.close()
      }
      await loop.sleep(milliseconds: Self.intervalMilliseconds)
    }
  }
}

extension Interruptions {
  fileprivate func log(_ event: PostgresEvent) {
    switch event {
    case .connected: databaseConnected()
    case .lost(let cause, isShutdown: true): databaseEndsSessions(cause)
    case .lost(let cause, isShutdown: false): databaseMissed("database connection lost", cause: cause)
    case .connectFailed(let cause): databaseMissed("database not reached", cause: cause)
    }
  }
}
