public import Endpoints
internal import HTTP
public import Registry

// The owner's operations on linked Telegram chats.

extension API {
  /// Throws `telegramNotConfigured`, `tooManyTelegramLinks`.
  func createTelegramCode(
    _ owner: Owner, _ input: Creating<NoInput>
  ) async throws(RegistryError) -> Created<IssuedTelegramCode> {
    let issued = try await services.idempotency.once(
      input.key, of: owner.clientID, change: owner.change
    ) { (change) async throws(RegistryError) in
      try await services.telegram.createCode(clientID: owner.clientID, change: change)
    } replay: { (id) throws(RegistryError) in
      throw .secretAlreadyShown(.telegramCode, id: id)
    }.value
    return Created(value: issued, location: "/api/v1/telegram/links")
  }

  func listTelegramLinks(_ owner: Owner, _ input: NoInput) async throws(RegistryError) -> Listing<TelegramLink>
  {
    Listing(elements: try await services.telegram.listLinks(clientID: owner.clientID), next: nil)
  }

  /// Throws `telegramLinkNotFound`, `notTelegramLinkOwner`.
  func deleteTelegramLink(_ owner: Owner, _ input: TelegramLinkPath) async throws(RegistryError) -> NoContent {
    try await services.telegram.deleteLink(input.id, owner: owner.clientID, change: owner.change)
    return NoContent()
  }
}

/// The path of a link.
struct TelegramLinkPath: PathInput {
  let id: TelegramLinkID

  static let parameter = PathParameter(
    TelegramLinkID.schema, "The link's id.", notFound: Problem(.telegramLinkNotFound)
  ) { TelegramLinkID($0) }
}

// MARK: Answers

extension IssuedTelegramCode: JSONObject {
  public static var name: String? { "IssuedTelegramCode" }
  public static var isSensitive: Bool { true }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("code", ["description": "Works once. Only this answer has it."]) { $0.code }
    members.add("expires_at") { $0.expiresAt }
    members.add(
      "bot", ["description": "The bot's user name on Telegram; null until the registry knows it."]
    ) { $0.bot }
  }
}

extension TelegramLink: JSONObject {
  public static var name: String? { "TelegramLink" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("user_id", ["description": "The user's id on Telegram."]) { $0.chat.userID }
    members.add("created_at") { $0.createdAt }
    members.add(
      "muted_until", ["description": "Until when the chat gets no messages about devices."]
    ) { $0.mutedUntil }
  }
}
