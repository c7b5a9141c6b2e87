internal import EventLoop
internal import Registry

/// A database file with its one writer, shared by the stores of all loops.
///
/// Each commit waits for the disk, so writes that wait share one: they are done one after another in a transaction, and
/// answered when it is committed.
///
/// `@unchecked Sendable`: the writer's connection and `unanswered` are used on the one thread of `pool` alone, and given
/// up when that thread has ended. `path` does not change.
public final class SQLiteDatabase: @unchecked Sendable {
  /// Writes that wait for the writer. More are refused.
  static let maximumQueueLength = 512
  /// A write that waited longer is refused when its turn comes, without being done.
  static let maximumWaitMilliseconds: Int64 = 5000
  /// How long a write waits for another process that writes.
  static let busyTimeoutMilliseconds: Int32 = 4000
  /// Writes that share a commit at the most. The first of them waits for the last.
  static let maximumWritesPerCommit = 64

  let path: String
  private let pool: WorkerPool
  private var writer: SQLiteConnection?
  private let maximumWaitMilliseconds: Int64
  /// Writes that were done and are not committed. Each is told why it was undone, or nil, and answers.
  private var unanswered: [(RegistryError?) -> Void] = []

  /// Opens the file, whose migrations are done. Throws `SQLiteFileError`, `RegistryError.unavailable`, and
  /// `EventLoopError` when the system has no thread left.
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

  /// Finishes what is queued, and closes the file. Waits, so not from an event loop; after it, writes are
  /// refused.
  public func close() {
    pool.shutDown()
    writer = nil
  }

  /// Writes that wait for the writer now. From any thread.
  public var waitingWrites: Int { pool.queueLength }

  /// Lends the writer's connection to `body`, on the writer's thread. An error of `body` undoes nothing of what it wrote
  /// before: where it writes more than once it does so in a `transaction`.
  func write<Value: Sendable>(
    _ body: @escaping @Sendable (SQLiteConnection) throws(RegistryError) -> Value
  ) async throws(RegistryError) -> Value {
    let latest = MonotonicClock.milliseconds + maximumWaitMilliseconds
    let result: Result<Value, RegistryError> = await withUnsafeContinuation { continuation in
      let isAccepted = pool.submit { [self] in
        let result = perform(body, by: latest)
        answerWhenCommitted { undone in continuation.resume(returning: undone.map { .failure($0) } ?? result) }
      }
      if !isAccepted { continuation.resume(returning: .failure(Self.full)) }
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

  /// Each of the writes that wait has its turn on this thread, so that what is not committed now will be.
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
  /// After a full disk and the like SQLite undoes the whole transaction by itself.
  private static let undone = RegistryError.unavailable(
    cause: "SQLite undid a commit that this write had a part in")
}
