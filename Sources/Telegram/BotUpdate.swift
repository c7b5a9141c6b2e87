internal import Encoding
internal import JSON
internal import Registry

/// What happened in a chat with the bot ("Update").
struct BotUpdate: Hashable, Sendable {
  let id: Int64
  let content: Content

  enum Content: Hashable, Sendable {
    case message(TelegramChat, text: String)
    /// Somebody pressed a button below a message of the bot.
    case press(id: String, TelegramChat, messageID: Int64, data: String)
    /// What the bot does not react to, such as messages in groups.
    case other
  }

  /// Nil without an id.
  init?(_ json: ParsedJSON) {
    guard let id = json["update_id"]?.wholeNumber else { return nil }
    self.id = id
    content = Self.message(json["message"]) ?? Self.press(json["callback_query"]) ?? .other
  }

  /// An update that cannot be read.
  init(passedOver id: Int64) {
    self.id = id
    content = .other
  }

  /// The id of the first update in an answer. No text of a user has the name in quotes: a quote in a text is escaped.
  static func firstID(in answer: [UInt8]) -> Int64? {
    let name = Array(#""update_id":"#.utf8)
    guard let place = answer.firstRange(of: name) else { return nil }
    let digits = answer[place.upperBound...].drop(while: \.isJSONWhiteSpace).prefix(while: \.isDigit)
    return DecimalText.read(digits).flatMap { Int64(exactly: $0) }
  }

  private static func message(_ message: ParsedJSON?) -> Content? {
    guard let message, let text = message["text"]?.text,
      let chat = privateChat(message["chat"], of: message["from"])
    else { return nil }
    return .message(chat, text: text)
  }

  private static func press(_ press: ParsedJSON?) -> Content? {
    guard let press, let id = press["id"]?.text, let data = press["data"]?.text,
      let message = press["message"], let messageID = message["message_id"]?.wholeNumber,
      let chat = privateChat(message["chat"], of: press["from"])
    else { return nil }
    return .press(id: id, chat, messageID: messageID, data: data)
  }

  /// In a group, everyone could halt the devices.
  private static func privateChat(_ chat: ParsedJSON?, of user: ParsedJSON?) -> TelegramChat? {
    guard chat?["type"]?.text == "private", let id = chat?["id"]?.wholeNumber,
      let userID = user?["id"]?.wholeNumber
    else { return nil }
    return TelegramChat(id: id, userID: userID)
  }
}
