internal import EventLoop
internal import Registry
private import Synchronization

/// A database file with its one writer, shared by the stores of all loops.
///
/// Writes wait in a queue that takes clients in turn. Each commit waits for the disk, so waiting writes share one: they run
/// one after another in a transaction, and are answered when it is committed.
///
/// `@unchecked Sendable`: `queue` is a mutex; only the single thread of `pool` uses the writer's connection, and `close`
/// releases it after that thread has ended. All else is constant.
public final class SQLiteDatabase: @unchecked Sendable {
  /// Waiting writes. More are refused.
  static let maximumWaiting = 512
  /// Waiting writes of one client. More are refused, except those that continue what the client has begun.
  static let maximumWaitingPerClient = 256
  /// A write that waited longer is refused, and not executed.
  static let maximumWaitMilliseconds: Int64 = 5000
  /// Background work that waited longer takes turns with ordinary writes, so that a busy client cannot hold it up forever.
  static let maximumBackgroundWaitMilliseconds: Int64 = 500
  /// How long a write waits for the lock of another process.
  static let busyTimeoutMilliseconds: Int32 = 4000
  /// How long a read may block its loop on a lock. In WAL mode it blocks only while another process opens,
  /// recovers or closes the file.
  static let readerBusyTimeoutMilliseconds: Int32 = 100
  /// The maximum of writes that share a commit. The first of them waits for the last.
  static let maximumWritesPerCommit = 64
  /// No write joins a shared transaction that is older.
  static let maximumSharingMilliseconds: Int64 = 20

  private let path: String
  /// The file that is open.
  let identity: SQLiteFile.Identity?
  private let isReplaced = Atomic(false)
  private let pool: WorkerPool
  private var writer: SQLiteConnection?
  private let maximumWaitMilliseconds: Int64
  private let maximumBackgroundWaitMilliseconds: Int64
  private let queue = Mutex(WriteQueue())

  private struct WriteQueue {
    var waiting = FairQueue<Write>(
      maximumCount: SQLiteDatabase.maximumWaiting, maximumPerParty: SQLiteDatabase.maximumWaitingPerClient)
    /// Whether the writer's thread takes what is waiting.
    var isServed = false
    var isClosed = false
  }

  enum Size: Sendable {
    case short
    /// Up to some 2,000 rows. It shares no commit, so that no short write waits for it in one.
    case long
    /// A long write that continues what the client has begun. It goes before the client's other writes, and their bound
    /// does not count.
    case nextStep
  }

  /// A write that waits. Exactly one of its closures is called.
  private struct Write: Sendable {
    var turn: Turn
    let size: Size
    let queuedMilliseconds: Int64
    /// Runs the write on the writer's thread: again, if it was undone. The result answers the caller, given the error of
    /// the commit or nil.
    let run: @Sendable (SQLiteConnection) -> (RegistryError?) -> Void
    let refuse: @Sendable (RegistryError) -> Void
  }

  /// Opens a migrated file. Throws `SQLiteFileError`, `RegistryError.unavailable`, or `EventLoopError` if no
  /// thread can be created.
  public convenience init(path: String) throws {
    try self.init(
      path: path, busyTimeoutMilliseconds: Self.busyTimeoutMilliseconds,
      maximumWaitMilliseconds: Self.maximumWaitMilliseconds)
  }

  init(
    path: String, busyTimeoutMilliseconds: Int32, maximumWaitMilliseconds: Int64,
    maximumBackgroundWaitMilliseconds: Int64 = SQLiteDatabase.maximumBackgroundWaitMilliseconds
  ) throws {
    self.path = path
    self.maximumWaitMilliseconds = maximumWaitMilliseconds
    self.maximumBackgroundWaitMilliseconds = maximumBackgroundWaitMilliseconds
    try SQLiteFile.create(path)
    identity = SQLiteFile.identity(of: path)
    do throws(SQLiteFailure) {
      writer = try SQLiteConnection(
        path: path, isReader: false, busyTimeoutMilliseconds: busyTimeoutMilliseconds)
    } catch {
      throw error.registryError
    }
    pool = try WorkerPool(name: "sqlite-writer", threads: 1, maximumQueueLength: 1)
  }

