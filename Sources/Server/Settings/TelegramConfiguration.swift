internal import Commands
internal import Telegram

/// The settings of the Telegram bot.
public struct TelegramConfiguration: Sendable {
  let token: BotToken
  /// The origin of the Bot API.
  let origin: String

  /// Nil without a token.
  init?(_ arguments: Arguments) throws(UsageError) {
    guard let origin = arguments.value(of: .telegramAPIURL).flatMap({ Origin($0) }) else {
      throw UsageError(.telegramAPIURL, "must be an origin, for example https://api.telegram.org")
    }
    self.origin = origin.description
    guard let path = arguments.value(of: .telegramBotTokenFile) else { return nil }
    let content = try Configuration.readFile(path, for: .telegramBotTokenFile)
    guard let token = BotToken(String(decoding: content.droppingLineEnd, as: UTF8.self)) else {
      throw UsageError(
        .telegramBotTokenFile, "\(path) must have the token that BotFather shows: NUMBER:SECRET, on one line")
    }
    self.token = token
  }
}
