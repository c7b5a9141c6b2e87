internal import CSQLite
private import EventLoop
internal import Registry

/// Owns an `sqlite3` and its prepared statements. SQLITE_OPEN_NOMUTEX requires that only one thread at a time
/// uses it (https://sqlite.org/threadsafe.html): the owner guarantees that.
final class SQLiteConnection {
  /// The limit of the page cache: enough for the upper pages of all indexes of a million devices.
  private static let maximumCacheKiB = 8192
  /// A statement of a reader that takes longer is ended, because its loop waits for it.
  static let maximumReadMilliseconds: Int64 = 100
  /// Operations of SQLite's virtual machine between two looks at the clock: some 20 µs.
  private static let operationsPerLook: Int32 = 1000
  /// The write-ahead log keeps this size after a checkpoint; what a large transaction added is given back.
  private static let maximumKeptLogBytes = 16 * 1024 * 1024

  private let path: String
  private let pointer: OpaquePointer
  private let readTime = ReadTime()
  /// Bounded by the number of the store's statements. It holds their texts, so that no other one gets the same identity.
  private var prepared: [ObjectIdentifier: (text: SQLiteText, pointer: OpaquePointer)] = [:]

  /// Opens an existing file, which is empty if it `isNew`. `busyTimeoutMilliseconds` is how long a statement waits for another connection's
  /// lock.
  init(
    path: String, isReader: Bool, isNew: Bool = false, busyTimeoutMilliseconds: Int32
  ) throws(SQLiteFailure) {
    self.path = path
    pointer = try Self.open(path, busyTimeoutMilliseconds: busyTimeoutMilliseconds)
    if isReader {
      sqlite3_progress_handler(
        pointer, Self.operationsPerLook,
        { Unmanaged<ReadTime>.fromOpaque($0!).takeUnretainedValue().isOver ? 1 : 0 },
        Unmanaged.passUnretained(readTime).toOpaque())
    }
    // Unused pages can be given back (`PRAGMA incremental_vacuum`). Only an empty file can be set so.
    if isNew { try execute("PRAGMA auto_vacuum = INCREMENTAL") }
    // WAL lets readers and the writer run at the same time; synchronous = FULL makes each commit durable.
    // trusted_schema = OFF: a manipulated file cannot make SQLite call functions with side effects.
    // secure_delete = ON: what was deleted or sealed is overwritten. Debian's SQLite does so anyway.
    // A negative cache_size is in KiB.
    try execute(
      """
      PRAGMA trusted_schema = OFF;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA foreign_keys = ON;
      PRAGMA secure_delete = ON;
      PRAGMA cache_size = -\(Self.maximumCacheKiB);
      PRAGMA journal_size_limit = \(Self.maximumKeptLogBytes);
      PRAGMA query_only = \(isReader ? "ON" : "OFF");
      """)
  }

  /// Opens an existing file of anyone, in order to read some rows. Changes nothing in it.
  init(inspecting path: String, busyTimeoutMilliseconds: Int32) throws(SQLiteFailure) {
    self.path = path
    pointer = try Self.open(path, busyTimeoutMilliseconds: busyTimeoutMilliseconds)
    try execute("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON")
  }

  private static func open(
    _ path: String, busyTimeoutMilliseconds: Int32
  ) throws(SQLiteFailure) -> OpaquePointer {
    _ = isConfigured
    var opened: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let status = sqlite3_open_v2(path, &opened, flags, nil)
    guard status == SQLITE_OK, let opened else {
      sqlite3_close_v2(opened)
      throw SQLiteFailure(status)
    }
    sqlite3_busy_timeout(opened, busyTimeoutMilliseconds)
    return opened
  }

  /// The library's name and version.
  static let product = "SQLite \(String(cString: sqlite3_libversion()))"

  /// Disables SQLite's memory statistics, which take a process-wide lock for each allocation; all loops read at
  /// once. False if SQLite was already in use.
  private static let isConfigured = sqlite3_config_memstatus(0) == SQLITE_OK

  deinit {
    for statement in prepared.values { sqlite3_finalize(statement.pointer) }
    sqlite3_close_v2(pointer)
  }

  var isInTransaction: Bool { sqlite3_get_autocommit(pointer) == 0 }

  /// Runs statements without parameters and rows.
  func execute(_ script: String) throws(SQLiteFailure) {
    let status = sqlite3_exec(pointer, script, nil, nil, nil)
    guard status == SQLITE_OK else { throw SQLiteFailure(status) }
  }

