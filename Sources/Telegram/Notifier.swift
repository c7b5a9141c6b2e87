internal import EventLoop
internal import Registry

/// Tells linked chats what happens to their client's devices: a reader of the feed.
///
/// `@unchecked Sendable`: its state is confined to `loop`.
final class Notifier: @unchecked Sendable {
  /// Clients that are served at a time.
  static let maximumTurns = 8
  /// How soon new events are looked for.
  static let tickMilliseconds = 50
  /// How often all links are read, in case another process linked or unlinked a chat.
  static let sweepMilliseconds: Int64 = 60_000
  /// How soon all clients are looked at after an error of the database.
  static let retryMilliseconds: Int64 = 1000
  /// Links of one statement, and clients of one look.
  static let linksPerRead = 200
  /// Events of a read, and reads of a turn.
  static let eventsPerRead = 200
  static let maximumReads = 20
  /// A position that advanced is written at least this often.
  static let writeMilliseconds: Int64 = 60_000

  private let loop: EventLoop
  private let services: Services
  private let recorded: RecordedClients
  private let sender: Sender
  private let failures: StoreFailures
  private let holdsLock: @Sendable () -> Bool

  private struct Chat {
    var notices: Notices
    var writtenPosition: EventPosition
    var writtenMilliseconds: Int64
  }

  private var chats: [TelegramLinkID: Chat] = [:]
  /// The clients that have links. There are as many as clients at most.
  private var linked: Set<ClientID> = []
  /// Those whose feeds may have something to tell.
  private var due: Set<ClientID> = []
  /// When those are looked at for which something waits.
  private var looks: [ClientID: Timestamp] = [:]
  private var nextSweepMilliseconds = Int64.min
  private var isEverythingDue = true

  init(
    on loop: EventLoop, services: Services, recorded: RecordedClients, sender: Sender,
    failures: StoreFailures, holdsLock: @escaping @Sendable () -> Bool
  ) {
    self.loop = loop
    self.services = services
    self.recorded = recorded
    self.sender = sender
    self.failures = failures
    self.holdsLock = holdsLock
  }

  /// This process begins to serve the bot: it does not know what another one sent.
  func begin() {
    (chats, looks, due) = ([:], [:], [])
    (nextSweepMilliseconds, isEverythingDue) = (.min, true)
  }

  /// A chat was linked.
  func add(_ client: ClientID) { linked.insert(client) }

  /// Sends the messages that may be sent now. Called some 20 times a second, while this process serves the bot.
  func advance() async {
    let now = MonotonicClock.milliseconds
    do throws(RegistryError) {
      try await findWork(nowMilliseconds: now)
    } catch {
      failures.failed(.links, error)
      isEverythingDue = true
      nextSweepMilliseconds = now + Self.retryMilliseconds
    }
    let clients = Array(due.prefix(Self.maximumTurns))
    due.subtract(clients)
    await serve(clients)
  }

  private func findWork(nowMilliseconds now: Int64) async throws(RegistryError) {
    let (clients, isComplete) = recorded.take(atMost: Self.linksPerRead)
    due.formUnion(clients.filter(linked.contains))
    if !isComplete {
      isEverythingDue = true
      nextSweepMilliseconds = min(nextSweepMilliseconds, now)
    }
    if now >= nextSweepMilliseconds {
      try await readLinks()
      nextSweepMilliseconds = now + Self.sweepMilliseconds
    }
    let time = services.clock.now()
    for (client, look) in looks where time >= look {
      looks[client] = nil
      due.insert(client)
    }
  }

  private func readLinks() async throws(RegistryError) {
    var (ids, clients): (Set<TelegramLinkID>, Set<ClientID>) = ([], [])
    var last: TelegramLinkID?
    // The number of links bounds that of the pages.
    while true {
      let page = try await services.store.telegramLinks(after: last, limit: Self.linksPerRead)
      ids.formUnion(page.map(\.id))
      clients.formUnion(page.map(\.clientID))
      last = page.last?.id
      if page.count < Self.linksPerRead { break }
    }
    if isEverythingDue { due.formUnion(clients) }
    failures.done(.links)
    (linked, isEverythingDue) = (clients, false)
    chats = chats.filter { ids.contains($0.key) }
  }

