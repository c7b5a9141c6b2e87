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
    let mode: TradingMode.Mode
    let selector: DeviceSelector
    /// The number of devices in the question.
    let matched: Int
    let expiresAt: Timestamp
  }

  private let random: any RandomSource
  private var open: [Int64: Question] = [:]

  init(random: any RandomSource) { self.random = random }

  /// Opens a question in place of the chat's last one, and returns its id; nil if too many are open.
  mutating func ask(
    _ mode: TradingMode.Mode, _ selector: DeviceSelector, matched: Int, in chat: Int64, at time: Timestamp
  ) -> String? {
    if open.count >= Self.maximum { open = open.filter { time < $0.value.expiresAt } }
    guard open.count < Self.maximum else { return nil }
    var number: UInt64 = 0
    withUnsafeMutableBytes(of: &number) { random.fill($0) }
    let id = Hex.text(number)
    open[chat] = Question(
      id: id, mode: mode, selector: selector, matched: matched, expiresAt: time + Self.lifetimeMilliseconds)
    return id
  }

  /// Closes a chat's question; nil if it is not open any more.
  mutating func take(_ id: String, in chat: Int64, at time: Timestamp) -> Question? {
    guard let question = open[chat], question.id == id else { return nil }
    open[chat] = nil
    return time < question.expiresAt ? question : nil
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
