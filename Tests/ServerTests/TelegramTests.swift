import DeviceRegistryClient
import Foundation
import TestSupport
import Testing

/// A service with a bot, and a Bot API server for it.
struct Bot: Sendable {
  let registry: TestRegistry
  let telegram: TelegramServer

  static func with(
    _ kind: DatabaseKind, settings: [String: String] = [:], log: LogFile? = nil,
    _ body: (Bot) async throws -> Void
  ) async throws {
    try await TelegramServer.with { telegram in
      try await with(await TestDatabase(forEvents: kind), telegram, settings: settings, log: log, body)
    }
  }

  static func with(
    _ database: TestDatabase, _ telegram: TelegramServer, token: String = TelegramServer.token,
    settings: [String: String] = [:], log: LogFile? = nil, _ body: (Bot) async throws -> Void
  ) async throws {
    let file = database.directory.path + "/bot-token"
    try Data((token + "\n").utf8).write(to: URL(filePath: file))
    let all = ["TELEGRAM_BOT_TOKEN_FILE": file, "TELEGRAM_API_URL": telegram.url].merging(settings) { $1 }
    try await TestRegistry.with(database, settings: all, log: log) { registry in
      try await body(Bot(registry: registry, telegram: telegram))
    }
  }

  func code(of owner: TestOwner) async throws -> String {
    let answer = try await registry.ask("POST", "/api/v1/telegram/link", as: owner)
    try #require(answer.status == 201, "\(answer.text)")
    return try #require(try answer.string("code"))
  }

  /// A new owner with a linked chat.
  func linkedOwner(_ user: Int) async throws -> TestOwner {
    let owner = try await registry.newOwner()
    let answer = try await say("/start \(try await code(of: owner))", user)
    try #require(answer.text.hasPrefix("Linked."), "\(answer.text)")
    return owner
  }

  /// Waits for the chat's message after the first `count`.
  func message(_ count: Int, in chat: Int) async throws -> TelegramServer.Message {
    try await registry.until("message \(count + 1) arrives in \(chat)") {
      telegram.messages(in: chat).count > count
    }
    return telegram.messages(in: chat)[count]
  }

  /// Writes to the bot, and returns its answer.
  @discardableResult
  func say(_ text: String, _ user: Int) async throws -> TelegramServer.Message {
    let count = telegram.messages(in: user).count
    telegram.write(text, from: user)
    return try await message(count, in: user)
  }

