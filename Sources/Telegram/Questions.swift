internal import Encoding
internal import Registry

/// Changes that a user was asked about and has not confirmed. They are kept in memory: after a restart, the user asks again.
struct Questions {
  /// How long a question may be answered.
  static let lifetimeMilliseconds: Int64 = 120_000
  /// Questions of all chats. A chat has one: its last.
  static let maximum = 10_000

  struct Question: Hashable {
    let id: String
    /// A chat that was linked to another client since has not been asked.
    let link: TelegramLinkID
    let mode: TradingMode.Mode
    let selector: DeviceSelector
    /// The number of devices in the question.
    let matched: Int
    var expiresAt: Timestamp
  }

  private let random: any RandomSource
  private var open: [Int64: Question] = [:]

  init(random: any RandomSource) { self.random = random }

  /// Opens a question in place of the chat's last one, and returns its id; nil if too many are open.
  mutating func ask(
    _ mode: TradingMode.Mode, _ selector: DeviceSelector, matched: Int, of link: TelegramLink,
    at time: Timestamp
  ) -> String? {
    if open.count >= Self.maximum { open = open.filter { time < $0.value.expiresAt } }
    guard open.count < Self.maximum else { return nil }
    var number: UInt64 = 0
    withUnsafeMutableBytes(of: &number) { random.fill($0) }
    let id = Hex.text(number)
    open[link.chat.id] = Question(
      id: id, link: link.id, mode: mode, selector: selector, matched: matched,
      expiresAt: time + Self.lifetimeMilliseconds)
    return id
  }

  /// A question of the link; nil if it is not open any more.
  func question(_ id: String, of link: TelegramLink, at time: Timestamp) -> Question? {
    guard let question = open[link.chat.id], question.id == id, question.link == link.id,
      time < question.expiresAt
    else { return nil }
    return question
  }

  /// The question is answered.
  mutating func close(_ id: String, in chat: Int64) {
    if open[chat]?.id == id { open[chat] = nil }
  }

  /// The question was answered, and the answer is read again later.
  mutating func keep(_ id: String, in chat: Int64, at time: Timestamp) {
    guard let question = open[chat], question.id == id, time < question.expiresAt else { return }
    open[chat]?.expiresAt = time + Self.lifetimeMilliseconds
  }
}

/// How many updates of a chat are answered. Further ones are ignored.
struct ChatLimits {
  static let windowMilliseconds: Int64 = 60_000
  /// Updates of a chat in a window.
  static let maximumUpdates = 30
  /// Chats that are counted. While there are more, strangers get no answer.
  static let maximumChats = 10_000

  private var counts: [Int64: (since: Timestamp, count: Int)] = [:]

  mutating func allows(_ chat: Int64, at time: Timestamp) -> Bool {
    if counts.count >= Self.maximumChats, counts[chat] == nil {
      counts = counts.filter { time - $0.value.since < Self.windowMilliseconds }
      guard counts.count < Self.maximumChats else { return false }
    }
    var (since, count) = counts[chat] ?? (time, 0)
    if !(0..<Self.windowMilliseconds ~= time - since) { (since, count) = (time, 0) }
    counts[chat] = (since, count + 1)
    return count < Self.maximumUpdates
  }
}
