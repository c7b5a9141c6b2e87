import EventLoop
import Testing

@Suite("A fair queue")
struct FairQueueTests {
  private func queue(_ count: Int = 100, perParty: Int = 50) -> FairQueue<String> {
    FairQueue(maximumCount: count, maximumPerParty: perParty)
  }

  private func elements(of queue: FairQueue<String>) -> [String] {
    var (queue, elements) = (queue, [String]())
    while let element = queue.removeFirst() { elements.append(element) }
    return elements
  }

  @Test
  func `takes one element of each party in turn, and a party's own in order of arrival`() throws {
    var queue = queue()
    for element in ["a1", "a2", "a3"] { try queue.append(element, Turn(of: 1)) }
    for element in ["b1", "b2"] { try queue.append(element, Turn(of: 2)) }
    try queue.append("own", Turn(of: nil))
    #expect(elements(of: queue) == ["a1", "b1", "own", "a2", "b2", "a3"])
  }

  @Test
  func `takes the next step of what has begun before the party's other elements, also where the party is full`()
    throws
  {
    var queue = queue(perParty: 2)
    for element in ["a1", "a2"] { try queue.append(element, Turn(of: 1)) }
    for element in ["b1", "b2"] { try queue.append(element, Turn(of: 2)) }
    try queue.appendFirst("a0", Turn(of: 1))
    #expect(queue.removeFirst() == "a0")
    try queue.appendFirst("b0", Turn(of: 2))
    try queue.appendFirst("a0", Turn(of: 1))
    #expect(elements(of: queue) == ["b0", "a0", "b1", "a1", "b2", "a2"])
  }

  @Test
  func `takes what is urgent before everything else, and what is in the background last`() throws {
    var queue = queue()
    try queue.append("clear", Turn(of: nil, .background))
    try queue.append("write", Turn(of: 1))
    try queue.append("revoke", Turn(of: 1, .urgent))
    try queue.append("other", Turn(of: 2))
    #expect(elements(of: queue) == ["revoke", "write", "other", "clear"])
  }

  @Test
  func `takes an ordinary element after four urgent ones, so that a party's many shut out nobody`() throws {
    var queue = queue()
    for number in 1...9 { try queue.append("u\(number)", Turn(of: 1, .urgent)) }
    for element in ["o1", "o2"] { try queue.append(element, Turn(of: 2)) }
    try queue.append("clear", Turn(of: nil, .background))
    #expect(
      elements(of: queue)
        == ["u1", "u2", "u3", "u4", "o1", "u5", "u6", "u7", "u8", "o2", "u9", "clear"])
  }

  @Test
  func `refuses a party with too many elements, while others find a place, and everybody when it is full`()
    throws
  {
    var queue = queue(4, perParty: 2)
    try queue.append("a1", Turn(of: 1))
    try queue.append("a2", Turn(of: 1, .urgent))
    #expect(throws: QueueFull.forParty) { try queue.append("a3", Turn(of: 1)) }
    try queue.append("b1", Turn(of: 2))
    for _ in 0..<1 { try queue.append("own", Turn(of: nil)) }
    #expect(throws: QueueFull.forAll) { try queue.append("own", Turn(of: nil)) }
    #expect(throws: QueueFull.forAll) { try queue.append("c1", Turn(of: 3)) }
    #expect(queue.removeFirst() == "a2")
    #expect(queue.count(of: 1) == 1)
    try queue.append("a3", Turn(of: 1))
    #expect(queue.count == 4)
  }

  @Test
  func `skips a party whose first element is not ready, which keeps its place`() throws {
    var queue = queue()
    for (party, element) in [(1, "a1"), (2, "b1"), (3, "c1"), (2, "b2")] {
      try queue.append(element, Turn(of: party))
    }
    #expect(queue.removeFirst { !$0.hasPrefix("a") } == "b1")
    #expect(queue.removeFirst { $0 == "b3" } == nil)
    #expect(elements(of: queue) == ["a1", "c1", "b2"])
  }

  @Test
  func `gives up chosen elements, and keeps the order of the others`() throws {
    var queue = queue(4)
    for (party, element) in [(1, "a1"), (1, "a2"), (2, "b1"), (2, "b2")] {
      try queue.append(element, Turn(of: party))
    }
    #expect(queue.removeAll { $0.hasSuffix("1") }.sorted() == ["a1", "b1"])
    #expect(queue.count == 2)
    #expect(queue.count(of: 2) == 1)
    #expect(elements(of: queue) == ["a2", "b2"])
  }
}
