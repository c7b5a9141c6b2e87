import Registry
import Testing

@testable import Telegram

@Suite("Messages to a chat about devices") struct NoticeTests {
  private static let noon = Timestamp(millisecondsSince1970: 1_764_000_000_000)

  /// Events of a feed, numbered from 1, and a clock.
  private struct Feed {
    var notices = Notices(after: .start)
    var now = NoticeTests.noon
    private var sequence: Int64 = 0

    mutating func add(_ kinds: (device: UInt64, kind: RegistryEvent.Kind)...) throws {
      for (device, kind) in kinds {
        sequence += 1
        let event = RecordedEvent(
          id: EventID(high: 0, low: UInt64(sequence)), position: position(sequence), type: kind.rawValue,
          at: now,
          clientID: try #require(ClientID("alice")), deviceID: DeviceID(high: 0, low: device), signalID: nil,
          actorKind: "system", actorID: nil, requestID: nil, reason: nil, changes: nil)
        let row = ScannedEvent(end: position(sequence), removed: .start, found: (1, true, event))
        notices.add(try EventPage(of: [row], after: nil, limit: 10, scan: 10))
      }
    }

    func position(_ sequence: Int64) -> EventPosition {
      EventPosition(epoch: 0, transaction: 0, sequence: sequence)
    }

    /// Takes the lines of the next message.
    mutating func told() -> [String] {
      guard let message = notices.take(at: now) else { return [] }
      let names = Dictionary(message.lines.map { ($0.device, String($0.device.low)) }) { first, _ in first }
      let html = message.text(names: names).html
      return html.replacing(/<.?code>|[\u{2068}\u{2069}]/, with: "").split(separator: "\n").map { String($0) }
    }

    mutating func pass(seconds: Int64) { now = now + seconds * 1000 }
  }

  @Test func `Events at once are one message, and further ones wait until the gap is over`() throws {
    var feed = Feed()
    var told = feed.told()
    #expect(told == [] && feed.notices.nextLook == nil)
    try feed.add((1, .deviceOffline), (2, .deviceRevoked), (3, .deviceExpired), (4, .deviceContended))
    #expect(feed.notices.position == .start)
    told = feed.told()
    #expect(told.count == 4 && told[0] == "🔴 1 is offline" && told[1] == "⚪ 2 was revoked")
    #expect(feed.notices.position == feed.position(4))
    try feed.add((5, .deviceOffline))
    told = feed.told()
    #expect(told == [] && feed.notices.position == feed.position(4))
    #expect(feed.notices.nextLook == Self.noon + Notices.gapMilliseconds)
    feed.pass(seconds: 15)
    told = feed.told()
    #expect(told == ["🔴 5 is offline"] && feed.notices.position == feed.position(5))
  }

  @Test func `A flapping device makes two messages, and then one after the quiet period`() throws {
    var feed = Feed()
    try feed.add((1, .deviceOffline))
    var told = feed.told()
    #expect(told == ["🔴 1 is offline"])
    feed.pass(seconds: 20)
    try feed.add((1, .deviceOnline))
    told = feed.told()
    #expect(told == ["🟢 1 is online"])
    for _ in 0..<20 {
      feed.pass(seconds: 20)
      try feed.add((1, .deviceOffline), (1, .deviceOnline))
      told = feed.told()
      #expect(told == [])
    }
    // Another device is not delayed by it, and the position stays before what waits.
    try feed.add((2, .deviceOffline))
    told = feed.told()
    #expect(told == ["🔴 2 is offline"] && feed.notices.position == feed.position(2))
    #expect(feed.notices.nextLook == Self.noon + Notices.quietMilliseconds)
    feed.now = Self.noon + Notices.quietMilliseconds
    told = feed.told()
    #expect(told == ["🟢 1 is online (40 changes)"])
    #expect(feed.notices.position == feed.position(43) && feed.notices.nextLook == nil)
  }

  @Test func `The position is before the oldest line that waits`() throws {
    var feed = Feed()
    // Each has its two messages of the quiet period, and the other's ends 280 s later.
    for device: UInt64 in 1...2 {
      for _ in 1...Notices.maximumPerPeriod {
        try feed.add((device, .deviceOffline))
        #expect(feed.told().count == 1)
        feed.pass(seconds: 140)
      }
    }
    try feed.add((1, .deviceOnline), (2, .deviceOnline))
    #expect(feed.told() == [] && feed.notices.position == feed.position(4))
    // One of them always waits: the position follows the one that does.
    feed.pass(seconds: 40)
    #expect(feed.told() == ["🟢 1 is online"] && feed.notices.position == feed.position(5))
    try feed.add((1, .deviceOffline))
    feed.pass(seconds: 20)
    #expect(feed.told() == ["🔴 1 is offline"] && feed.notices.position == feed.position(5))
    try feed.add((1, .deviceOnline))
    feed.pass(seconds: 260)
    #expect(feed.told() == ["🟢 2 is online"] && feed.notices.position == feed.position(7))
  }

  @Test func `A message names twenty devices and counts the others, and a mute forgets what waits`() throws {
    var feed = Feed()
    for device: UInt64 in 1...30 { try feed.add((device, .deviceOffline)) }
    var told = feed.told()
    #expect(told.count == 21 && told.last == "and 10 more: /devices")
    try feed.add((40, .deviceOffline))
    feed.notices.skip()
    feed.pass(seconds: 60)
    told = feed.told()
    #expect(told == [] && feed.notices.position == feed.position(31))
  }

  @Test func `The number of devices that are remembered is bounded`() throws {
    var feed = Feed()
    for device in 1...UInt64(Notices.maximumSubjects + 5) { try feed.add((device, .deviceOffline)) }
    let told = feed.told()
    #expect(told.last == "and \(Notices.maximumSubjects + 5 - Notices.maximumLines) more: /devices")
  }
}