  /// Finishes queued writes, and closes the file. It blocks, so do not call it on an event loop. Later writes
  /// are refused.
  public func close() {
    queue.withLock { $0.isClosed = true }
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

  /// Looks whether the file is still the one that is open, and returns that. While it is not, reads and writes are
  /// refused: what was written would be lost, and what was read might be old.
  func lookAtFile() -> Bool {
    let isSame = SQLiteFile.identity(of: path) == identity
    isReplaced.store(!isSame, ordering: .relaxed)
    return isSame
  }

  /// Throws `unavailable` if the file was removed or replaced.
  func checkFile() throws(RegistryError) {
    guard isReplaced.load(ordering: .relaxed) else { return }
    throw .unavailable(cause: "the database file \(path) was removed or replaced: restart the service")
  }

  /// The number of waiting writes. Any thread may read it.
  public var waitingWrites: Int { queue.withLock { $0.waiting.count } }

  /// Calls `body` with the writer's connection, on the writer's thread. An error thrown by `body` does not undo
  /// its earlier writes: a `body` with several writes uses `transaction`.
  ///
  /// - Parameters:
  ///   - turn: the client, and how soon the write must be done. A shared commit ends with an urgent write.
  func write<Value: Sendable>(
    _ turn: Turn = Turn(of: nil), _ size: Size = .short,
    _ body: @escaping @Sendable (SQLiteConnection) throws(RegistryError) -> Value
  ) async throws(RegistryError) -> Value {
    try checkFile()
    let result: Result<Value, RegistryError> = await withUnsafeContinuation { continuation in
      let write = Write(
        turn: turn, size: size, queuedMilliseconds: MonotonicClock.milliseconds,
        run: { writer in
          let result = Self.result(of: body, writer)
          return { undone in continuation.resume(returning: undone.map { .failure($0) } ?? result) }
        },
        refuse: { continuation.resume(returning: .failure($0)) })
      do throws(RegistryError) { try enqueue(write) } catch { write.refuse(error) }
    }
    return try result.get()
  }

  private static func result<Value>(
    of body: (SQLiteConnection) throws(RegistryError) -> Value, _ writer: SQLiteConnection
  ) -> Result<Value, RegistryError> {
    do throws(RegistryError) { return .success(try body(writer)) } catch { return .failure(error) }
  }

  private func enqueue(_ write: Write) throws(RegistryError) {
    do throws(QueueFull) {
      try queue.withLock { (queue) throws(QueueFull) in
        guard !queue.isClosed else { throw .forAll }
        if !queue.isServed {
          try pool.submit { [self] in serve() }
          queue.isServed = true
        }
        if write.size == .nextStep {
          try queue.waiting.appendFirst(write, write.turn)
        } else {
          try queue.waiting.append(write, write.turn)
        }
      }
    } catch {
      throw error == .forAll ? Self.full : .tooManyWaiting(limit: Self.maximumWaitingPerClient)
    }
  }

  /// Refuses the writes that have waited too long. Called some ten times a second while writes wait.
  func refuseOverdueWrites(nowMilliseconds now: Int64 = MonotonicClock.milliseconds) {
    let overdue: [Write] = queue.withLock { queue in
      guard queue.waiting.count > 0 else { return [] }
      let overdue = queue.waiting.removeAll { $0.queuedMilliseconds + maximumWaitMilliseconds < now }
      let held = queue.waiting.removeAll {
        $0.turn.urgency == .background && $0.queuedMilliseconds + maximumBackgroundWaitMilliseconds < now
      }
      for var write in held {
        write.turn = Turn(of: nil)
        // There is room: it was in the queue.
        try? queue.waiting.append(write, write.turn)
      }
      return overdue
    }
    for write in overdue { write.refuse(Self.full) }
  }

  // MARK: On the writer's thread

  /// Runs the waiting writes until there are none.
  private func serve() {
    while let first = next() {
      guard let writer else { preconditionFailure("the connection is closed after the last write") }
      if first.size != .short || waitingWrites == 0 {
        first.run(writer)(nil)
      } else {
        runTogether(first, on: writer)
      }
    }
  }

  /// The next write; nil if none waits. Then the next write that is queued calls `serve`.
  private func next() -> Write? {
    queue.withLock { queue in
      let write = queue.waiting.removeFirst()
      queue.isServed = write != nil
      return write
    }
  }

  /// Runs a write and those that wait in one transaction, and answers them when it is committed. If one of them ends the
  /// transaction, makes each again, in its own.
  private func runTogether(_ first: Write, on writer: SQLiteConnection) {
    do throws(RegistryError) { try writer.begin() } catch { return first.refuse(error) }
    let latest = MonotonicClock.milliseconds + Self.maximumSharingMilliseconds
    var writes: [Write] = []
    var answers: [(RegistryError?) -> Void] = []
    var next: Write? = first
    while let write = next {
      writes.append(write)
      answers.append(write.run(writer))
      guard writer.isInTransaction else {
        for write in writes { write.run(writer)(nil) }
        return
      }
      let isOver = writes.count >= Self.maximumWritesPerCommit || MonotonicClock.milliseconds >= latest
      next = isOver ? nil : nextToShare(after: write)
    }
    var failure: RegistryError?
    do throws(RegistryError) { try writer.commit() } catch { failure = error }
    for answer in answers { answer(failure) }
  }

  /// The next write of a shared transaction. An urgent write waits for no other than urgent ones.
  private func nextToShare(after write: Write) -> Write? {
    queue.withLock { queue in
      let isOver = write.turn.urgency == .urgent && queue.waiting.firstUrgency != .urgent
      return isOver ? nil : queue.waiting.removeFirst { $0.size == .short }
    }
  }

  private static let full = RegistryError.overloaded(queue: "sqlite writer")
}
