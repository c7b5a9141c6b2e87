internal import Registry

/// What the bot answers to updates: commands, and buttons below its messages.
struct Conversations {
  /// What the bot sends in answer to an update.
  enum Reply: Hashable, Sendable {
    case message(BotMessage)
    /// Replaces the message below which a button was pressed.
    case edit(BotMessage)
  }

  /// Devices of a page.
  static let devicesPerPage = 10
  /// Reads of a page: where few devices are shown, many are read.
  static let maximumReads = 20
  /// Characters of a text that may be a command.
  static let maximumTextLength = 300
  static let defaultMute = "8h"
  static let maximumMuteMilliseconds: Int64 = 30 * 86_400_000

  private let services: Services
  private let offlineAfterSeconds: Int
  private let linked: (ClientID) -> Void
  private var questions: Questions

  /// - Parameter linked: called after a chat was linked to the client.
  init(
    services: Services, offlineAfterSeconds: Int, random: any RandomSource, linked: @escaping (ClientID) -> Void
  ) {
    self.services = services
    self.offlineAfterSeconds = offlineAfterSeconds
    self.linked = linked
    questions = Questions(random: random)
  }

  /// Throws errors of the store. What the user did wrong is in the reply.
  mutating func reply(to text: String, in chat: TelegramChat) async throws(RegistryError) -> Reply {
    let words = text.prefix(Self.maximumTextLength)
    let command = words.prefix { !$0.isWhitespace }
    let rest = String(words.dropFirst(command.count).drop(while: \.isWhitespace))
    // In a menu, Telegram appends the bot's name.
    let name = command.prefix { $0 != "@" }.lowercased()
    guard let link = try await services.telegram.link(of: chat) else {
      return .message(name == "/start" && !rest.isEmpty ? try await start(chat, with: rest) : Self.howToLink)
    }
    if name == "/unlink" { return .message(try await unlink(link)) }
    return try await told(link, Reply.message) { (conversations) async throws(RegistryError) in
      try await conversations.reply(to: name, rest, link)
    }
  }

  /// Throws errors of the store.
  mutating func reply(toPress data: String, in chat: TelegramChat) async throws(RegistryError) -> Reply {
    let press = Press(data)
    do throws(RegistryError) {
      guard let link = try await services.telegram.link(of: chat) else { return .message(Self.howToLink) }
      return try await told(link, Reply.edit) { (conversations) async throws(RegistryError) in
        guard let press else { return BotMessage("This button is of an older version.") }
        return try await conversations.reply(to: press, link)
      }
    } catch {
      // A user who confirmed in time is not asked again because the database was away.
      if case .yes(let id) = press { questions.keep(id, in: chat.id, at: services.clock.now()) }
      throw error
    }
  }

  private static let howToLink = BotMessage(
    "This chat is not linked. Create a code in the registry's console, under Telegram, and send <code>/start CODE</code> here."
  )

  private static let busy = BotMessage("The registry is busy. Try again in a minute.")

  /// Answers a user who is linked, also where the client is suspended or the user asks for what is not there.
  private mutating func told(
    _ link: TelegramLink, _ form: (BotMessage) -> Reply,
    _ answer: (inout Conversations) async throws(RegistryError) -> BotMessage
  ) async throws(RegistryError) -> Reply {
    do throws(RegistryError) {
      try await services.clients.testStanding(of: link.clientID)
      return form(try await answer(&self))
    } catch {
      switch error {
      case .refused(.clientSuspended):
        return form(BotMessage("Your account is suspended. Ask the registry's operator."))
      case .groupNotFound: return form(BotMessage("You have no group of this name."))
      case .deviceNotFound, .notOwner: return form(BotMessage("There is no such device any more."))
      case .expectationFailed(let matched):
        return form(
          BotMessage("Nothing was done: there are \(matched) devices now. Send the command again."))
      case .clientNotFound: return form(Self.howToLink)
      // The buttons stay, and may be pressed again.
      case .overloaded, .tooManyWaiting: return .message(Self.busy)
      default: throw error
      }
    }
  }

  // MARK: Commands

  private mutating func reply(
    to command: String, _ rest: String, _ link: TelegramLink
  ) async throws(RegistryError) -> BotMessage {
    switch command {
    case "/start": return BotMessage("This chat is linked already. /help shows what it can do.")
    case "/devices": return try await devices(link, after: nil)
    case "/device": return try await device(named: rest, link)
    case "/halt": return try await ask(.halted, rest, link)
    case "/resume": return try await ask(.normal, rest, link)
    case "/mute": return try await mute(link, for: rest.isEmpty ? Self.defaultMute : rest)
    case "/unmute":
      _ = try await services.telegram.mute(link, until: nil)
      return BotMessage("Messages about devices are on.")
    default: return Self.help
    }
  }

