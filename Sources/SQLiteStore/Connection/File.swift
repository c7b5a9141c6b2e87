internal import EventLoop
private import Glibc

/// The database file, and the two that SQLite keeps next to it.
enum SQLiteFile {
  /// Creates the file (mode 0600) and its missing parent folders (mode 0700). SQLite gives the files that it
  /// creates next to it the same mode.
  static func create(_ path: String) throws(SQLiteFileError) {
    try createFolder(above: path)
    // O_EXCL: never open an existing file. Closing any descriptor of it would release the locks that this
    // process's connections hold (fcntl(2)).
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if descriptor >= 0 {
      close(descriptor)
    } else if errno != EEXIST {
      throw SQLiteFileError(path: path, errorNumber: errno)
    }
  }

  /// The absolute path of an existing file, with symbolic links resolved.
  static func resolve(_ path: String) throws(SQLiteFileError) -> String {
    guard let resolved = realpath(path, nil) else { throw SQLiteFileError(path: path, errorNumber: errno) }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// Tests that this process may read and write the files, and makes those private that others could read or write.
  /// Returns their paths. A path that is no regular file is left to SQLite.
  static func secure(_ path: String) throws(SQLiteFileError) -> [String] {
    var exposed: [String] = []
    for file in [path, path + "-wal", path + "-shm"] {
      var status = stat()
      guard stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
      try testAccess(file)
      guard status.st_mode & 0o077 != 0 else { continue }
      guard chmod(file, 0o600) == 0 else { throw SQLiteFileError(.protect, path: file, errorNumber: errno) }
      exposed.append(file)
    }
    return exposed
  }

  /// Tests that this process may read and write a file.
  static func testAccess(_ file: String) throws(SQLiteFileError) {
    guard access(file, R_OK | W_OK) == 0 else {
      throw SQLiteFileError(.open, path: file, errorNumber: errno)
    }
  }

  static func isEmpty(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_size == 0
  }

  /// Bytes; 0 if there is no file.
  static func size(of path: String) -> Int64 {
    var status = stat()
    return stat(path, &status) == 0 ? Int64(status.st_size) : 0
  }

  /// Bytes that this process may still write to the file's disk; nil if the system does not say it.
  static func freeBytes(beside path: String) -> Int64? {
    var status = statvfs()
    return statvfs(path, &status) == 0 ? Int64(status.f_bavail) * Int64(status.f_frsize) : nil
  }

  /// Which file a path names.
  struct Identity: Hashable, Sendable {
    let device: UInt64
    let number: UInt64
  }

  /// Nil if there is no file.
  static func identity(of path: String) -> Identity? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Identity(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
  }

  /// Why the file could not be created; nil if it could, or exists.
  static func objection(toCreating path: String) -> SQLiteFileError? {
    guard access(path, F_OK) != 0 else { return nil }
    guard let slash = path.lastIndex(of: "/") else { return objection(toWritingIn: ".", path) }
    guard slash != path.startIndex else { return objection(toWritingIn: "/", path) }
    let folder = String(path[..<slash])
    return access(folder, F_OK) == 0
      ? objection(toWritingIn: folder, path) : objection(toCreating: folder)
  }

  private static func objection(toWritingIn folder: String, _ path: String) -> SQLiteFileError? {
    access(folder, W_OK | X_OK) == 0 ? nil : SQLiteFileError(path: path, errorNumber: errno)
  }

  private static func createFolder(above path: String) throws(SQLiteFileError) {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
    let folder = String(path[..<slash])
    guard access(folder, F_OK) != 0 else { return }
    try createFolder(above: folder)
    guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
      throw SQLiteFileError(path: folder, errorNumber: errno)
    }
  }
}

/// The database's file or folder cannot be used.
public struct SQLiteFileError: Error, Hashable, CustomStringConvertible {
  /// What was tried.
  public enum Operation: Hashable, Sendable {
    case create, open
    /// To make a file private that others can read or write.
    case protect
  }

  public let operation: Operation
  public let path: String
  /// The value of errno(3).
  public let errorNumber: Int32

  init(_ operation: Operation = .create, path: String, errorNumber: Int32) {
    self.operation = operation
    self.path = path
    self.errorNumber = errorNumber
  }

  public var description: String {
    let cause = FileFailure.describe(errorNumber, of: path)
    return switch operation {
    case .create: "cannot create \(path): \(cause)"
    case .open: "cannot open \(path): \(cause)"
    case .protect: "others can read or write \(path), and its mode cannot be changed to 600: \(cause)"
    }
  }
}
