public import EventLoop
public import Registry

/// The registry's data in a SQLite file. Each event loop has its own store.
///
/// Reads run on the loop: they are served from memory or the system's cache and take microseconds. All reads of
/// one pass of the loop share a transaction. Beginning one takes locks that all processes and loops share, and
/// checks the file, which costs more than most reads. Writes wait for the disk, so the database's writer thread
/// runs them.
///
/// `@unchecked Sendable`: all mutable state is confined to `loop`, which `loop.assertCurrent()` checks.
public final class SQLiteStore: RegistryStore, ClosableService, @unchecked Sendable {
  let database: SQLiteDatabase
  let sealing: VerifierSealing
  private let loop: EventLoop
  private var reader: SQLiteConnection?
  /// The reads of this pass of the loop. Each resumes its caller. The number of requests that the loop reads in
  /// one pass bounds their number.
  private var reads: [(SQLiteConnection?) -> Void] = []
  /// Writes of this loop that are not answered.
  private var unansweredWrites = 0
  /// Refuses writes that have waited too long, while any are unanswered.
  private var timer: Timer?
  static let timerIntervalMilliseconds = 100

  /// Opens a separate connection for this loop's reads. Throws `RegistryError.unavailable`.
  ///
  /// - Parameter sealer: seals secrets; nil to store them plain.
  public init(
    database: SQLiteDatabase, loop: EventLoop, sealer: (any Sealer)? = nil
  ) throws(RegistryError) {
    self.database = database
    sealing = VerifierSealing(sealer)
    self.loop = loop
    reader = try database.openReader()
  }

  /// Closes the loop's connection; later reads fail as `unavailable`. The database is closed separately.
  public func close() async {
    await loop.run { [self] in
      reader = nil
      closeTimer()
    }
  }

  // MARK: Writes

  /// Calls `body` with the writer's connection, on the writer's thread; see `SQLiteDatabase.write`.
  func write<Value: Sendable>(
    _ turn: Turn, _ size: SQLiteDatabase.Size = .short,
    _ body: @escaping @Sendable (SQLiteConnection) throws(RegistryError) -> Value
  ) async throws(RegistryError) -> Value {
    loop.assertCurrent()
    unansweredWrites += 1
    defer { unansweredWrites -= 1 }
    if timer == nil { startTimer() }
    return try await database.write(turn, size, body)
  }

  private func startTimer() {
    let timer = Timer(on: loop)
    timer.start(
      afterMilliseconds: Self.timerIntervalMilliseconds, repeatMilliseconds: Self.timerIntervalMilliseconds
    ) { [self] in
      database.refuseOverdueWrites()
      if unansweredWrites == 0 { closeTimer() }
    }
    self.timer = timer
  }

  private func closeTimer() {
    timer?.close()
    timer = nil
  }

  // MARK: Reads

  /// Runs one read at the end of the loop's pass, so that it sees everything committed before the call, and
  /// returns all rows.
  func rows<Row: Sendable>(
    of statement: SQLiteStatement<Row>, _ values: SQLiteValue...
  ) async throws(RegistryError) -> [Row] {
    try await read(statement, values)
  }

  func rows<Row: Sendable>(
    of statement: SQLiteStatement<Row>, _ values: [SQLiteValue]
  ) async throws(RegistryError) -> [Row] {
    try await read(statement, values)
  }

  /// Like `rows`; returns the first row, if any.
  func firstRow<Row: Sendable>(
    of statement: SQLiteStatement<Row>, _ values: SQLiteValue...
  ) async throws(RegistryError) -> Row? {
    try await read(statement, values).first
  }

  func read<Row: Sendable>(
    _ statement: SQLiteStatement<Row>, _ values: [SQLiteValue]
  ) async throws(RegistryError) -> [Row] {
    loop.assertCurrent()
    try database.checkFile()
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

  /// If BEGIN fails, each read runs in its own transaction, which is also correct. After some errors SQLite has
  /// already ended the shared one.
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
