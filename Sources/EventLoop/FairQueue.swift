/// Whose work waits, and how soon it must be done.
public struct Turn: Hashable, Sendable {
  /// Work of a higher urgency goes first.
  public enum Urgency: Int, CaseIterable, Sendable {
    /// What shuts somebody out, or replaces a secret. After a few of these, an ordinary element leaves.
    case urgent
    case ordinary
    /// What nobody waits for, such as deleting expired rows.
    case background
  }

  /// A number for the client; nil for the service's own work, which has a separate line and no bound per party. Two
  /// clients with the same number share a line, so a hash will do.
  public let party: Int?
  public let urgency: Urgency

  public init(of party: Int?, _ urgency: Urgency = .ordinary) {
    self.party = party
    self.urgency = urgency
  }
}

/// The queue is full, or it takes no more. The work was not started.
public enum QueueFull: Error, Hashable, Sendable {
  /// Too much work waits.
  case forAll
  /// Too much work of this party waits; others still find a place.
  case forParty
}

/// A bounded queue that takes one element of each party in turn, so that a party with many delays only its own. Within
/// a party, and an urgency, elements leave in order of arrival.
///
/// All of it is inlinable: without inlining each call looks up the generic types of the dictionaries at run time, which
/// takes longer than the rest of the call.
@frozen public struct FairQueue<Element> {
  @usableFromInline @frozen struct Lines {
    /// Parties with waiting elements; the first is next.
    @usableFromInline var order: [Int?] = []
    @usableFromInline var byParty: [Int?: Queue<Element>] = [:]

    @inlinable init() {}
  }

  /// Urgent elements for which an ordinary one waits, so that a party's many cannot shut out all others.
  @inlinable static var maximumUrgentInRow: Int { 4 }

  @usableFromInline let maximumCount: Int
  @usableFromInline let maximumPerParty: Int
  @usableFromInline var lines = [Lines](repeating: Lines(), count: Turn.Urgency.allCases.count)
  @usableFromInline var countByParty: [Int: Int] = [:]
  /// Urgent elements that left since the last other one.
  @usableFromInline var urgentInRow = 0
  @usableFromInline var waitingCount = 0

  @inlinable public var count: Int { waitingCount }

  /// - Parameters:
  ///   - maximumCount: waiting elements of all parties and urgencies.
  ///   - maximumPerParty: waiting elements of one party, of all urgencies.
  @inlinable public init(maximumCount: Int, maximumPerParty: Int) {
    self.maximumCount = maximumCount
    self.maximumPerParty = maximumPerParty
  }

  /// The urgency of the element that is next; nil if there is none.
  @inlinable public var firstUrgency: Turn.Urgency? {
    lines.firstIndex { !$0.order.isEmpty }.flatMap { Turn.Urgency(rawValue: $0) }
  }

  /// Waiting elements of the party.
  @inlinable public func count(of party: Int) -> Int { countByParty[party] ?? 0 }

  @inlinable public mutating func append(_ element: Element, _ turn: Turn) throws(QueueFull) {
    if let party = turn.party, count(of: party) >= maximumPerParty { throw .forParty }
    guard count < maximumCount else { throw .forAll }
    lines[turn.urgency.rawValue].append(element, of: turn.party)
    add(1, to: turn.party)
  }

  /// Puts an element before the party's others of the same urgency: the next step of work that has begun, which should end
  /// before the party's next work begins. The bound per party does not count.
  @inlinable public mutating func appendFirst(_ element: Element, _ turn: Turn) throws(QueueFull) {
    guard count < maximumCount else { throw .forAll }
    lines[turn.urgency.rawValue].append(element, of: turn.party, isFirst: true)
    add(1, to: turn.party)
  }

  /// Removes the next element that `isReady`, of the highest urgency that has one; an ordinary one if
  /// `maximumUrgentInRow` urgent ones went before it. A party whose first element is not ready keeps its place.
  @inlinable public mutating func removeFirst(where isReady: (Element) -> Bool = { _ in true }) -> Element? {
    if urgentInRow >= Self.maximumUrgentInRow, let element = removeFirst(of: .ordinary, where: isReady) {
      return element
    }
    for urgency in Turn.Urgency.allCases {
      if let element = removeFirst(of: urgency, where: isReady) { return element }
    }
    return nil
  }

  @inlinable mutating func removeFirst(
    of urgency: Turn.Urgency, where isReady: (Element) -> Bool
  ) -> Element? {
    guard let (element, party) = lines[urgency.rawValue].removeFirst(where: isReady) else { return nil }
    add(-1, to: party)
    urgentInRow = urgency == .urgent ? urgentInRow + 1 : 0
    return element
  }

  /// Removes and returns the elements that `isRemoved`. Takes time in proportion to `count`.
  @inlinable public mutating func removeAll(where isRemoved: (Element) -> Bool = { _ in true }) -> [Element] {
    var removed: [Element] = []
    var kept = FairQueue(maximumCount: maximumCount, maximumPerParty: maximumPerParty)
    kept.urgentInRow = urgentInRow
    for index in lines.indices {
      for party in lines[index].order {
        for element in lines[index].byParty[party]?.removeAll() ?? [] {
          if isRemoved(element) {
            removed.append(element)
          } else {
            kept.lines[index].append(element, of: party)
            kept.add(1, to: party)
          }
        }
      }
    }
    self = kept
    return removed
  }

  @inlinable mutating func add(_ number: Int, to party: Int?) {
    waitingCount += number
    guard let party else { return }
    let sum = (countByParty[party] ?? 0) + number
    countByParty[party] = sum == 0 ? nil : sum
  }
}

extension FairQueue.Lines {
  @inlinable mutating func append(_ element: Element, of party: Int?, isFirst: Bool = false) {
    if byParty[party] == nil { order.append(party) }
    if isFirst {
      byParty[party, default: Queue()].prepend(element)
    } else {
      byParty[party, default: Queue()].append(element)
    }
  }

  @inlinable mutating func removeFirst(
    where isReady: (Element) -> Bool
  ) -> (element: Element, party: Int?)? {
    guard let place = order.firstIndex(where: { isReady(byParty[$0]!.first!) }) else { return nil }
    let party = order.remove(at: place)
    guard let element = byParty[party]!.removeFirst() else { return nil }
    if byParty[party]!.count > 0 { order.append(party) } else { byParty[party] = nil }
    return (element, party)
  }
}

extension FairQueue: Sendable where Element: Sendable {}
extension FairQueue.Lines: Sendable where Element: Sendable {}
