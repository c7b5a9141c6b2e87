public import EventLoop
private import Glibc

/// A lock on a file beside the database, which tells the processes that serve it of each other. The system
/// releases it when its process ends, however that ends.
public final class SQLiteProcessLock: ClosableService {
  public enum Mode: Sendable {
    /// For a process that alone remembers the nonces of requests.
    case exclusive
    /// For processes that remember them in one place.
    case shared
  }

  private let descriptor: Int32

  /// Takes the lock, and does not wait for it. Creates the database's file where it is missing: the lock lies
  /// beside the file that the path leads to in the end, so that a link to it leads to the same lock.
  ///
  /// Throws `SQLiteProcessLockError` where another process holds it in a mode that excludes this one,
  /// `SQLiteFileError` where its file cannot be created.
  public init(databasePath: String, mode: Mode) throws {
    try SQLiteFile.create(databasePath)
    let path = try SQLiteFile.resolve(databasePath) + "-serve.lock"
    // flock(2) and not fcntl(2): the lock is the descriptor's own, and no other descriptor's end releases it.
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw SQLiteFileError(path: path, errorNumber: errno) }
    guard flock(descriptor, (mode == .exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 else {
      let errorNumber = errno
      Glibc.close(descriptor)
      throw errorNumber == EWOULDBLOCK
        ? SQLiteProcessLockError(path: path) : SQLiteFileError(path: path, errorNumber: errorNumber)
    }
    // Last: an initialiser that throws with all set would run deinit too.
    self.descriptor = descriptor
  }

  /// Releases the lock.
  public func close() async { flock(descriptor, LOCK_UN) }

  /// The file stays: were it removed, one process could lock the file that is gone and another one a new file.
  deinit { Glibc.close(descriptor) }
}

/// Another process serves the database, and one of the two remembers nonces by itself.
public struct SQLiteProcessLockError: Error, Hashable, CustomStringConvertible {
  /// Of the lock's file.
  public let path: String

  public var description: String {
    """
    another process serves this database (it holds \(path)); stop it, or give all of them one \
    REPLAY_STORE=redis://...
    """
  }
}
