internal import EventLoop
internal import Registry

/// A database file with its one writer, shared by the stores of all loops.
///
/// `@unchecked Sendable`: the writer's connection is used on the one thread of `pool` alone, and given up when
/// that thread has ended. `path` does not change.
public final class SQLiteDatabase: @unchecked Sendable {
  /// Writes that wait for the writer. More are refused.
  static let maximumQueueLength = 512
  /// A write that waited longer is refused when its turn comes, without being done.
  static let maximumWaitMilliseconds: Int64 = 5000
  /// How long a write waits for another process that writes.
  static let busyTimeoutMilliseconds: Int32 = 4000

  let path: String
  private let pool: WorkerPool
  private var writer: SQLiteConnection?
  private let maximumWaitMilliseconds: Int64

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

  /// Lends the writer's connection to `body`, on the writer's thread.
  func write<Value: Sendable>(
    _ body: @escaping @Sendable (SQLiteConnection) throws(RegistryError) -> Value
  ) async throws(RegistryError) -> Value {
    let latest = MonotonicClock.milliseconds + maximumWaitMilliseconds
    let result: Result<Value, RegistryError>
    do {
      result = try await pool.run { [self] in
        do throws(RegistryError) {
          guard let writer, MonotonicClock.milliseconds <= latest else { throw Self.full }
          return .success(try body(writer))
        } catch {
          return .failure(error)
        }
      }
    } catch {
      throw Self.full
    }
    return try result.get()
  }

  private static let full = RegistryError.overloaded(queue: "sqlite writer")
}
