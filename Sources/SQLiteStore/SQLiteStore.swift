public import EventLoop
public import Registry

/// The registry's data in a SQLite file. One for each event loop.
///
/// Reads run on the loop: they come from memory or the system's cache and take microseconds. Writes wait for the
/// disk, so the database's one writer does them.
///
/// `@unchecked Sendable`: `reader` is confined to `loop`, as `loop.assertCurrent()` sees to.
public final class SQLiteStore: @unchecked Sendable {
  /// How long a read may hold up the loop for a lock. In WAL mode it waits only while another process opens,
  /// recovers or closes the file.
  static let busyTimeoutMilliseconds: Int32 = 100

  let database: SQLiteDatabase
  private let loop: EventLoop
  private var reader: SQLiteConnection?

  /// Opens the file once more, for this loop's reads. Throws `RegistryError.unavailable`.
  public init(database: SQLiteDatabase, loop: EventLoop) throws(RegistryError) {
    self.database = database
    self.loop = loop
    do throws(SQLiteFailure) {
      reader = try SQLiteConnection(
        path: database.path, isReader: true, busyTimeoutMilliseconds: Self.busyTimeoutMilliseconds)
    } catch {
      throw error.registryError
    }
  }

  /// Closes the loop's connection; reads fail as `unavailable` from then on. The database closes for itself.
  public func close() async {
    await loop.run { [self] in reader = nil }
  }

  /// Runs one reading statement.
  func read<Value>(
    _ sql: String, _ values: [SQLiteValue] = [], row: (SQLiteRow) -> Value
  ) throws(RegistryError) -> [Value] {
    loop.assertCurrent()
    guard let reader else { throw .unavailable(cause: "the store was closed") }
    do throws(SQLiteFailure) {
      return try reader.run(sql, values, read: row)
    } catch {
      throw error.registryError
    }
  }
}

extension SQLiteConnection {
  /// Runs one statement, and lets `explain` say what its unique violation means.
  func write<Value>(
    _ sql: String, _ values: [SQLiteValue], read: (SQLiteRow) -> Value,
    uniqueViolation explain: (SQLiteFailure) throws(RegistryError) -> RegistryError = { $0.registryError }
  ) throws(RegistryError) -> [Value] {
    do throws(SQLiteFailure) {
      return try run(sql, values, read: read)
    } catch {
      throw error.isUniqueViolation ? try explain(error) : error.registryError
    }
  }

  /// Runs `body` in a transaction that holds the write lock from its start: what it reads stays true until it
  /// writes. An error undoes all of it.
  func transaction<Value>(_ body: () throws(RegistryError) -> Value) throws(RegistryError) -> Value {
    try runOrder("BEGIN IMMEDIATE")
    do throws(RegistryError) {
      let value = try body()
      try runOrder("COMMIT")
      return value
    } catch {
      // After a full disk and the like SQLite has done it by itself.
      if isInTransaction { try? runOrder("ROLLBACK") }
      throw error
    }
  }

  private func runOrder(_ sql: String) throws(RegistryError) {
    _ = try write(sql, [], read: { _ in })
  }

  /// Whether the statement has a row.
  func hasRow(_ sql: String, _ values: [SQLiteValue]) throws(RegistryError) -> Bool {
    try !write(sql, values, read: { _ in true }).isEmpty
  }
}
