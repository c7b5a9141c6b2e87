/// Stores which Telegram chats are linked to which clients, and how far the bot is.
public protocol TelegramStore: Sendable {
  /// Stores the hash of a client's code, in place of its code before. Throws `clientNotFound`.
  func insertTelegramCode(
    _ hash: TokenHash, of client: ClientID, expiresAt: Timestamp, change: Change
  ) async throws(RegistryError)

  /// The client whose code has the hash and works at the time.
  func client(ofTelegramCode hash: TokenHash, at time: Timestamp) async throws(RegistryError) -> ClientID?

  /// Uses a code of the client to link a chat. False, without effect, if the code does not work at the change's time, or if
  /// the chat is linked. Throws `clientNotFound`, and `tooManyTelegramLinks`: then the code still works.
  func insertTelegramLink(
    _ link: TelegramLink, withCode hash: TokenHash, change: Change
  ) async throws(RegistryError) -> Bool

  func telegramLink(_ id: TelegramLinkID) async throws(RegistryError) -> TelegramLink?

  /// The link of a chat, unless its client is deleted.
  func telegramLink(ofChat id: Int64) async throws(RegistryError) -> TelegramLink?

  /// The client's links, oldest first; their number is bounded.
  func telegramLinks(of client: ClientID) async throws(RegistryError) -> [TelegramLink]

  /// False if the owner has no such link.
  func deleteTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool

  /// False if the owner has no such link.
  ///
  /// - Parameter time: nil to end the silence.
  func muteTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, until time: Timestamp?
  ) async throws(RegistryError) -> Bool

  // MARK: The bot

  /// Notes that the chat was notified of the feed's events up to a position. False if the owner has no such link.
  func moveTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, to position: EventPosition
  ) async throws(RegistryError) -> Bool

  /// Links by id, at most `limit`, without those of deleted clients.
  func telegramLinks(after id: TelegramLinkID?, limit: Int) async throws(RegistryError) -> [TelegramLink]

  /// The first update of the bot that is not processed; nil for a new bot.
  ///
  /// - Parameter bot: the bot's user id.
  func nextTelegramUpdate(ofBot bot: Int64) async throws(RegistryError) -> Int64?

  /// Notes that the bot's updates before `next` are processed. False, without effect, if another process noted something
  /// since `previous` was read.
  func moveTelegramUpdates(
    ofBot bot: Int64, from previous: Int64?, to next: Int64
  ) async throws(RegistryError) -> Bool

  // MARK: Retention

  /// Deletes codes that expired before a time, and returns how many, at most `maximumRows`.
  func removeTelegramCodes(expiredBefore time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int
}
