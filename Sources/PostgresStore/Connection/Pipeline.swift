internal import EventLoop

/// The bookkeeping of libpq's pipeline mode, apart from any socket: which statement a result belongs to, and
/// when it is over.
///
/// A write is followed by a synchronisation point of its own, which is where PostgreSQL commits it. So it is over
/// at its point and not at its result: an error in between, from the commit, takes the result's place, and no
/// neighbour shares it. Reads share a point: each is over at its result, and one that fails makes the server skip
/// those between it and the point, which can be sent again.
struct Pipeline<Statement, Outcome> {
  private enum Entry {
    case write(Statement, deadlineMilliseconds: Int64)
    case read(Statement, deadlineMilliseconds: Int64)
    /// The point that reads share.
    case point(deadlineMilliseconds: Int64)
  }

  private var entries = Queue<Entry>()
  private var outcome: Outcome?

  /// Statements and points that were sent and are not over.
  var count: Int { entries.count }

  /// When the oldest must be over; nil if there is none.
  var deadlineMilliseconds: Int64? {
    switch entries.first {
    case .write(_, let deadline), .read(_, let deadline), .point(let deadline): deadline
    case nil: nil
    }
  }

  /// A statement with a point of its own.
  mutating func append(_ statement: Statement, deadlineMilliseconds: Int64) {
    entries.append(.write(statement, deadlineMilliseconds: deadlineMilliseconds))
  }

  /// A statement that will share a point.
  mutating func append(read statement: Statement, deadlineMilliseconds: Int64) {
    entries.append(.read(statement, deadlineMilliseconds: deadlineMilliseconds))
  }

  /// The point of the reads since the last one.
  mutating func appendPoint(deadlineMilliseconds: Int64) {
    entries.append(.point(deadlineMilliseconds: deadlineMilliseconds))
  }

  /// Takes what libpq handed out, and answers the statement that is over with it, if one is. The outcome is nil
  /// where the server skipped a read, and else only if it broke the protocol.
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

  /// Forgets everything, and answers what was not over, oldest first.
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

/// What libpq handed out.
enum PipelineEvent<Outcome> {
  case result(Outcome)
  case failure(Outcome)
  /// A statement before it, of the same point, failed.
  case skipped
  case synchronised
}