  private func serve(_ clients: [ClientID]) async {
    await withDiscardingTaskGroup { group in
      for client in clients { group.addTask { [self] in await serve(client) } }
    }
  }

  private func serve(_ client: ClientID) async {
    do throws(RegistryError) {
      for link in try await services.store.telegramLinks(of: client) {
        // Begun by then, a chat would keep the stop waiting.
        guard !sender.isStopping else { return }
        try await tell(link)
      }
      failures.done(.chats(client))
    } catch {
      look(at: client, afterMilliseconds: Self.retryMilliseconds)
      failures.failed(.chats(client), error)
    }
  }

  private func look(at client: ClientID, afterMilliseconds delay: Int64) {
    let time = services.clock.now() + delay
    looks[client] = min(looks[client] ?? time, time)
  }

  // MARK: One chat

  /// Reads what happened, sends one message, and notes how far the chat is. What is not sent is read again.
  private func tell(_ link: TelegramLink) async throws(RegistryError) {
    var chat =
      chats[link.id]
      ?? Chat(
        notices: Notices(after: link.position), writtenPosition: link.position,
        writtenMilliseconds: MonotonicClock.milliseconds)
    let hasMore = try await read(into: &chat.notices, of: link)
    var isTold = false
    if link.isMuted(at: services.clock.now()) {
      chat.notices.skip()
    } else if let message = chat.notices.take(at: services.clock.now()) {
      let names = try await names(of: message.lines.map(\.device), link.clientID)
      // The calls for the client's other chats take time, in which this one may be muted or unlinked.
      guard let link = try await services.store.telegramLink(link.id),
        !link.isMuted(at: services.clock.now())
      else { return look(at: link.clientID, afterMilliseconds: Self.retryMilliseconds) }
      switch await sender.tell(message.text(names: names), to: link.chat.id, if: holdsLock) {
      case .sent, .refused: isTold = true
      case .blocked: return try await unlink(link)
      case .failed: return look(at: link.clientID, afterMilliseconds: sender.retryMilliseconds)
      }
    }
    chats[link.id] = chat
    if hasMore { due.insert(link.clientID) }
    if let time = chat.notices.nextLook {
      looks[link.clientID] = min(looks[link.clientID] ?? time, time)
    }
    try await write(link, isTold: isTold)
  }

  /// Returns whether there may be more to read now.
  private func read(into notices: inout Notices, of link: TelegramLink) async throws(RegistryError) -> Bool {
    for _ in 0..<Self.maximumReads {
      let page = try await page(after: notices.readTo, of: link.clientID)
      notices.add(page)
      if page.isLast { return page.hasHidden }
    }
    return true
  }

  private func page(
    after position: EventPosition, of client: ClientID
  ) async throws(RegistryError) -> EventPage {
    do throws(RegistryError) {
      return try await services.store.events(
        of: client, after: position, Notices.filter, limit: Self.eventsPerRead)
    } catch .eventsExpired {
      return try await services.store.events(
        of: client, after: nil, Notices.filter, limit: Self.eventsPerRead)
    }
  }

  private func names(
    of ids: [DeviceID], _ client: ClientID
  ) async throws(RegistryError) -> [DeviceID: String] {
    var names: [DeviceID: String] = [:]
    for device in try await services.store.devices(ids.sorted()) where device.clientID == client {
      names[device.id] = device.deviceName.text
    }
    return names
  }

  private func write(_ link: TelegramLink, isTold: Bool) async throws(RegistryError) {
    guard let chat = chats[link.id] else { return }
    let (position, now) = (chat.notices.position, MonotonicClock.milliseconds)
    let isDue = isTold || now - chat.writtenMilliseconds >= Self.writeMilliseconds
    guard isDue, position != chat.writtenPosition else { return }
    guard try await services.store.moveTelegramLink(link.id, of: link.clientID, to: position) else {
      chats[link.id] = nil
      return
    }
    chats[link.id]?.writtenPosition = position
    chats[link.id]?.writtenMilliseconds = now
  }

  private func unlink(_ link: TelegramLink) async throws(RegistryError) {
    chats[link.id] = nil
    let change = Change(by: .system, at: services.clock.now(), reason: "the user blocked the bot")
    do throws(RegistryError) {
      try await services.telegram.deleteLink(link.id, owner: link.clientID, change: change)
    } catch {
      guard error == .telegramLinkNotFound else { throw error }
    }
  }
}
