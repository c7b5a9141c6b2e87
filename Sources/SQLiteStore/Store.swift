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

  /// Runs one reading statement at the end of the loop's pass, so that it sees what was committed before the call, and
  /// answers all of its rows.
  func rows<Row: Sendable>(
    of statement: SQLiteStatement<Row>, _ values: SQLiteValue...
  ) async throws(RegistryError) -> [Row] {
    try await read(statement, values)
  }

  /// As `rows`; answers the first one, if there is one.
  func firstRow<Row: Sendable>(
    of statement: SQLiteStatement<Row>, _ values: SQLiteValue...
  ) async throws(RegistryError) -> Row? {
    try await read(statement, values).first
  }

  private func read<Row: Sendable>(
    _ statement: SQLiteStatement<Row>, _ values: [SQLiteValue]
  ) async throws(RegistryError) -> [Row] {
    loop.assertCurrent()
    let result: Result<[Row], RegistryError> = await withUnsafeContinuation { continuation in
      if reads.isEmpty { loop.atEndOfPass { [self] in runReads() } }
      reads.append { reader in continuation.resume(returning: Self.read(statement, values, on: reader)) }
    }
    return try result.get()
  }

  private static func read<Row>(
    _ statement: SQLiteStatement<Row>, _ values: [SQLiteValue], on reader: SQLiteConnection?
  ) -> Result<[Row], RegistryError> {
    guard let reader else { return .failure(.unavailable(cause: "the store was closed")) }
    do throws(SQLiteFailure) {
      return .success(try reader.execute(statement, values))
    } catch {
      return .failure(error.registryError)
    }
  }

  /// Without a transaction each read has its own, so it matters to none of them where none can be had. After some
  /// errors SQLite has ended it already.
  private func runReads() {
    var reads: [(SQLiteConnection?) -> Void] = []
    swap(&reads, &self.reads)
    if reads.count > 1 { _ = try? reader?.execute(Self.begin) }
    for read in reads { read(reader) }
    if let reader, reader.isInTransaction { _ = try? reader.execute(Self.commit) }
  }

  private static let begin = SQLiteStatement("BEGIN")
  private static let commit = SQLiteStatement("COMMIT")
}