  /// Presses a button, and returns the message that it changed.
  @discardableResult
  func press(_ label: String, on message: TelegramServer.Message) async throws -> TelegramServer.Message {
    try await press(data: try #require(message.data(of: label), "\(message.buttons)"), on: message)
  }

  func press(data: String, on message: TelegramServer.Message) async throws -> TelegramServer.Message {
    telegram.press(data, on: message)
    var changed = message
    try await registry.until("the message changes") {
      changed = telegram.messages(in: message.chat).first { $0.id == message.id } ?? message
      return changed.html != message.html || changed.buttons != message.buttons
    }
    return changed
  }

  func devices(_ owner: TestOwner, _ names: String...) async throws -> [String] {
    var ids: [String] = []
    for name in names {
      ids.append(try #require(try await registry.newDevice(of: owner, name)["id"] as? String))
    }
    return ids
  }

  func mode(_ id: String, of owner: TestOwner) async throws -> String? {
    let device = try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner).object()
    return (device["trading_mode"] as? [String: Any])?["mode"] as? String
  }

  func revoke(_ id: String, of owner: TestOwner) async throws {
    #expect(try await registry.ask("POST", "/api/v1/devices/\(id)/revoke", as: owner).status == 204)
  }
}

@Suite("The Telegram bot", .timeLimit(.minutes(5))) struct TelegramTests {
  // MARK: Links

  @Test(arguments: DatabaseKind.allCases)
  func `A code links one chat, which the owner sees and cuts off`(_ kind: DatabaseKind) async throws {
    try await Bot.with(kind) { bot in
      let owner = try await bot.registry.newOwner()
      let code = try await bot.code(of: owner)
      #expect(code.wholeMatch(of: /([A-Z2-7]{4}-){3}[A-Z2-7]{4}/) != nil, "\(code)")
      #expect(try await bot.say("/devices", 1).text.hasPrefix("This chat is not linked."))
      #expect(try await bot.say("/start \(code.lowercased())", 1).text.hasPrefix("Linked."))
      #expect(try await bot.say("/start \(code)", 2).text.contains("unknown, was used, or has expired"))
      #expect(try await bot.say("/start \(code)", 1).text.contains("linked already"))

      let links = try await bot.registry.ask("GET", "/api/v1/telegram/links", as: owner).array()
      #expect(links.count == 1 && links[0]["user_id"] as? Int == 1 && links[0]["muted_until"] is NSNull)
      let id = try #require(links[0]["id"] as? String)
      let events = try await bot.registry.feed(of: owner, count: 2).events
      let actor = events[1]["actor"] as? [String: Any]
      #expect(events[1]["type"] as? String == "telegram.linked")
      #expect(actor?["kind"] as? String == "owner" && actor?["id"] as? String == "telegram:1")

      let other = try await bot.registry.newOwner()
      let path = "/api/v1/telegram/links/\(id)"
      #expect(try await bot.registry.ask("DELETE", path, as: other).status == 403)
      #expect(try await bot.registry.ask("DELETE", path, as: owner).status == 204)
      #expect(try await bot.registry.ask("DELETE", path, as: owner).status == 404)
      #expect(try await bot.say("/devices", 1).text.hasPrefix("This chat is not linked."))
      let settings = try await bot.registry.client.send("GET", "/console/config.json")
      #expect(settings.text.contains("telegram"))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A code that is wrong, replaced or expired links nothing, and one is shown once`(_ kind: DatabaseKind)
    async throws
  {
    try await Bot.with(kind) { bot in
      let owner = try await bot.registry.newOwner()
      let refused = "unknown, was used, or has expired"
      let old = try await bot.code(of: owner)
      let new = try await bot.code(of: owner)
      for wrong in ["x", "AAAA-AAAA-AAAA-AAAA", old] {
        #expect(try await bot.say("/start \(wrong)", 1).text.contains(refused), "\(wrong)")
      }
      bot.registry.clock.advance(seconds: 901)
      #expect(try await bot.say("/start \(new)", 1).text.contains(refused))
      let key = [("Idempotency-Key", "once")]
      let first = try await bot.registry.ask(
        "POST", "/api/v1/telegram/link", token: owner.token, fields: key)
      let again = try await bot.registry.ask(
        "POST", "/api/v1/telegram/link", token: owner.token, fields: key)
      #expect(first.status == 201 && again.status == 409)
      #expect(try TestRegistry.kind(again) == "secret-already-shown")
      #expect(
        try await bot.say("/start \(try #require(try first.string("code")))", 1).text.hasPrefix("Linked."))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Five chats are linked at most, and /unlink makes room`(_ kind: DatabaseKind) async throws {
    try await Bot.with(kind) { bot in
      let owner = try await bot.linkedOwner(1)
      for user in 2...5 { try await bot.say("/start \(try await bot.code(of: owner))", user) }
      let full = try await bot.registry.ask("POST", "/api/v1/telegram/link", as: owner)
      #expect(try TestRegistry.kind(full) == "too-many-telegram-links")
      #expect(try await bot.say("/unlink", 3).text.contains("not linked any more"))
      #expect(try await bot.say("/start \(try await bot.code(of: owner))", 6).text.hasPrefix("Linked."))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Two owners never see each other, and nobody commands in a group or in another's chat`(
    _ kind: DatabaseKind
  ) async throws {
    try await Bot.with(kind) { bot in
      let (alice, bob) = (try await bot.linkedOwner(1), try await bot.linkedOwner(2))
      let hers = try await bot.devices(alice, "Alice-EA")
      let his = try await bot.devices(bob, "Bob-EA")
      let list = try await bot.say("/devices", 1)
      #expect(list.text.contains("Alice-EA") && !list.text.contains("Bob-EA"))
      #expect(try await bot.say("/device Bob-EA", 1).text.contains("no device of this name"))
      #expect(try await bot.press(data: "show:\(his[0])", on: list).text.contains("no such device"))
      let question = try await bot.say("/halt", 1)
      #expect(question.text.hasPrefix("Halt 1 device?"))
      // Bob learned the question's id.
      let other = try await bot.say("/devices", 2)
      let taken = try await bot.press(data: try #require(question.data(of: "Yes")), on: other)
      #expect(taken.text.contains("no longer open"))
      // In a group, and in her chat, others have no say.
      let count = bot.telegram.messages(in: 1).count
      bot.telegram.write("/halt", from: 1, inGroup: -100)
      bot.telegram.press(try #require(question.data(of: "Yes")), on: question, by: 2)
      let answer = try await bot.message(count, in: 1)
      #expect(answer.text.hasPrefix("This chat is not linked."))
      #expect(bot.telegram.messages(in: -100).isEmpty)
      #expect(try await bot.mode(hers[0], of: alice) == "normal")
      #expect(try await bot.press("Yes", on: question).text == "Halted 1 device.")
      #expect(try await bot.mode(hers[0], of: alice) == "halted")
      #expect(try await bot.mode(his[0], of: bob) == "normal")
    }
  }

  // MARK: Commands

  @Test(arguments: DatabaseKind.allCases)
  func `Devices are listed in pages, and shown`(_ kind: DatabaseKind) async throws {
    try await Bot.with(kind) { bot in
      let owner = try await bot.linkedOwner(1)
      #expect(try await bot.say("/devices", 1).text == "You have no devices.")
      for number in 10...22 { _ = try await bot.devices(owner, "EA-\(number)") }
      let gone = try await bot.devices(owner, "Gone")
      try await bot.revoke(gone[0], of: owner)
      #expect(try await bot.message(2, in: 1).text == "⚪ Gone was revoked")
      let first = try await bot.say("/devices@registry_bot", 1)
      #expect(first.text.split(separator: "\n").count == 10 && first.text.contains("EA-19"))
      #expect(first.text.hasPrefix("🔴 EA-10 normal"))
      let second = try await bot.press("Next", on: first)
      #expect(second.text.split(separator: "\n").count == 3 && !second.text.contains("Gone"))
      #expect(second.isEdited && second.data(of: "Next") == nil)
      #expect(try await bot.press("First", on: second).text == first.text)
      let device = try await bot.press("EA-12", on: first)
      #expect(device.text.contains("Status: active, offline") && device.text.contains("Last seen: never"))
      #expect(try await bot.say("/device EA-11", 1).text.hasPrefix("🔴 EA-11"))
      #expect(try await bot.say("/device ea-2", 1).buttons.count == 3)
      #expect(try await bot.say("/device a-22", 1).text.hasPrefix("🔴 EA-22"))
      #expect(try await bot.say("/device nothing", 1).text.contains("no device of this name"))
      #expect(try await bot.say("/what", 1).text.contains("/devices lists your devices"))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Devices are halted and resumed after a question that says how many they are`(_ kind: DatabaseKind)
    async throws
  {
    try await Bot.with(kind) { bot in
      let owner = try await bot.linkedOwner(1)
      #expect(try await bot.say("/halt", 1).text == "There is no device.")
      let ids = try await bot.devices(owner, "One", "Two", "Three")
      _ = try await bot.registry.ask("PUT", "/api/v1/groups/desk", as: owner)
      _ = try await bot.registry.ask("PUT", "/api/v1/groups/desk/devices/\(ids[0])", as: owner)
      #expect(try await bot.say("/halt nothing", 1).text == "You have no group of this name.")
      let desk = try await bot.say("/halt desk", 1)
      #expect(desk.text == "Halt 1 device of the group desk?")
      #expect(try await bot.press("Yes", on: desk).text == "Halted 1 device.")
      let all = try await bot.say("/halt", 1)
      #expect(all.text == "Halt 3 devices? 1 of them is halted already.")
      #expect(try await bot.press("No", on: all).text == "Nothing was done.")
      #expect(try await bot.mode(ids[1], of: owner) == "normal")
      // The number is the truth: with another device, nothing happens.
      let stale = try await bot.say("/halt", 1)
      _ = try await bot.devices(owner, "Four")
      #expect(try await bot.press("Yes", on: stale).text.contains("there are 4 devices now"))
      #expect(try await bot.mode(ids[1], of: owner) == "normal")
      let late = try await bot.say("/halt", 1)
      bot.registry.clock.advance(seconds: 121)
      #expect(try await bot.press("Yes", on: late).text.contains("no longer open"))
      #expect(
        try await bot.press("Yes", on: bot.say("/halt", 1)).text.hasPrefix("Halted 3 devices. 1 device had"))
      for id in ids { #expect(try await bot.mode(id, of: owner) == "halted") }
      // One device, from its message.
      let device = try await bot.say("/device Two", 1)
      let resume = try await bot.press("Resume", on: device)
      #expect(resume.text == "Resume 1 device: Two?")
      #expect(try await bot.press("Yes", on: resume).text == "Resumed 1 device.")
      #expect(try await bot.press("Yes", on: bot.say("/resume", 1)).text.hasPrefix("Resumed 3 devices."))
      let changed = try await bot.registry.feed(of: owner, "types=device.mode_changed", count: 8).events
      #expect(changed.allSatisfy { ($0["actor"] as? [String: Any])?["id"] as? String == "telegram:1" })
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Hostile names are shown as they are`(_ kind: DatabaseKind) async throws {
    try await Bot.with(kind) { bot in
      let owner = try await bot.linkedOwner(1)
      let names = [
        "<img src=x onerror=alert(1)>", "</code><b>&amp;", "/resume @all", String(repeating: "🦄", count: 100),
        "שלום (עולם)", String(repeating: "&", count: 100),
      ]
      for name in names { _ = try await bot.devices(owner, name) }
      let list = try await bot.say("/devices", 1)
      for name in names {
        #expect(list.text.contains(name), "\(name)")
        #expect(try await bot.say("/device \(name)", 1).text.contains(name), "\(name)")
      }
      #expect(list.html.contains("\u{2068}<code>/resume @all</code>\u{2069}"))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The chats of a suspended client can only be unlinked`(_ kind: DatabaseKind) async throws {
    try await Bot.with(kind) { bot in
      let owner = try await bot.linkedOwner(1)
      let path = "/api/v1/clients/\(owner.id)/suspend"
      #expect(try await bot.registry.ask("POST", path, token: TestRegistry.administrator).status == 200)
      #expect(try await bot.say("/devices", 1).text.hasPrefix("Your account is suspended."))
      #expect(try await bot.say("/unlink", 1).text.contains("not linked any more"))
    }
  }

  // MARK: Messages about devices

  @Test(arguments: DatabaseKind.allCases)
  func `A chat gets messages about its owner's devices, unless it is muted`(_ kind: DatabaseKind)
    async throws
  {
    try await Bot.with(kind) { bot in
      let owner = try await bot.linkedOwner(1)
      _ = try await bot.linkedOwner(2)
      try await bot.say("/start \(try await bot.code(of: owner))", 3)
      let ids = try await bot.devices(owner, "One", "Two", "Three", "Four")
      try await bot.revoke(ids[0], of: owner)
      for user in [1, 3] { #expect(try await bot.message(1, in: user).text == "⚪ One was revoked") }
      #expect(try await bot.say("/mute 9x", 1).text.contains("up to 30 days"))
      #expect(try await bot.say("/mute 8h", 1).text.hasPrefix("No messages about devices until 2"))
      bot.registry.clock.advance(seconds: 16)
      try await bot.revoke(ids[1], of: owner)
      // Chats are served in the order in which they were linked.
      #expect(try await bot.message(2, in: 3).text == "⚪ Two was revoked")
      #expect(try await bot.say("/unmute", 1).text.contains("are on"))
      bot.registry.clock.advance(seconds: 16)
      let selected: [String: Any] = ["action": "revoke", "select": ["device_ids": [ids[2], ids[3]]]]
      #expect(
        try await bot.registry.ask("POST", "/api/v1/devices/bulk", as: owner, json: selected).status == 200)
      let merged = try await bot.message(5, in: 1).text
      #expect(merged.contains("Three was revoked") && merged.contains("Four was revoked"), "\(merged)")
      #expect(bot.telegram.messages(in: 1).allSatisfy { !$0.text.contains("Two was") })
      #expect(bot.telegram.messages(in: 2).count == 1)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A terminal that comes online and goes silent makes a message each time`(_ kind: DatabaseKind)
    async throws
  {
    try await Bot.with(kind, settings: ["OFFLINE_AFTER_SECONDS": "1"]) { bot in
      let owner = try await bot.linkedOwner(1)
      let device = try await bot.registry.newSignedDevice(of: owner)
      #expect(try await bot.registry.poll(device).status == 200)
      #expect(try await bot.message(1, in: 1).text.hasSuffix("is online"))
      bot.registry.clock.advance(seconds: 16)
      #expect(try await bot.message(2, in: 1).text.hasSuffix("is offline"))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A user who blocks the bot is unlinked`(_ kind: DatabaseKind) async throws {
    try await Bot.with(kind) { bot in
      let owner = try await bot.linkedOwner(1)
      let ids = try await bot.devices(owner, "One")
      bot.telegram.block(1)
      try await bot.revoke(ids[0], of: owner)
      try await bot.registry.until("the chat is unlinked") {
        try await bot.registry.ask("GET", "/api/v1/telegram/links", as: owner).array().isEmpty
      }
      let events = try await bot.registry.feed(of: owner, "types=telegram.*", count: 2).events
      #expect(events.last?["type"] as? String == "telegram.unlinked")
      #expect(events.last?["reason"] as? String == "the user blocked the bot")
    }
  }

  // MARK: Telegram

  @Test(arguments: DatabaseKind.allCases)
  func `A wait that Telegram asks for is obeyed, and a message without an answer is sent again`(
    _ kind: DatabaseKind
  ) async throws {
    try await Bot.with(kind) { bot in
      _ = try await bot.linkedOwner(1)
      bot.telegram.refuseMessages(retryAfterSeconds: 1)
      #expect(try await bot.say("/help", 1).text.contains("/halt"))
      #expect(bot.telegram.refusals.all == 1 && bot.telegram.refusals.early == 0)
      bot.telegram.failMessages(1)
      #expect(try await bot.say("/devices", 1).text == "You have no devices.")
      #expect(bot.telegram.messages(in: 1).count == 3)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `While Telegram wants no messages, a chat may still be muted`(_ kind: DatabaseKind) async throws {
    try await Bot.with(kind) { bot in
      let owner = try await bot.linkedOwner(1)
      try await bot.say("/start \(try await bot.code(of: owner))", 3)
      let ids = try await bot.devices(owner, "One", "Two")
      bot.telegram.refuseMessages(retryAfterSeconds: 2)
      try await bot.revoke(ids[0], of: owner)
      try await bot.registry.until("a message is refused") { bot.telegram.refusals.all == 1 }
      #expect(try await bot.say("/mute 8h", 1).text.hasPrefix("No messages about devices"))
      bot.registry.clock.advance(seconds: 16)
      #expect(try await bot.message(1, in: 3).text == "⚪ One was revoked")
      #expect(try await bot.say("/unmute", 1).text.contains("are on"))
      bot.registry.clock.advance(seconds: 16)
      try await bot.revoke(ids[1], of: owner)
      #expect(try await bot.message(3, in: 1).text == "⚪ Two was revoked")
      #expect(bot.telegram.refusals.all == 1)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A question is not open any more when its chat is linked to another client`(_ kind: DatabaseKind)
    async throws
  {
    try await Bot.with(kind) { bot in
      let (alice, bob) = (try await bot.linkedOwner(1), try await bot.registry.newOwner())
      _ = try await bot.devices(alice, "Alice-EA")
      let his = try await bot.devices(bob, "Bob-EA")
      let question = try await bot.say("/halt", 1)
      try await bot.say("/unlink", 1)
      #expect(try await bot.say("/start \(try await bot.code(of: bob))", 1).text.hasPrefix("Linked."))
      #expect(try await bot.press("Yes", on: question).text.contains("no longer open"))
      #expect(try await bot.mode(his[0], of: bob) == "normal")
    }
  }

  @Test func `A confirmed halt is carried out when the database answers again`() async throws {
    let log = LogFile()
    let database = await TestDatabase(forEvents: .postgres)
    try await TelegramServer.with { telegram in
      try await Bot.with(database, telegram, log: log) { bot in
        let owner = try await bot.linkedOwner(1)
        let ids = try await bot.devices(owner, "One")
        let question = try await bot.say("/halt", 1)
        let blocker = await PostgresLockTaker(database.url)
        try await blocker.run("BEGIN")
        try await blocker.run("LOCK TABLE devices IN EXCLUSIVE MODE")
        telegram.press(try #require(question.data(of: "Yes")), on: question)
        try await bot.registry.until("the change fails") {
          try log.text.contains("telegram bot waits for the database")
        }
        try await blocker.run("ROLLBACK")
        try await bot.registry.until("the answer arrives") {
          telegram.messages(in: 1).contains { $0.text == "Halted 1 device." }
        }
        #expect(try await bot.mode(ids[0], of: owner) == "halted")
        #expect(telegram.messages(in: 1).count == 2)
      }
    }
  }

  @Test func `A second press that changes nothing is no failure`() async throws {
    let log = LogFile()
    try await Bot.with(.sqlite, log: log) { bot in
      let owner = try await bot.linkedOwner(1)
      for number in 1...11 { _ = try await bot.devices(owner, "EA-\(number)") }
      let list = try await bot.say("/devices", 1)
      let next = try #require(list.data(of: "Next"))
      _ = try await bot.press(data: next, on: list)
      bot.telegram.press(next, on: list)
      try await bot.registry.until("Telegram refuses the edit") { bot.telegram.unchangedEdits > 0 }
      #expect(try await bot.say("/help", 1).text.contains("/halt"))
    }
    let text = try log.text
    #expect(!text.contains("telegram message not sent"))
  }

  @Test func `An update that cannot be read does not stop the bot`() async throws {
    try await Bot.with(.sqlite) { bot in
      _ = try await bot.linkedOwner(1)
      bot.telegram.write("/help", from: 1)
      bot.telegram.write("/help \u{0}", from: 1)
      let answer = try await bot.say("/devices", 1)
      #expect(answer.text.contains("/halt"))
      #expect(try await bot.message(2, in: 1).text == "You have no devices.")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The client library creates a code, and lists and deletes links`(_ kind: DatabaseKind) async throws {
    try await Bot.with(kind) { bot in
      let owner = try await bot.registry.newOwner()
      let client = try OwnerClient(url: "http://127.0.0.1:\(bot.registry.client.port)", token: owner.token)
      try await bot.registry.until("the bot's name is known") {
        try await client.createTelegramCode().bot == TelegramServer.name
      }
      let code = try await client.createTelegramCode()
      #expect("\(code)" == "code <redacted>" && code.expiresAt > Date())
      _ = try await bot.say("/start \(code.code)", 7)
      _ = try await bot.say("/mute 30m", 7)
      let links = try await client.listTelegramLinks()
      #expect(links.map(\.userID) == [7] && links.first?.mutedUntil != nil)
      try await client.deleteTelegramLink(try #require(links.first?.id))
      #expect(try await client.listTelegramLinks().isEmpty)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A restart neither loses an update nor answers one twice`(_ kind: DatabaseKind) async throws {
    try await TelegramServer.with { telegram in
      let database = await TestDatabase(forEvents: kind)
      var owner: TestOwner?
      var stopped = ContinuousClock.now
      try await Bot.with(database, telegram) { bot in
        owner = try await bot.linkedOwner(1)
        for number in 1...2 { telegram.write("/device \(number)", from: 1) }
        _ = try await bot.message(2, in: 1)
        telegram.holdMessages(true)
        for number in 3...5 { telegram.write("/device \(number)", from: 1) }
        try await bot.registry.until("an answer is on its way") { telegram.heldMessages > 0 }
        stopped = .now
      }
      // A server that does not answer delays a stop by less than a call may take.
      #expect(ContinuousClock.now - stopped < .seconds(stretched(8)))
      #expect(telegram.messages(in: 1).count == 3)
      telegram.holdMessages(false)
      for number in 6...8 { telegram.write("/device \(number)", from: 1) }
      try await Bot.with(database, telegram) { bot in
        _ = try await bot.message(8, in: 1)
        let ids = try await bot.devices(try #require(owner), "One")
        telegram.holdMessages(true)
        try await bot.revoke(ids[0], of: try #require(owner))
        try await bot.registry.until("a message is on its way") { telegram.heldMessages > 0 }
      }
      telegram.holdMessages(false)
      try await Bot.with(database, telegram) { bot in
        let message = try await bot.message(9, in: 1)
        #expect(message.text == "⚪ One was revoked")
      }
      // What was sent is not sent again.
      try await Bot.with(database, telegram) { bot in
        let help = try await bot.say("/help", 1)
        #expect(help.text.contains("/halt"))
      }
      #expect(telegram.messages(in: 1).count == 11)
      #expect(telegram.conflicts == 0)
    }
  }

  @Test func `Of two processes one serves the bot, and the other one takes over`() async throws {
    try await RedisServer.with { redis in
      try await TelegramServer.with { telegram in
        let database = await TestDatabase(forEvents: .postgres)
        let settings = ["REPLAY_STORE": "redis://127.0.0.1:\(redis.port)/0"]
        let (end, ending) = AsyncStream.makeStream(of: Void.self)
        let first = Task {
          try await Bot.with(database, telegram, settings: settings) { _ in for await _ in end {} }
        }
        try await wait { telegram.polls > 0 }
        try await Bot.with(database, telegram, settings: settings) { second in
          // The code is created by one process and used at the other.
          let owner = try await second.linkedOwner(1)
          ending.finish()
          try await first.value
          let ids = try await second.devices(owner, "One")
          #expect(try await second.press("Yes", on: second.say("/halt", 1)).text == "Halted 1 device.")
          try await second.revoke(ids[0], of: owner)
          #expect(try await second.message(2, in: 1).text == "⚪ One was revoked")
        }
        #expect(telegram.messages(in: 1).count == 3 && telegram.conflicts == 0)
      }
    }
  }

  @Test func `A second poller is logged once, in a sentence`() async throws {
    let log = LogFile()
    try await TelegramServer.with { telegram in
      telegram.conflict(true)
      try await Bot.with(await TestDatabase(.sqlite), telegram, settings: ["LOG_LEVEL": "debug"], log: log) {
        bot in
        try await bot.registry.until("the bot polls") { telegram.conflicts > 0 }
        try await bot.registry.until("it is logged") { try log.text.contains("another program fetches") }
      }
    }
    #expect(try log.text.split(separator: "\n").filter { $0.contains("another program fetches") }.count == 1)
  }

  /// What makes the service log the cause of a failure.
  enum Trouble: String, CaseIterable {
    case failingMessages, refusedToken, noServer

    var logged: String {
      switch self {
      case .failingMessages: "telegram message not sent"
      case .refusedToken: "knows no bot with this token"
      case .noServer: "telegram updates not fetched"
      }
    }
  }

  @Test(arguments: Trouble.allCases)
  func `The token reaches no log and no metric`(_ trouble: Trouble) async throws {
    let log = LogFile()
    var settings = ["LOG_LEVEL": "debug"]
    if trouble == .noServer { settings["TELEGRAM_API_URL"] = "http://127.0.0.1:1" }
    let secret =
      trouble == .refusedToken ? String(TelegramServer.secret.reversed()) : TelegramServer.secret
    let token = "\(TelegramServer.botID):\(secret)"
    try await TelegramServer.with { telegram in
      let database = await TestDatabase(.sqlite)
      try await Bot.with(database, telegram, token: token, settings: settings, log: log) { bot in
        if trouble == .failingMessages {
          _ = try await bot.linkedOwner(1)
          telegram.failMessages(Int.max)
          telegram.write("/help", from: 1)
        }
        try await bot.registry.until("it is logged") { try log.text.contains(trouble.logged) }
        let metrics = try await bot.registry.askAdmin("GET", "/metrics").text
        #expect(!metrics.contains(secret))
      }
    }
    let text = try log.text
    #expect(!text.contains(secret) && !text.contains("/bot\(TelegramServer.botID)"))
  }
}
