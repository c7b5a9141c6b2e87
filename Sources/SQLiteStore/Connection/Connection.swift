internal import CSQLite

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
  @discardableResult
  func run<Value>(
    _ sql: String, _ values: [SQLiteValue] = [], read: (SQLiteRow) -> Value
  ) throws(SQLiteFailure) -> [Value] {
    let statement = try prepare(sql)
    // Ends the statement's transaction: the commit has taken place when `step` said DONE.
    defer {
      sqlite3_reset(statement)
      sqlite3_clear_bindings(statement)
    }
    for (index, value) in values.enumerated() {
      let status = value.bind(to: statement, at: Int32(index + 1))
      guard status == SQLITE_OK else { throw SQLiteFailure(status) }
    }
    var rows: [Value] = []
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW: rows.append(read(SQLiteRow(statement: statement)))
      case SQLITE_DONE: return rows
      case let status: throw SQLiteFailure(status)
      }
    }
  }

  /// Runs one statement that has no rows.
  func run(_ sql: String, _ values: [SQLiteValue] = []) throws(SQLiteFailure) {
    try run(sql, values) { _ in }
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
