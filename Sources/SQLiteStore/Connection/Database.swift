internal import EventLoop
internal import Registry

/// A database file with its one writer, shared by the stores of all loops.
///
/// Each commit waits for the disk, so queued writes share one: they run one after another in a transaction, and
/// are answered when it is committed.
///
/// `@unchecked Sendable`: only the single thread of `pool` uses the writer's connection and `unanswered`, and
/// `close` releases the connection after that thread has ended. `path` is constant.
public final class SQLiteDatabase: @unchecked Sendable {
  /// Waiting writes. More are refused.
  static let maximumQueueLength = 512
  /// A write that waited longer is refused, and not executed.
  static let maximumWaitMilliseconds: Int64 = 5000
  /// How long a write waits for the lock of another process.
  static let busyTimeoutMilliseconds: Int32 = 4000
  /// How long a read may block its loop on a lock. In WAL mode it blocks only while another process opens,
  /// recovers or closes the file.
  static let readerBusyTimeoutMilliseconds: Int32 = 100
  /// The maximum of writes that share a commit. The first of them waits for the last.
  static let maximumWritesPerCommit = 64

  private let path: String
  private let pool: WorkerPool
  private var writer: SQLiteConnection?
  private let maximumWaitMilliseconds: Int64
  /// Completions of writes that are executed but not committed. The argument is the error that undid the write,
  /// or nil.
  private var unanswered: [(RegistryError?) -> Void] = []

  /// Opens a migrated file. Throws `SQLiteFileError`, `RegistryError.unavailable`, or `EventLoopError` if no
  /// thread can be created.
  public convenience init(path: String) throws {
    try self.init(
      path: path, busyTimeoutMilliseconds: Self.busyTimeoutMilliseconds,
      maximumWaitMilliseconds: Self.maximumWaitMilliseconds)
  }

  init(path: String, busyTimeoutMilliseconds: Int32, maximumWaitMilliseconds: Int64) throws {
    self.path = path
    self.maximumWaitMilliseconds = maximumWaitMilliseconds
    try SQLiteFile.create(path)
    do throws(SQLiteFailure) {
      writer = try SQLiteConnection(
        path: path, isReader: false, busyTimeoutMilliseconds: busyTimeoutMilliseconds)
    } catch {
      throw error.registryError
    }
    pool = try WorkerPool(
      name: "sqlite-writer", threads: 1, maximumQueueLength: Self.maximumQueueLength)
  }

  /// Finishes queued writes, and closes the file. It blocks, so do not call it on an event loop. Later writes
  /// are refused.
  public func close() {
    pool.shutDown()
    writer = nil
  }

  /// Opens a separate connection for reads.
  func openReader() throws(RegistryError) -> SQLiteConnection {
    do throws(SQLiteFailure) {
      return try SQLiteConnection(
        path: path, isReader: true, busyTimeoutMilliseconds: Self.readerBusyTimeoutMilliseconds)
    } catch {
      throw error.registryError
    }
  }

  /// The number of waiting writes. Any thread may read it.
  public var waitingWrites: Int { pool.queueLength }

  /// Calls `body` with the writer's connection, on the writer's thread. An error thrown by `body` does not undo
  /// its earlier writes: a `body` with several writes uses `transaction`.
  func write<Value: Sendable>(
    _ body: @escaping @Sendable (SQLiteConnection) throws(RegistryError) -> Value
  ) async throws(RegistryError) -> Value {
    let latest = MonotonicClock.milliseconds + maximumWaitMilliseconds
    let result: Result<Value, RegistryError> = await withUnsafeContinuation { continuation in
      do throws(QueueFull) {
        try pool.submit { [self] in
          let result = perform(body, by: latest)
          answerWhenCommitted { undone in continuation.resume(returning: undone.map { .failure($0) } ?? result)
          }
        }
      } catch {
        continuation.resume(returning: .failure(Self.full))
      }
    }
    return try result.get()
  }

  // MARK: On the writer's thread

  private func perform<Value>(
    _ body: (SQLiteConnection) throws(RegistryError) -> Value, by latest: Int64
  ) -> Result<Value, RegistryError> {
    do throws(RegistryError) {
      guard let writer, MonotonicClock.milliseconds <= latest else { throw Self.full }
      if pool.queueLength > 0, !writer.isInTransaction { try writer.begin() }
      let isShared = writer.isInTransaction
      defer { if isShared, !writer.isInTransaction { answerAll(undone: Self.undone) } }
      return .success(try body(writer))
    } catch {
      return .failure(error)
    }
  }

  /// Commits when the queue is empty or the transaction is full; otherwise a queued write commits later.
  private func answerWhenCommitted(_ answer: @escaping (RegistryError?) -> Void) {
    guard let writer, writer.isInTransaction else { return answer(nil) }
    unanswered.append(answer)
    guard pool.queueLength == 0 || unanswered.count >= Self.maximumWritesPerCommit else { return }
    do throws(RegistryError) {
      try writer.commit()
      answerAll(undone: nil)
    } catch {
      answerAll(undone: error)
    }
  }

  private func answerAll(undone: RegistryError?) {
    var answers: [(RegistryError?) -> Void] = []
    swap(&answers, &unanswered)
    for answer in answers { answer(undone) }
  }

  private static let full = RegistryError.overloaded(queue: "sqlite writer")
  /// After errors such as a full disk SQLite rolls back the whole transaction.
  private static let undone = RegistryError.unavailable(
    cause: "SQLite rolled back the transaction that contained this write")
}
