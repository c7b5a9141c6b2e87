public import EventLoop
private import Glibc
public import Registry

/// A lock on a file next to the database, by which serving processes detect each other. The system releases it
/// when the process ends, even after a crash.
public final class SQLiteProcessLock: ClosableService {
  public enum Mode: Sendable {
    /// For a process that keeps the nonces of signed requests in its own memory.
    case exclusive
    /// For processes that share a store of nonces.
    case shared
  }

  /// What a lock is for, and the end of its file's name.
  public enum Purpose: String, Sendable {
    /// Serving the database.
    case serving = "-serve.lock"
    /// Delivering to webhooks, which one process does at a time.
    case delivery = "-deliver.lock"
  }

  private let descriptor: Int32

  /// Acquires the lock without waiting, and creates the database file if necessary. Symbolic links are resolved
  /// first, so every link to a database uses the same lock.
  ///
  /// Throws `SQLiteProcessLockError` if another process holds the lock in a conflicting mode, and
  /// `SQLiteFileError` if the lock file cannot be created.
  public init(databasePath: String, mode: Mode, for purpose: Purpose = .serving) throws {
    try SQLiteFile.create(databasePath)
    let path = try SQLiteFile.resolve(databasePath) + purpose.rawValue
    // flock(2), not fcntl(2): the lock belongs to the descriptor, and closing another descriptor does not
    // release it.
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw SQLiteFileError(path: path, errorNumber: errno) }
    guard flock(descriptor, (mode == .exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 else {
      let errorNumber = errno
      Glibc.close(descriptor)
      throw errorNumber == EWOULDBLOCK
        ? SQLiteProcessLockError(path: path) : SQLiteFileError(path: path, errorNumber: errorNumber)
    }
    // Assigned last: an initialiser that throws after setting all properties would run deinit.
    self.descriptor = descriptor
  }

  /// Releases the lock.
  public func close() async { flock(descriptor, LOCK_UN) }

  /// The file stays: if it were removed, one process could lock the removed file and another a new one.
  deinit { Glibc.close(descriptor) }
}

/// Another process serves the database, and at least one of the two keeps nonces in its own memory.
public struct SQLiteProcessLockError: Error, Hashable, CustomStringConvertible {
  /// The path of the lock file.
  public let path: String

  public var description: String {
    """
    another process serves this database (it holds \(path)); stop it, or set the same \
    REPLAY_STORE=redis://... for all processes
    """
  }
}

extension SQLiteDatabase {
  /// Begins the term of this process, which has acquired the lock for serving. Its name also tells the file, so a copy has
  /// other names.
  public func beginTerm() async throws(RegistryError) -> ServingLock {
    let place = identity.map { "@\($0.device)/\($0.number)" } ?? ""
    let (previous, term) = try await write { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard let previous = try writer.firstRow(of: Self.selectTerm),
          let term = try writer.firstRow(of: Self.changeTerm)
        else { throw .fault(cause: "the table serving_term has no row") }
        return (previous, term)
      }
    }
    return .acquired(term: term + place, previous: previous + place)
  }

  static let selectTerm = SQLiteStatement("SELECT term FROM serving_term") { $0.text() }

  static let changeTerm = SQLiteStatement(
    "UPDATE serving_term SET term = lower(hex(randomblob(16))) RETURNING term"
  ) { $0.text() }
}
