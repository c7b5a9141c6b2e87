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
