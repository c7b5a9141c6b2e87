internal import CSQLite
internal import Registry

/// An extended result code of SQLite (https://sqlite.org/rescode.html). Safe to log: it contains no parameter
/// values.
struct SQLiteFailure: Error, CustomStringConvertible {
  let extendedCode: Int32

  init(_ extendedCode: Int32) { self.extendedCode = extendedCode }

  var isUniqueViolation: Bool {
    // SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY
    extendedCode == 2067 || extendedCode == 1555
  }

  /// Whether another connection holds a lock.
  var isBusy: Bool { extendedCode & 0xFF == SQLITE_BUSY }

  /// The cause as a text for the operator, who may end the process that holds a lock.
  func cause(path: String) -> String {
    isBusy ? "another process holds a lock on \(path), wait until it is done or end it (\(self))" : description
  }

  /// SQLite's fixed text for the code.
  var description: String { "SQLite \(extendedCode) \(String(cString: sqlite3_errstr(extendedCode)))" }

  /// The statement decides what a unique violation means. A foreign key violation is a fault: SQLite does not
  /// say which key it was, so each write checks that the rows it refers to exist.
  var registryError: RegistryError {
    switch extendedCode & 0xFF {
    // Only reads are interrupted.
    case SQLITE_INTERRUPT:
      return .unavailable(cause: "a read took longer than \(SQLiteConnection.maximumReadMilliseconds) ms")
    case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_IOERR, SQLITE_READONLY, SQLITE_CANTOPEN,
      SQLITE_NOMEM:
      return .unavailable(cause: description)
    default:
      return .fault(cause: description)
    }
  }
}