  private static let help = BotMessage(
    """
    /devices lists your devices
    /device NAME shows one
    /halt stops all devices, /halt GROUP those of a group
    /resume lets them trade again, /resume GROUP those of a group
    /mute 8h stops messages about devices for a time (30m, 8h, 2d), /unmute starts them again
    /unlink ends the link of this chat
    """)

  private func start(_ chat: TelegramChat, with text: String) async throws(RegistryError) -> BotMessage {
    do throws(RegistryError) {
      if let code = TelegramCode(presented: text),
        let link = try await services.telegram.link(chat, with: code)
      {
        linked(link.clientID)
        return BotMessage(
          "Linked. You get a message when a device goes offline. /help shows what this chat can do.")
      }
    } catch {
      guard case .tooManyTelegramLinks(let limit) = error else { throw error }
      return BotMessage("Your account has \(limit) linked chats, the most it may have. Unlink one first.")
    }
    return BotMessage(
      "This code is unknown, was used, or has expired. Create a new one in the registry's console.")
  }

  private func unlink(_ link: TelegramLink) async throws(RegistryError) -> BotMessage {
    do throws(RegistryError) {
      try await services.telegram.deleteLink(link.id, owner: link.clientID, change: change(by: link))
    } catch {
      guard error == .telegramLinkNotFound else { throw error }
    }
    return BotMessage("This chat is not linked any more, and gets no messages.")
  }

  private func change(by link: TelegramLink) -> Change {
    Change(by: .telegram(link.chat.userID), at: services.clock.now())
  }

  // MARK: Silence

  private func mute(_ link: TelegramLink, for text: String) async throws(RegistryError) -> BotMessage {
    guard let milliseconds = Self.duration(text) else {
      return BotMessage(
        "Send a time of up to 30 days, for example <code>/mute 30m</code>, <code>8h</code> or <code>2d</code>.")
    }
    let end = services.clock.now() + milliseconds
    _ = try await services.telegram.mute(link, until: end)
    return BotMessage("No messages about devices until \(end.minutes) UTC. /unmute ends that.")
  }

  /// `30m`, `8h` or `2d`, in milliseconds.
  static func duration(_ text: String) -> Int64? {
    guard let unit = text.last, let number = Int64(text.dropLast()), number > 0 else { return nil }
    let units: [Character: Int64] = ["m": 60_000, "h": 3_600_000, "d": 86_400_000]
    guard let factor = units[unit], number <= maximumMuteMilliseconds / factor else { return nil }
    return number * factor
  }

  // MARK: Devices

  private var views: DeviceViews {
    DeviceViews(now: services.clock.now(), offlineAfterSeconds: offlineAfterSeconds)
  }

  private func devices(_ link: TelegramLink, after cursor: DeviceCursor?) async throws(RegistryError)
    -> BotMessage
  {
    var filter = DeviceFilter()
    filter.statuses = [.active, .suspended, .expired]
    let (devices, next) = try await page(of: link, filter, after: cursor)
    guard !devices.isEmpty else {
      return BotMessage(cursor == nil ? "You have no devices." : "There are no more devices.")
    }
    let views = views
    var last: [BotMessage.Button] = []
    if cursor != nil { last.append(BotMessage.Button(label: "« First", data: Press.devices(after: nil).data)) }
    if next != nil { last.append(BotMessage.Button(label: "Next ›", data: Press.devices(after: next).data)) }
    return BotMessage(
      devices.map(views.line).joined(separator: "\n"),
      buttons: devices.map { [views.button($0)] } + (last.isEmpty ? [] : [last]))
  }

  private func page(
    of link: TelegramLink, _ filter: DeviceFilter, after cursor: DeviceCursor?
  ) async throws(RegistryError) -> ([Device], next: DeviceCursor?) {
    var (devices, next): ([Device], DeviceCursor?) = ([], cursor)
    for _ in 0..<Self.maximumReads {
      let page = try await services.devices.listDevices(
        clientID: link.clientID, matching: filter, limit: Self.devicesPerPage - devices.count, after: next)
      devices += page.elements
      next = page.next
      if next == nil || devices.count == Self.devicesPerPage { break }
    }
    return (devices, next)
  }

  private func device(named text: String, _ link: TelegramLink) async throws(RegistryError) -> BotMessage {
    guard !text.isEmpty else { return BotMessage("Send the name too: <code>/device NAME</code>") }
    if let name = try? DeviceName(text),
      let id = try await services.store.devices(named: [name], of: link.clientID)[name]
    {
      return try await device(id, link)
    }
    var filter = DeviceFilter()
    filter.namePart = DeviceFilter.NamePart(text)
    guard filter.namePart != nil else { return BotMessage("You have no device of this name.") }
    let (devices, _) = try await page(of: link, filter, after: nil)
    let views = views
    switch devices.count {
    case 0: return BotMessage("You have no device of this name.")
    case 1: return views.message(devices[0])
    default: return BotMessage("Which one?", buttons: devices.map { [views.button($0)] })
    }
  }

