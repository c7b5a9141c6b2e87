/// Links of Telegram chats: their owner's operations, and those of a user of Telegram. Each event loop has one, with the
/// loop's own store.
public struct TelegramService: Sendable {
  private let store: any RegistryStore
  private let hasher: any PasswordHasher
  private let clock: any Clock
  private let random: any RandomSource
  private let observer: any RegistryObserver
  /// Nil without a bot.
  private let bot: TelegramBotName?

  init(
    store: any RegistryStore, hasher: any PasswordHasher, clock: any Clock, random: any RandomSource,
    observer: any RegistryObserver, bot: TelegramBotName?
  ) {
    self.store = store
    self.hasher = hasher
    self.clock = clock
    self.random = random
    self.observer = observer
    self.bot = bot
  }

  // MARK: The owner's operations

  /// Creates a code that links a chat, in place of the client's code before. Only the result has it. Throws
  /// `telegramNotConfigured`, `tooManyTelegramLinks`, `clientNotFound`.
  public func createCode(clientID: ClientID, change: Change) async throws(RegistryError) -> IssuedTelegramCode {
    guard let bot else { throw .telegramNotConfigured }
    guard try await store.telegramLinks(of: clientID).count < TelegramLink.maximumPerClient else {
      throw .tooManyTelegramLinks(limit: TelegramLink.maximumPerClient)
    }
    let issued = IssuedTelegramCode(
      code: TelegramCode(random: random), expiresAt: change.time + TelegramLink.codeLifetimeSeconds * 1000,
      bot: bot.value)
    try await store.insertTelegramCode(
      issued.code.withCharacters(hasher.hash(ofToken:)), of: clientID, expiresAt: issued.expiresAt,
      change: change)
    return issued
  }

  /// The client's links, oldest first.
  public func listLinks(clientID: ClientID) async throws(RegistryError) -> [TelegramLink] {
    try await store.telegramLinks(of: clientID)
  }

  /// Cuts a chat off. Throws `telegramLinkNotFound`, `notTelegramLinkOwner`.
  public func deleteLink(_ id: TelegramLinkID, owner: ClientID, change: Change) async throws(RegistryError) {
    if try await store.deleteTelegramLink(id, of: owner, change: change) {
      observer.changed(RegistryEvent(.telegramUnlinked, by: change, of: owner))
      return
    }
    guard let link = try await store.telegramLink(id) else { throw .telegramLinkNotFound }
    guard link.clientID == owner else { throw .notTelegramLinkOwner }
    throw .fault(cause: "Telegram link \(id) could be deleted, but was not")
  }

  // MARK: The operations of a user of Telegram

  /// The link of a chat; nil too if another user than the one who linked it writes in it.
  public func link(of chat: TelegramChat) async throws(RegistryError) -> TelegramLink? {
    let link = try await store.telegramLink(ofChat: chat.id)
    return link?.chat == chat ? link : nil
  }

  /// Links a chat with a code. Nil for an unknown, used or expired code, and for a chat that is linked. Throws
  /// `tooManyTelegramLinks`, after which the code still works.
  public func link(_ chat: TelegramChat, with code: TelegramCode) async throws(RegistryError) -> TelegramLink? {
    let change = Change(by: .telegram(chat.userID), at: clock.now())
    let hash = code.withCharacters(hasher.hash(ofToken:))
    guard let client = try await store.client(ofTelegramCode: hash, at: change.time) else { return nil }
    let link = TelegramLink(
      id: TelegramLinkID(at: change.time, random: random), clientID: client, chat: chat,
      createdAt: change.time, mutedUntil: nil, position: try await store.eventsEnd())
    do throws(RegistryError) {
      guard try await store.insertTelegramLink(link, withCode: hash, change: change) else { return nil }
    } catch {
      if error == .clientNotFound { return nil }
      throw error
    }
    observer.changed(RegistryEvent(.telegramLinked, by: change, of: client))
    return link
  }

  /// Stops messages about devices until a time; nil to send them again. False if the link is gone.
  public func mute(_ link: TelegramLink, until time: Timestamp?) async throws(RegistryError) -> Bool {
    try await store.muteTelegramLink(link.id, of: link.clientID, until: time)
  }
}
