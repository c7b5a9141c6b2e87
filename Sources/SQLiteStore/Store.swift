public import EventLoop
public import Registry

/// The registry's data in a SQLite file. One for each event loop.
///
/// Reads run on the loop: they come from memory or the system's cache and take microseconds. All that one pass of the
/// loop asks for share a transaction, since to begin one takes locks that all processes and loops share, and a look at
/// the file: more than most reads. Writes wait for the disk, so the database's one writer does them.
///
/// `@unchecked Sendable`: `reader` and `reads` are confined to `loop`, as `loop.assertCurrent()` sees to.
public final class SQLiteStore: RegistryStore, ClosableService, @unchecked Sendable {
  /// How long a read may hold up the loop for a lock. In WAL mode it waits only while another process opens,
  /// recovers or closes the file.
  static let busyTimeoutMilliseconds: Int32 = 100

  let database: SQLiteDatabase
  private let loop: EventLoop
  private var reader: SQLiteConnection?
  /// What was asked for in this pass of the loop: each reads, and goes on where it was asked. They are as many as the
  /// requests that the loop takes in a pass.
  private var reads: [(SQLiteConnection?) -> Void] = []

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

  /// Runs one reading statement, at the end of the loop's pass: what was committed before it was asked for is seen.
  func read<Value: Sendable>(
    _ sql: String, _ values: [SQLiteValue] = [], row: @escaping (SQLiteRow) -> Value
  ) async throws(RegistryError) -> [Value] {
    loop.assertCurrent()
    let result: Result<[Value], RegistryError> = await withUnsafeContinuation { continuation in
      if reads.isEmpty { loop.atEndOfPass { [self] in runReads() } }
      reads.append { reader in
        continuation.resume(returning: Self.read(sql, values, row: row, on: reader))
      }
    }
    return try result.get()
  }

  private static func read<Value>(
    _ sql: String, _ values: [SQLiteValue], row: (SQLiteRow) -> Value, on reader: SQLiteConnection?
  ) -> Result<[Value], RegistryError> {
    guard let reader else { return .failure(.unavailable(cause: "the store was closed")) }
    do throws(SQLiteFailure) {
      return .success(try reader.run(sql, values, read: row))
    } catch {
      return .failure(error.registryError)
    }
  }

  /// Without a transaction each read has its own, so it matters to none of them where none can be had. After some
  /// errors SQLite ends it by itself.
  private func runReads() {
    var reads: [(SQLiteConnection?) -> Void] = []
    swap(&reads, &self.reads)
    if reads.count > 1 { try? reader?.run("BEGIN") }
    for read in reads { read(reader) }
    if let reader, reader.isInTransaction { try? reader.run("COMMIT") }
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
      // After a full disk and the like SQLite has undone all by itself.
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
    _ = try write(sql, [], read: { _ in })
  }

  /// Whether the statement has a row.
  func hasRow(_ sql: String, _ values: [SQLiteValue]) throws(RegistryError) -> Bool {
    try !write(sql, values, read: { _ in true }).isEmpty
  }
}
