import TestSupport
import Testing

@testable import Registry

@Suite("Every store: Telegram chats") struct TelegramContractTests {
  private static let end = noon.plus(seconds: TelegramLink.codeLifetimeSeconds)

  private func link(_ number: UInt64 = 1, of client: ClientID = alice, chat: Int64? = nil) -> TelegramLink {
    TelegramLink(
      id: TelegramLinkID(high: 1, low: number), clientID: client,
      chat: TelegramChat(id: chat ?? Int64(number), userID: 70 + Int64(number)), createdAt: noon,
      mutedUntil: nil, position: EventPosition(epoch: 1, transaction: 2, sequence: 3))
  }

  /// Stores a code for the link's client and uses it at once.
  private func add(_ link: TelegramLink, to store: any RegistryStore) async throws -> Bool {
    let hash = newHash()
    try await store.insertTelegramCode(hash, of: link.clientID, expiresAt: Self.end, change: .at(noon))
    return try await store.insertTelegramLink(link, withCode: hash, change: .at(noon))
  }

  private func types(_ store: any RegistryStore, of client: ClientID = alice) async throws -> [String] {
    try await store.seenEvents(of: client).events.map(\.type)
  }

  @Test(arguments: StoreKind.allCases)
  func `A code links one chat to its client, which is an event that names the link`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      let (hash, link) = (newHash(), link())
      try await store.insertTelegramCode(hash, of: alice, expiresAt: Self.end, change: .at(noon))
      #expect(try await store.client(ofTelegramCode: hash, at: noon) == alice)
      #expect(try await store.client(ofTelegramCode: newHash(), at: noon) == nil)
      let change = Change(by: .telegram(71), at: noon)
      #expect(try await store.insertTelegramLink(link, withCode: hash, change: change))
      #expect(try await store.telegramLink(link.id) == link)
      #expect(try await store.telegramLink(ofChat: link.chat.id) == link)
      #expect(try await store.telegramLinks(of: alice) == [link])
      #expect(try await store.client(ofTelegramCode: hash, at: noon) == nil)
      #expect(try await !store.insertTelegramLink(self.link(2), withCode: hash, change: change))
      let event = try #require(try await store.seenEvents().events.last)
      #expect(event.type == "telegram.linked" && event.actorKind == "owner" && event.actorID == "telegram:71")
      #expect(
        event.changes.map { String(decoding: $0, as: UTF8.self).filter { $0 != " " } }
          == #"{"telegram_link_id":[null,"\#(link.id)"]}"#)
      #expect(try await types(store) == ["client.created", "telegram.linked"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A code that expired, was replaced, or is another client's links nothing`(_ kind: StoreKind) async throws
  {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let (old, new) = (newHash(), newHash())
      for hash in [old, new] {
        try await store.insertTelegramCode(hash, of: alice, expiresAt: Self.end, change: .at(noon))
      }
      #expect(try await store.client(ofTelegramCode: old, at: noon) == nil)
      #expect(try await !store.insertTelegramLink(link(), withCode: old, change: .at(noon)))
      #expect(try await store.client(ofTelegramCode: new, at: Self.end) == nil)
      #expect(try await !store.insertTelegramLink(link(), withCode: new, change: .at(Self.end)))
      #expect(try await !store.insertTelegramLink(link(of: bob), withCode: new, change: .at(noon)))
      #expect(try await store.client(ofTelegramCode: new, at: Self.end.plus(milliseconds: -1)) == alice)
      #expect(try await store.insertTelegramLink(link(), withCode: new, change: .at(noon)))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A chat is linked to one client, and a refused code still works`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      #expect(try await add(link(1, chat: 7), to: store))
      let hash = newHash()
      try await store.insertTelegramCode(hash, of: bob, expiresAt: Self.end, change: .at(noon))
      #expect(try await !store.insertTelegramLink(link(2, of: bob, chat: 7), withCode: hash, change: .at(noon)))
      #expect(try await store.telegramLink(ofChat: 7)?.clientID == alice)
      #expect(try await store.insertTelegramLink(link(2, of: bob, chat: 8), withCode: hash, change: .at(noon)))
      #expect(try await store.telegramLinks(of: bob).map(\.chat.id) == [8])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A client has a bounded number of chats`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let maximum = TelegramLink.maximumPerClient
      for number in 1...UInt64(maximum) { #expect(try await add(link(number), to: store)) }
      let hash = newHash()
      try await store.insertTelegramCode(hash, of: alice, expiresAt: Self.end, change: .at(noon))
      await #expect(throws: RegistryError.tooManyTelegramLinks(limit: maximum)) {
        _ = try await store.insertTelegramLink(link(9), withCode: hash, change: .at(noon))
      }
      #expect(try await store.deleteTelegramLink(link(1).id, of: alice, change: .at(noon)))
      #expect(try await store.insertTelegramLink(link(9), withCode: hash, change: .at(noon)))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Only its owner deletes, mutes and moves a link`(_ kind: StoreKind) async throws {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let id = link().id
      let position = EventPosition(epoch: 4, transaction: 5, sequence: 6)
      #expect(try await add(link(), to: store))
      #expect(try await !store.deleteTelegramLink(id, of: bob, change: .at(noon)))
      #expect(try await !store.muteTelegramLink(id, of: bob, until: Self.end))
      #expect(try await !store.moveTelegramLink(id, of: bob, to: position))
      #expect(try await store.telegramLink(id) == link())
      #expect(try await store.muteTelegramLink(id, of: alice, until: Self.end))
      #expect(try await store.moveTelegramLink(id, of: alice, to: position))
      let changed = try #require(try await store.telegramLink(id))
      #expect(changed.mutedUntil == Self.end && changed.position == position)
      #expect(changed.isMuted(at: noon) && !changed.isMuted(at: Self.end))
      #expect(try await store.muteTelegramLink(id, of: alice, until: nil))
      #expect(try await store.telegramLink(id)?.mutedUntil == nil)
      #expect(try await store.deleteTelegramLink(id, of: alice, change: .at(noon)))
      #expect(try await !store.deleteTelegramLink(id, of: alice, change: .at(noon)))
      #expect(try await types(store) == ["client.created", "telegram.linked", "telegram.unlinked"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Links and codes are deleted with their client, and each link makes an event`(_ kind: StoreKind)
    async throws
  {
    try await withQuietStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      for number: UInt64 in 1...2 { #expect(try await add(link(number), to: store)) }
      #expect(try await add(link(3, of: bob), to: store))
      let hash = newHash()
      try await store.insertTelegramCode(hash, of: alice, expiresAt: Self.end, change: .at(noon))
      #expect(try await store.telegramLinks(after: nil, limit: 2).map(\.id) == [link(1).id, link(2).id])
      #expect(try await store.telegramLinks(after: link(2).id, limit: 2).map(\.id) == [link(3).id])
      _ = try await store.deleteClient(alice)
      // At once, before the rows are deleted.
      #expect(try await store.telegramLink(ofChat: 1) == nil)
      #expect(try await store.client(ofTelegramCode: hash, at: noon) == nil)
      #expect(try await store.telegramLinks(after: nil, limit: 2).map(\.id) == [link(3).id])
      await #expect(throws: RegistryError.clientNotFound) { try await add(link(4), to: store) }
      try await store.clearDeletedClients()
      for number: UInt64 in 1...2 { #expect(try await store.telegramLink(link(number).id) == nil) }
      #expect(try await store.telegramLinks(of: bob).count == 1)
      #expect(
        try await types(store) == [
          "client.created", "telegram.linked", "telegram.linked", "client.deleted", "telegram.unlinked",
          "telegram.unlinked",
        ])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of two processes, one moves on over the updates of a bot`(_ kind: StoreKind) async throws {
    try await withStore(kind) { (store) async throws -> Void in
      #expect(try await store.nextTelegramUpdate(ofBot: 5) == nil)
      #expect(try await store.moveTelegramUpdates(ofBot: 5, from: nil, to: 100))
      #expect(try await !store.moveTelegramUpdates(ofBot: 5, from: nil, to: 101))
      #expect(try await store.moveTelegramUpdates(ofBot: 5, from: 100, to: 101))
      #expect(try await !store.moveTelegramUpdates(ofBot: 5, from: 100, to: 101))
      // After a quiet week, Telegram continues with any number.
      #expect(try await store.moveTelegramUpdates(ofBot: 5, from: 101, to: 7))
      #expect(try await store.nextTelegramUpdate(ofBot: 5) == 7)
      #expect(try await store.nextTelegramUpdate(ofBot: 6) == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Expired codes are deleted in steps`(_ kind: StoreKind) async throws {
    try await withStore(kind) { (store) async throws -> Void in
      for number in 1...5 {
        let client = client("client-\(number)")
        try await store.insertClient(client)
        try await store.insertTelegramCode(
          newHash(), of: client.id, expiresAt: noon.plus(seconds: Int64(number)), change: .at(noon))
      }
      let time = noon.plus(seconds: 4)
      #expect(try await store.removeTelegramCodes(expiredBefore: time, maximumRows: 2) == 2)
      #expect(try await store.removeTelegramCodes(expiredBefore: time, maximumRows: 2) == 1)
      #expect(try await store.removeTelegramCodes(expiredBefore: time, maximumRows: 2) == 0)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A code uses the key of its request`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let key = try #require(IdempotencyKey("key", request: "POST /telegram/link"))
      let change = Change.at(noon).claiming(IdempotencyClaim(clientID: alice, key: key))
      try await store.insertTelegramCode(newHash(), of: alice, expiresAt: Self.end, change: change)
      let (used, _) = try await store.idempotencyKey(key, of: alice, maximum: 10)
      #expect(used == UsedIdempotencyKey(request: "POST /telegram/link", resourceID: "alice"))
      await #expect(throws: RegistryError.idempotencyKeyUsed) {
        try await store.insertTelegramCode(newHash(), of: alice, expiresAt: Self.end, change: change)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The constraints hold for hand-written SQL`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      #expect(try await add(link(), to: store))
      try await store.insertTelegramCode(newHash(), of: alice, expiresAt: Self.end, change: .at(noon))
    }
    let (bytes, early) = kind == .postgres ? ("'\\x00'::bytea", "'1969-12-31T00:00:00Z'") : ("x'00'", "-1")
    for statement in [
      "UPDATE telegram_links SET client_id = 'bob'", "UPDATE telegram_links SET chat_id = 99",
      "UPDATE telegram_links SET user_id = 99", "UPDATE telegram_links SET created_at = \(early)",
      "UPDATE telegram_links SET muted_until = \(early)", "UPDATE telegram_codes SET code_hash = \(bytes)",
      "UPDATE telegram_codes SET expires_at = \(early)",
      "INSERT INTO telegram_links SELECT * FROM telegram_links",
    ] {
      await #expect(throws: SQLRefused.self, "\(statement)") { try await database.sql(statement) }
    }
  }
}