  /// Runs one statement to its end, and returns its rows. The prepared statement is cached.
  func execute<Row>(
    _ statement: SQLiteStatement<Row>, _ values: [SQLiteValue] = []
  ) throws(SQLiteFailure) -> [Row] {
    let prepared = try prepare(statement.text)
    readTime.beganMilliseconds = nil
    // Ends the statement's transaction; after SQLITE_DONE it is already committed.
    defer {
      sqlite3_reset(prepared)
      sqlite3_clear_bindings(prepared)
    }
    for (index, value) in values.enumerated() {
      let status = value.bind(to: prepared, at: Int32(index + 1))
      guard status == SQLITE_OK else { throw SQLiteFailure(status) }
    }
    var rows: [Row] = []
    while true {
      switch sqlite3_step(prepared) {
      case SQLITE_ROW:
        var row = SQLiteRow(of: prepared)
        rows.append(statement.row(&row))
      case SQLITE_DONE: return rows
      case let status: throw SQLiteFailure(status)
      }
    }
  }

  private func prepare(_ text: SQLiteText) throws(SQLiteFailure) -> OpaquePointer {
    if let statement = prepared[ObjectIdentifier(text)] { return statement.pointer }
    var statement: OpaquePointer?
    let status = sqlite3_prepare_v3(
      pointer, text.sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
    guard status == SQLITE_OK, let statement else { throw SQLiteFailure(status) }
    prepared[ObjectIdentifier(text)] = (text, statement)
    return statement
  }
}

/// How long the current statement of a connection has taken.
private final class ReadTime {
  /// The time of the first look, on the monotonic clock; nil before it. Short statements end before the first.
  var beganMilliseconds: Int64?

  var isOver: Bool {
    let now = MonotonicClock.milliseconds
    guard let began = beganMilliseconds else {
      beganMilliseconds = now
      return false
    }
    return now - began > SQLiteConnection.maximumReadMilliseconds
  }
}

// MARK: Writing

extension SQLiteConnection {
  /// Maps a unique violation of a statement to an error.
  typealias UniqueViolation = (SQLiteFailure) throws(RegistryError) -> RegistryError

  /// Runs one statement, and returns all rows.
  func rows<Row>(
    of statement: SQLiteStatement<Row>, _ values: [SQLiteValue],
    uniqueViolation explain: UniqueViolation = { $0.registryError }
  ) throws(RegistryError) -> [Row] {
    do throws(SQLiteFailure) {
      return try execute(statement, values)
    } catch {
      if error.isBusy { throw .unavailable(cause: error.cause(path: path)) }
      throw error.isUniqueViolation ? try explain(error) : error.registryError
    }
  }

  /// Runs one statement, and returns its first row, if any.
  func firstRow<Row>(
    of statement: SQLiteStatement<Row>, _ values: SQLiteValue...,
    uniqueViolation explain: UniqueViolation = { $0.registryError }
  ) throws(RegistryError) -> Row? {
    try rows(of: statement, values, uniqueViolation: explain).first
  }

  /// Whether the statement returns a row.
  func hasRow(_ statement: SQLiteStatement<Void>, _ values: SQLiteValue...) throws(RegistryError) -> Bool {
    try !rows(of: statement, values).isEmpty
  }

  /// Runs an INSERT, UPDATE or DELETE, and returns how many rows it changed, not counting rows that triggers
  /// changed.
  @discardableResult
  func run(
    _ statement: SQLiteStatement<Void>, _ values: SQLiteValue...,
    uniqueViolation explain: UniqueViolation = { $0.registryError }
  ) throws(RegistryError) -> Int {
    try run(statement, values, uniqueViolation: explain)
  }

  @discardableResult
  func run(
    _ statement: SQLiteStatement<Void>, _ values: [SQLiteValue],
    uniqueViolation explain: UniqueViolation = { $0.registryError }
  ) throws(RegistryError) -> Int {
    _ = try rows(of: statement, values, uniqueViolation: explain)
    return Int(sqlite3_changes64(pointer))
  }

  /// Runs `body` in a transaction: an error undoes all its writes, and no other connection writes meanwhile.
  ///
  /// In a transaction that several writes share, an error after a write undoes all of them, and the transaction is over:
  /// the owner then makes each again. That is rare, and costs less than a savepoint for each.
  func transaction<Value>(_ body: () throws(RegistryError) -> Value) throws(RegistryError) -> Value {
    let isShared = isInTransaction
    let changesBefore = sqlite3_total_changes64(pointer)
    if !isShared { try begin() }
    do throws(RegistryError) {
      let value = try body()
      if !isShared { try commit() }
      return value
    } catch {
      // After errors such as a full disk SQLite has already rolled back.
      let isUnchanged = isShared && sqlite3_total_changes64(pointer) == changesBefore
      if isInTransaction, !isUnchanged { _ = try? run(Self.rollback) }
      throw error
    }
  }

  /// Begins a transaction that holds the write lock from its start.
  func begin() throws(RegistryError) { try run(Self.begin) }

  /// Commits the transaction, or rolls it back if that fails.
  func commit() throws(RegistryError) {
    do throws(RegistryError) {
      try run(Self.commit)
    } catch {
      if isInTransaction { _ = try? run(Self.rollback) }
      throw error
    }
  }

  private static let begin = SQLiteStatement("BEGIN IMMEDIATE")
  private static let commit = SQLiteStatement("COMMIT")
  private static let rollback = SQLiteStatement("ROLLBACK")
}
