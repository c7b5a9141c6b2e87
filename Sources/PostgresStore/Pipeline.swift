/// The bookkeeping of libpq's pipeline mode, apart from any socket: which statement a result belongs to, and
/// when it is over.
///
/// Each statement is followed by a synchronisation point, which is also where PostgreSQL commits it. So a
/// statement is over at its point and not at its result: an error in between, from the commit, takes the
/// result's place.
struct Pipeline<Statement, Outcome> {
  private struct Entry {
    let statement: Statement
    let deadlineMilliseconds: Int64
  }

  private var entries = Queue<Entry>()
  private var outcome: Outcome?

  /// Statements that were sent and are not over.
  var count: Int { entries.count }

  /// When the oldest must be over; nil if there is none.
  var deadlineMilliseconds: Int64? { entries.first?.deadlineMilliseconds }

  mutating func append(_ statement: Statement, deadlineMilliseconds: Int64) {
    entries.append(Entry(statement: statement, deadlineMilliseconds: deadlineMilliseconds))
  }

  /// Takes what libpq handed out, and answers the statement that is over with it, if one is. The outcome is nil
  /// only if the server broke the protocol.
  mutating func receive(_ event: PipelineEvent<Outcome>) -> (statement: Statement, outcome: Outcome?)? {
    switch event {
    case .result(let result):
      if outcome == nil { outcome = result }
      return nil
    case .failure(let failure):
      outcome = failure
      return nil
    case .synchronised:
      guard let entry = entries.removeFirst() else { return nil }
      defer { outcome = nil }
      return (entry.statement, outcome)
    }
  }

  /// Forgets everything, and answers what was not over, oldest first.
  mutating func removeAll() -> [Statement] {
    outcome = nil
    return entries.removeAll().map(\.statement)
  }
}

/// What libpq handed out.
enum PipelineEvent<Outcome> {
  case result(Outcome)
  case failure(Outcome)
  case synchronised
}

/// First in, first out, at constant cost.
struct Queue<Element> {
  private var elements: [Element?] = []
  private var head = 0

  var count: Int { elements.count - head }
  var first: Element? { head < elements.count ? elements[head] : nil }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func removeFirst() -> Element? {
    guard head < elements.count else { return nil }
    let element = elements[head]
    elements[head] = nil
    head += 1
    // What was taken is dropped in one go, when it is half of the array.
    if head * 2 >= elements.count {
      elements.removeSubrange(..<head)
      head = 0
    }
    return element
  }

  mutating func removeAll() -> [Element] {
    defer {
      elements = []
      head = 0
    }
    return elements[head...].compactMap { $0 }
  }
}
