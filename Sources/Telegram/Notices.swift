internal import Registry

/// The messages to a chat about devices: a state machine without a clock.
///
/// What happens at once is one message. Of a device that flaps, a chat gets a few messages, then one after each
/// quiet period. The stored position stays before what waits, so a restart tells it late, and may tell some of it twice: what
/// happened while a line waited, which is not long.
struct Notices {
  /// Between two messages to a chat.
  static let gapMilliseconds: Int64 = 15_000
  /// A device's messages in this time are bounded.
  static let quietMilliseconds: Int64 = 600_000
  /// Messages about one subject of a device in that time: that it is offline, and that it is online again.
  static let maximumPerPeriod = 2
  /// What is remembered of a chat. Further devices are only counted.
  static let maximumSubjects = 10_000
  /// Devices that a message names.
  static let maximumLines = 20

  /// The types of events of which chats get messages.
  static let filter = EventFilter(types: Subject.types.keys.sorted(), deviceID: nil)

  /// What a message says about a device.
  enum Subject: Hashable {
    case presence, contention, end

    static let types: [String: Subject] = [
      RegistryEvent.Kind.deviceOffline.rawValue: .presence, RegistryEvent.Kind.deviceOnline.rawValue: .presence,
      RegistryEvent.Kind.deviceContended.rawValue: .contention,
      RegistryEvent.Kind.deviceRevoked.rawValue: .end, RegistryEvent.Kind.deviceExpired.rawValue: .end,
    ]
  }

  struct Line: Hashable {
    let device: DeviceID
    /// The last event's.
    var type: String
    var at: Timestamp
    /// Events since the last message.
    var count = 1
    /// The position before the first of them.
    let start: EventPosition
  }

  /// The lines of a message, and how many devices it leaves out.
  struct Message: Hashable {
    let lines: [Line]
    let more: Int
  }

  private struct Key: Hashable {
    let device: DeviceID
    let subject: Subject
  }

  private var waiting: [Key: Line] = [:]
  /// In the order of their first event.
  private var order: [Key] = []
  private var uncounted = 0
  private var told: [Key: (since: Timestamp, count: Int)] = [:]
  private var lastMessage: Timestamp?
  /// What follows was not read.
  private(set) var readTo: EventPosition

  init(after position: EventPosition) { readTo = position }

  /// What a restart continues after: the position before what waits longest. Nothing is only counted while no line waits.
  var position: EventPosition { order.first.flatMap { waiting[$0]?.start } ?? readTo }

  mutating func add(_ page: EventPage) {
    for event in page.events {
      add(event)
      readTo = event.position
    }
    readTo = page.next
  }

  private mutating func add(_ event: RecordedEvent) {
    guard let device = event.deviceID, let subject = Subject.types[event.type] else { return }
    let key = Key(device: device, subject: subject)
    if waiting[key] != nil {
      waiting[key]!.type = event.type
      waiting[key]!.at = event.at
      waiting[key]!.count += 1
    } else if waiting.count < Self.maximumSubjects {
      waiting[key] = Line(device: device, type: event.type, at: event.at, start: readTo)
      order.append(key)
    } else {
      uncounted += 1
    }
  }

  /// The chat is muted: what waits is forgotten.
  mutating func skip() {
    waiting = [:]
    (order, uncounted) = ([], 0)
  }

  /// Takes the message that may be sent now; nil for none.
  mutating func take(at now: Timestamp) -> Message? {
    told = told.filter { now - $0.value.since < Self.quietMilliseconds }
    if let lastMessage, 0..<Self.gapMilliseconds ~= now - lastMessage { return nil }
    let taken = order.filter { (told[$0]?.count ?? 0) < Self.maximumPerPeriod }
    guard !taken.isEmpty || uncounted > 0 else { return nil }
    let lines = taken.prefix(Self.maximumLines).compactMap { waiting[$0] }
    let more = taken.count - lines.count + uncounted
    for key in taken {
      waiting[key] = nil
      if told.count < Self.maximumSubjects || told[key] != nil { told[key, default: (now, 0)].count += 1 }
    }
    order.removeAll { waiting[$0] == nil }
    (uncounted, lastMessage) = (0, now)
    return Message(lines: lines, more: more)
  }

  /// When to look again; nil if nothing waits.
  var nextLook: Timestamp? {
    guard !waiting.isEmpty || uncounted > 0 else { return nil }
    let ends = order.map { key in
      told[key].flatMap { $0.count < Self.maximumPerPeriod ? nil : $0.since + Self.quietMilliseconds }
        ?? Timestamp(millisecondsSince1970: 0)
    }
    let gapEnd = lastMessage.map { $0 + Self.gapMilliseconds } ?? Timestamp(millisecondsSince1970: 0)
    return max(gapEnd, ends.min() ?? gapEnd)
  }
}

extension Notices.Message {
  /// - Parameter names: of the devices that exist.
  func text(names: [DeviceID: String]) -> BotMessage {
    var texts = lines.map { line in
      "\(line.words.mark) \(Foreign.html(names[line.device] ?? line.device.description)) \(line.words.text)"
        + (line.count > 1 ? " (\(line.count) changes)" : "")
    }
    if more > 0 { texts.append("and \(more) more: /devices") }
    return BotMessage(texts.joined(separator: "\n"))
  }
}

extension Notices.Line {
  fileprivate var words: (mark: String, text: String) {
    switch RegistryEvent.Kind(rawValue: type) {
    case .deviceOffline: ("🔴", "is offline")
    case .deviceOnline: ("🟢", "is online")
    case .deviceContended: ("⚠️", "was refused: another terminal uses the same device")
    case .deviceRevoked: ("⚪", "was revoked")
    case .deviceExpired: ("⚪", "has expired")
    default: ("⚪", type)
    }
  }
}
