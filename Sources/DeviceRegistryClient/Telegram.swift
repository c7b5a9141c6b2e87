public import Foundation

/// A code that links a Telegram chat: send `/start CODE` to the registry's bot.
public struct TelegramCode: Decodable, Hashable, Sendable {
  /// Works once. Only this value contains it.
  public let code: String
  public let expiresAt: Date
  /// The bot's user name on Telegram; nil while the registry does not know it.
  public let bot: String?

  enum CodingKeys: String, CodingKey {
    case code, bot
    case expiresAt = "expires_at"
  }
}

extension TelegramCode: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "code <redacted>" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["expiresAt": expiresAt]) }
}

/// A Telegram chat that sees and halts the owner's devices.
public struct TelegramLink: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  /// The user's id on Telegram.
  public let userID: Int64
  public let createdAt: Date
  /// Until when the chat gets no messages about devices; nil if nobody muted it.
  public let mutedUntil: Date?

  enum CodingKeys: String, CodingKey {
    case id
    case userID = "user_id"
    case createdAt = "created_at"
    case mutedUntil = "muted_until"
  }
}

extension OwnerClient {
  /// Creates a code that links a Telegram chat, in place of the owner's code before. Throws a `problem` of kind
  /// `telegram-not-configured` or `too-many-telegram-links`.
  public func createTelegramCode(
    idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> TelegramCode {
    try await perform(
      OwnerRequest("POST", "/api/v1/telegram/link", isCreating: true), idempotencyKey: idempotencyKey)
  }

  /// The owner's linked chats, oldest first.
  public func listTelegramLinks() async throws(RegistryClientError) -> [TelegramLink] {
    try await Pages<TelegramLink>(exchange: exchange, target: telegramLinksPath).all()
  }

  /// Cuts a chat off. Throws a `problem` with 404 if there is no such link, or 403 if it is another owner's.
  public func deleteTelegramLink(_ id: String) async throws(RegistryClientError) {
    try await perform(OwnerRequest<Void>("DELETE", "\(telegramLinksPath)/\(try String.pathID(id))"))
  }
}

private let telegramLinksPath = "/api/v1/telegram/links"