  private func device(_ id: DeviceID, _ link: TelegramLink) async throws(RegistryError) -> BotMessage {
    views.message(try await services.devices.getDevice(id, owner: link.clientID))
  }

  // MARK: Halting

  private func bulk(
    _ mode: TradingMode.Mode, _ selector: DeviceSelector, of link: TelegramLink, expected: Int?
  ) -> BulkChange {
    BulkChange(
      .setTradingMode(mode, cancelsSignals: false), of: link.clientID, selector, expected: expected,
      change: change(by: link))
  }

  private mutating func ask(
    _ mode: TradingMode.Mode, _ group: String, _ link: TelegramLink
  ) async throws(RegistryError) -> BotMessage {
    guard !group.isEmpty else { return try await ask(mode, .all, "", link) }
    guard let name = GroupName(group) else { throw .groupNotFound }
    return try await ask(mode, .group(name), " of the group \(Foreign.html(name.text))", link)
  }

  /// Asks before devices get a mode, and says how many they are.
  private mutating func ask(
    _ mode: TradingMode.Mode, _ selector: DeviceSelector, _ which: String, _ link: TelegramLink
  ) async throws(RegistryError) -> BotMessage {
    let outcome = try await services.bulk.preview(bulk(mode, selector, of: link, expected: nil))
    guard outcome.matched > 0 else { return BotMessage("There is no device\(which).") }
    let id = questions.ask(
      mode, selector, matched: outcome.matched, of: link, at: services.clock.now())
    guard let id else { return Self.busy }
    let verb = mode == .halted ? "Halt" : "Resume"
    let already =
      outcome.unchanged > 0
      ? " \(outcome.unchanged) of them \(outcome.unchanged == 1 ? "is" : "are") \(mode.words) already." : ""
    return BotMessage(
      "\(verb) \(Self.count(outcome.matched))\(which)?\(already)",
      buttons: [
        [
          BotMessage.Button(label: "Yes, \(verb.lowercased())", data: Press.yes(question: id).data),
          BotMessage.Button(label: "No", data: Press.no(question: id).data),
        ]
      ])
  }

  private static func count(_ devices: Int) -> String { devices == 1 ? "1 device" : "\(devices) devices" }

  // MARK: Buttons

  private mutating func reply(to press: Press, _ link: TelegramLink) async throws(RegistryError) -> BotMessage {
    switch press {
    case .devices(let cursor): return try await devices(link, after: cursor)
    case .device(let id): return try await device(id, link)
    case .change(let mode, let id):
      let device = try await services.devices.getDevice(id, owner: link.clientID)
      return try await ask(mode, .devices([id]), ": \(Foreign.html(device.deviceName.text))", link)
    case .no(let id):
      questions.close(id, in: link.chat.id)
      return BotMessage("Nothing was done.")
    case .yes(let id):
      guard let question = questions.question(id, of: link, at: services.clock.now()) else {
        return BotMessage("This question is no longer open. /devices shows the modes; send the command again.")
      }
      do throws(RegistryError) {
        let answer = try await carryOut(question, link)
        questions.close(id, in: link.chat.id)
        return answer
      } catch {
        // The same change may be tried again: it sets what is set.
        if !error.isTemporary { questions.close(id, in: link.chat.id) }
        throw error
      }
    }
  }

  private func carryOut(
    _ question: Questions.Question, _ link: TelegramLink
  ) async throws(RegistryError) -> BotMessage {
    let outcome = try await services.bulk.change(
      bulk(question.mode, question.selector, of: link, expected: question.matched))
    let done = question.mode == .halted ? "Halted" : "Resumed"
    var text = "\(done) \(Self.count(outcome.changed.count))."
    if outcome.unchanged > 0 { text += " \(Self.count(outcome.unchanged)) had this mode already." }
    if !outcome.refused.isEmpty { text += " \(Self.count(outcome.refused.count)) could not be changed." }
    return BotMessage(text)
  }
}

extension RegistryError {
  fileprivate var isTemporary: Bool {
    switch self {
    case .unavailable, .overloaded, .tooManyWaiting, .fault: true
    default: false
    }
  }
}

extension Timestamp {
  /// `2026-11-29 08:15`, in UTC.
  fileprivate var minutes: String {
    String(description.prefix(16)).split(separator: "T").joined(separator: " ")
  }
}
