internal import EventLoop

/// The bookkeeping of libpq's pipeline mode, independent of any socket: which statement a result belongs to,
/// and when the statement has completed.
///
/// Each write has its own synchronisation point, at which PostgreSQL commits it. So a write completes at its
/// point, not at its result: an error between the two, from the commit, replaces the result, and affects no
/// other statement. Reads share a point: each completes at its result. A read that fails makes the server skip
/// the reads between it and the point; those can be sent again.
struct Pipeline<Statement, Outcome> {
  private enum Entry {
    case write(Statement, deadlineMilliseconds: Int64)
    case read(Statement, deadlineMilliseconds: Int64)
    /// The synchronisation point that the preceding reads share.
    case point(deadlineMilliseconds: Int64)
  }

  private var entries = Queue<Entry>()
  private var outcome: Outcome?

  /// Pending statements and points.
  var count: Int { entries.count }

  /// The deadline of the oldest entry; nil if there is none.
  var deadlineMilliseconds: Int64? {
    switch entries.first {
    case .write(_, let deadline), .read(_, let deadline), .point(let deadline): deadline
    case nil: nil
    }
  }

  /// Adds a write, which has its own point.
  mutating func append(_ statement: Statement, deadlineMilliseconds: Int64) {
    entries.append(.write(statement, deadlineMilliseconds: deadlineMilliseconds))
  }

  /// Adds a read, which shares a point.
  mutating func append(read statement: Statement, deadlineMilliseconds: Int64) {
    entries.append(.read(statement, deadlineMilliseconds: deadlineMilliseconds))
  }

  /// Adds the point that the reads since the last point share.
  mutating func appendPoint(deadlineMilliseconds: Int64) {
    entries.append(.point(deadlineMilliseconds: deadlineMilliseconds))
  }

  /// Handles an event, and returns the statement that it completes, if any. The outcome is nil if the server
  /// skipped a read, or violated the protocol.
  mutating func receive(_ event: PipelineEvent<Outcome>) -> (statement: Statement, outcome: Outcome?)? {
    switch (event, entries.first) {
    case (.result(let result), .read(let statement, _)), (.failure(let result), .read(let statement, _)):
      _ = entries.removeFirst()
      return (statement, result)
    case (.skipped, .read(let statement, _)):
      _ = entries.removeFirst()
      return (statement, nil)
    case (.synchronised, .write(let statement, _)):
      _ = entries.removeFirst()
      defer { outcome = nil }
      return (statement, outcome)
    case (.synchronised, _):
      _ = entries.removeFirst()
      return nil
    case (.result(let result), _):
      if outcome == nil { outcome = result }
      return nil
    case (.failure(let failure), _):
      outcome = failure
      return nil
    case (.skipped, _): return nil
    }
  }

  /// Removes all entries, and returns the pending statements, oldest first.
  mutating func removeAll() -> [Statement] {
    outcome = nil
    return entries.removeAll().compactMap { entry in
      switch entry {
      case .write(let statement, _), .read(let statement, _): statement
      case .point: nil
      }
    }
  }
}

/// A result that libpq returned.
enum PipelineEvent<Outcome> {
  case result(Outcome)
  case failure(Outcome)
  /// An earlier statement of the same point failed.
  case skipped
  case synchronised
}
