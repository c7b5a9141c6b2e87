internal import CSQLite
internal import Registry

/// What SQLite said went wrong: its extended result code, taken at once (https://sqlite.org/rescode.html).
/// Safe to log: it holds no parameter's value.
struct SQLiteFailure: Error, CustomStringConvertible {
  let extendedCode: Int32

  init(_ extendedCode: Int32) { self.extendedCode = extendedCode }

  var isUniqueViolation: Bool {
    // SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY
    extendedCode == 2067 || extendedCode == 1555
  }

  /// SQLite's fixed text for the code.
  var description: String { "SQLite \(extendedCode) \(String(cString: sqlite3_errstr(extendedCode)))" }

  /// What the domain is told. A unique violation is told apart by the statement that met it. A foreign key's is a
  /// fault: SQLite does not say which key it was, so each write looks for itself whether what it refers to is there.
  var registryError: RegistryError {
    switch extendedCode & 0xFF {
    case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_IOERR, SQLITE_READONLY, SQLITE_CANTOPEN,
      SQLITE_INTERRUPT, SQLITE_NOMEM:
      return .unavailable(cause: description)
    default:
      return .fault(cause: description)
    }
  }
}
