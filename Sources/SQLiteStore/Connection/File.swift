private import Glibc

/// Creates and resolves the path of the database file.
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

/// The database's file or folder cannot be created.
public struct SQLiteFileError: Error, Hashable, CustomStringConvertible {
  public let path: String
  /// The value of errno(3).
  public let errorNumber: Int32

  public var description: String { "cannot create \(path): \(String(cString: strerror(errorNumber)))" }
}
