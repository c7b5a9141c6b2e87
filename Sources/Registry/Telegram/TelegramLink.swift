private import Synchronization

/// A link's id.
public typealias TelegramLinkID = Identifier<TelegramLink>

/// A code that links a Telegram chat.
public typealias TelegramCode = OneTimeCode<TelegramLink>

/// A Telegram chat that sees and halts the devices of a client, and gets messages about them.
public struct TelegramLink: Hashable, Sendable {
  public let id: TelegramLinkID
  public let clientID: ClientID
  public let chat: TelegramChat
  public let createdAt: Timestamp
  /// Until when the chat gets no messages about devices; nil if nobody muted it.
  public let mutedUntil: Timestamp?
  /// The chat was notified of the events up to here in the feed.
  public let position: EventPosition

  public init(
    id: TelegramLinkID, clientID: ClientID, chat: TelegramChat, createdAt: Timestamp, mutedUntil: Timestamp?,
    position: EventPosition
  ) {
    self.id = id
    self.clientID = clientID
    self.chat = chat
    self.createdAt = createdAt
    self.mutedUntil = mutedUntil
    self.position = position
  }

  /// Chats of a client. PostgreSQL has this number in a trigger.
  public static let maximumPerClient = 5
  /// How long a code works, in seconds.
  public static let codeLifetimeSeconds: Int64 = 900

  public func isMuted(at time: Timestamp) -> Bool { mutedUntil.map { time < $0 } ?? false }
}

extension TelegramLink: CodeUse {
  /// 80 bits: a code is typed, and works for a quarter of an hour.
  public static let codeLength = 10
}

/// A private chat of a user with the bot. Telegram assigns both numbers.
public struct TelegramChat: Hashable, Sendable {
  public let id: Int64
  public let userID: Int64

  public init(id: Int64, userID: Int64) {
    self.id = id
    self.userID = userID
  }
}

/// A code and its end. The code cannot be read again.
public struct IssuedTelegramCode: Sendable {
  public let code: TelegramCode
  public let expiresAt: Timestamp
  /// The bot that takes the code; nil while its name is not known.
  public let bot: String?
}

/// The user name of the registry's bot, which Telegram knows. All loops share it.
public final class TelegramBotName: Sendable {
  private let text = Mutex<String?>(nil)

  public init() {}

  /// Nil while it is not known.
  public var value: String? {
    get { text.withLock { $0 } }
    set { text.withLock { $0 = newValue } }
  }
}
