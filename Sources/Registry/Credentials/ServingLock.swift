/// What became of a process's lock on the database that it serves.
///
/// Who acquires the lock also stores the name of a new *term* in the database, and learns the name of the one before. If
/// that is its own earlier one, no other process has served the database since.
public enum ServingLock: Hashable, Sendable {
  /// The process serves the database from now on.
  /// - Parameters:
  ///   - term: the name of its term in this database. A copy of the database has other names.
  ///   - previous: the name of the term before.
  case acquired(term: String, previous: String)
  case lost
}
