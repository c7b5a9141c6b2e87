internal import CSQLite
internal import Registry

/// The one owner of an `sqlite3` and its prepared statements. Used by one thread at a time, which is what
/// SQLITE_OPEN_NOMUTEX demands (https://sqlite.org/threadsafe.html): the owner says which.
final class SQLiteConnection {
  /// Memory for pages, as far as there are so many: enough for the upper pages of all indexes of a million devices.
  private static let maximumCacheKiB = 8192

  private let pointer: OpaquePointer
  /// By SQL; as many as the store has statements.
  private var prepared: [String: OpaquePointer] = [:]

  /// Opens a file that exists.
  ///
  /// - Parameters:
  ///   - path: a file's path.
  ///   - isReader: whether it is used to read alone.
  ///   - busyTimeoutMilliseconds: how long a statement waits for another connection's lock.
  init(path: String, isReader: Bool, busyTimeoutMilliseconds: Int32) throws(SQLiteFailure) {
    _ = Self.isConfigured
    var opened: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let status = sqlite3_open_v2(path, &opened, flags, nil)
    guard status == SQLITE_OK, let opened else {
      sqlite3_close_v2(opened)
      throw SQLiteFailure(status)
    }
    pointer = opened
    sqlite3_busy_timeout(opened, busyTimeoutMilliseconds)
    // Write-ahead logging lets readers and the writer pass each other; FULL makes each commit durable.
    // trusted_schema off: a doctored file cannot make us run functions with side effects.
    // cache_size is negative where it is in KiB.
    try execute(
      """
      PRAGMA trusted_schema = OFF;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA foreign_keys = ON;
      PRAGMA cache_size = -\(Self.maximumCacheKiB);
      PRAGMA query_only = \(isReader ? "ON" : "OFF");
      """)
  }

  /// SQLite counts the memory that it has, for us to ask, and takes a lock of the whole process for it each time: all
  /// loops read at once. False where it was used before this.
  private static let isConfigured = sqlite3_config_memstatus(0) == SQLITE_OK

  deinit {
    for statement in prepared.values { sqlite3_finalize(statement) }
    sqlite3_close_v2(pointer)
  }

  /// Whether a transaction was begun and has not ended.
  var isInTransaction: Bool { sqlite3_get_autocommit(pointer) == 0 }

  /// Runs statements that have neither parameters nor rows worth reading.
  func execute(_ script: String) throws(SQLiteFailure) {
    let status = sqlite3_exec(pointer, script, nil, nil, nil)
    guard status == SQLITE_OK else { throw SQLiteFailure(status) }
  }

  /// Runs one statement to its end, and reads each of its rows. It is prepared once and kept.
  func execute<Row>(
    _ statement: SQLiteStatement<Row>, _ values: [SQLiteValue] = []
  ) throws(SQLiteFailure) -> [Row] {
    let prepared = try prepare(statement.sql)
    // Ends the statement's transaction: the commit has taken place when `step` said DONE.
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

  private func prepare(_ sql: String) throws(SQLiteFailure) -> OpaquePointer {
    if let statement = prepared[sql] { return statement }
    var statement: OpaquePointer?
    let status = sqlite3_prepare_v3(
      pointer, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
    guard status == SQLITE_OK, let statement else { throw SQLiteFailure(status) }
    prepared[sql] = statement
    return statement
  }
}

// MARK: Writing

extension SQLiteConnection {
  /// What a unique violation of a statement means.
  typealias UniqueViolation = (SQLiteFailure) throws(RegistryError) -> RegistryError

  /// Runs one statement, and answers all of its rows.
  func rows<Row>(
    of statement: SQLiteStatement<Row>, _ values: [SQLiteValue],
    uniqueViolation explain: UniqueViolation = { $0.registryError }
  ) throws(RegistryError) -> [Row] {
    do throws(SQLiteFailure) {
      return try execute(statement, values)
    } catch {
      throw error.isUniqueViolation ? try explain(error) : error.registryError
    }
  }

  /// Runs one statement, and answers its first row, if there is one.
  func firstRow<Row>(
    of statement: SQLiteStatement<Row>, _ values: SQLiteValue...,
    uniqueViolation explain: UniqueViolation = { $0.registryError }
  ) throws(RegistryError) -> Row? {
    try rows(of: statement, values, uniqueViolation: explain).first
  }

  /// Whether the statement has a row.
  func hasRow(_ statement: SQLiteStatement<Void>, _ values: SQLiteValue...) throws(RegistryError) -> Bool {
    try !rows(of: statement, values).isEmpty
  }

  /// Runs an INSERT, UPDATE or DELETE, and answers how many rows it changed, without those that triggers changed.
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

  /// Runs `body` so that an error undoes all that it wrote, and what it reads stays true until it writes.
  func transaction<Value>(_ body: () throws(RegistryError) -> Value) throws(RegistryError) -> Value {
    // Inside one that several writes share.
    let isNested = isInTransaction
    if isNested { try runOrder("SAVEPOINT write") } else { try begin() }
    do throws(RegistryError) {
      let value = try body()
      if isNested { try runOrder("RELEASE write") } else { try commit() }
      return value
    } catch {
      // After a full disk and the like SQLite has rolled back already.
      for order in isNested ? ["ROLLBACK TO write", "RELEASE write"] : ["ROLLBACK"] where isInTransaction {
        try? runOrder(order)
      }
      throw error
    }
  }

  /// Begins a transaction that holds the write lock from its start.
  func begin() throws(RegistryError) { try runOrder("BEGIN IMMEDIATE") }

  /// Commits the transaction, or ends it without: then all of it is undone.
  func commit() throws(RegistryError) {
    do throws(RegistryError) {
      try runOrder("COMMIT")
    } catch {
      if isInTransaction { try? runOrder("ROLLBACK") }
      throw error
    }
  }

  private func runOrder(_ sql: String) throws(RegistryError) {
    _ = try rows(of: SQLiteStatement(sql), [])
  }
}
