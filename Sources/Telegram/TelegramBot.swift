public import EventLoop
public import Registry

/// A Telegram bot: it answers the users whose chats are linked to a client, and tells them what happens to its devices.
///
/// Of several processes, the one that holds a lock serves the bot. The number of the next update and the position of each
/// chat in the feed are in the database. An orderly stop ends with the update in progress; after a crash, that one is
/// processed again, which changes nothing: a code works once, and a confirmation is forgotten.
///
/// `@unchecked Sendable`: its state is confined to `loop`, on which `run` runs.
public final class TelegramBot: Service, @unchecked Sendable {
  /// How often the lock is looked at.
  static let lockMilliseconds = 50
  /// After an error; doubled after each further one.
  static let firstPauseMilliseconds: Int64 = 1000
  static let longestPauseMilliseconds: Int64 = 60_000
  /// While another program fetches the updates, or Telegram refuses the token.
  static let conflictPauseMilliseconds: Int64 = 10_000

  private let loop: EventLoop
  private let services: Services
  private let api: BotAPI
  private let botID: Int64
  private let name: TelegramBotName
  private let sender: Sender
  private let notifier: Notifier
  private let holdsLock: @Sendable () -> Bool
  private let report: @Sendable (BotReport) -> Void

  private var conversations: Conversations
  private var limits = ChatLimits()
  private var isHeld = false
  private var pauseMilliseconds = TelegramBot.firstPauseMilliseconds
  private var lastReport: BotReport?

  /// Called on the loop. Throws `unavailable` when the system has no memory left.
  ///
  /// - Parameters:
  ///   - name: set once Telegram has told it, in every process.
  ///   - services: those of `loop`.
  ///   - recorded: the clients that have new events.
  ///   - holdsLock: whether this process serves the bot. Called often.
  ///   - report: called on the loop.
  public init(
    on loop: EventLoop, _ settings: BotSettings, named name: TelegramBotName, services: Services,
    recorded: RecordedClients,
    random: any RandomSource, offlineAfterSeconds: Int, holdsLock: @escaping @Sendable () -> Bool,
    report: @escaping @Sendable (BotReport) -> Void
  ) throws(RegistryError) {
    self.loop = loop
    self.services = services
    api = try BotAPI(on: loop, settings)
    botID = settings.token.botID
    self.name = name
    sender = Sender(on: loop, api: api, report: report)
    let notifier = Notifier(
      on: loop, services: services, recorded: recorded, sender: sender, report: report)
    self.notifier = notifier
    conversations = Conversations(
      services: services, offlineAfterSeconds: offlineAfterSeconds, random: random, linked: notifier.add)
    self.holdsLock = holdsLock
    self.report = report
  }

  /// Serves the bot until it is cancelled; then ends with the update and the messages in progress.
  public func run() async {
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { group in
        group.addTask { [self] in await fetchUpdates() }
        group.addTask { [self] in await notify() }
        group.addTask { [self] in await learnName() }
      }
    } onCancel: {
      sender.stop()
    }
    await api.close()
  }

  private func notify() async {
    while !Task.isCancelled {
      // What was begun is not cancelled: a message that was sent is noted.
      if testLock() { await loop.run { [self] in await notifier.advance() } }
      await loop.sleep(milliseconds: Notifier.tickMilliseconds)
    }
  }

  /// Failures are not reported: the updates fail for the same cause.
  private func learnName() async {
    var pauseMilliseconds = Self.firstPauseMilliseconds
    while !Task.isCancelled, !sender.isStopping {
      if let found = try? await api.name() {
        name.value = found
        return
      }
      await sender.pause(milliseconds: pauseMilliseconds)
      pauseMilliseconds = min(pauseMilliseconds * 2, Self.longestPauseMilliseconds)
    }
  }

  // MARK: Updates

  private func fetchUpdates() async {
    while !Task.isCancelled {
      guard testLock() else {
        await loop.sleep(milliseconds: Self.lockMilliseconds)
        continue
      }
      do throws(UpdateFailure) {
        try await fetchNextUpdates()
        (pauseMilliseconds, lastReport) = (Self.firstPauseMilliseconds, nil)
      } catch .bot(.ended) {
        return
      } catch {
        await pause(after: error)
      }
    }
  }

  private enum UpdateFailure: Error {
    case bot(BotFailure)
    case store(RegistryError)
  }

  private func testLock() -> Bool {
    let isHeld = holdsLock()
    if isHeld != self.isHeld {
      self.isHeld = isHeld
      report(isHeld ? .began : .ended)
      if isHeld { notifier.begin() }
    }
    return isHeld
  }

  private func fetchNextUpdates() async throws(UpdateFailure) {
    var next: Int64?
    do throws(RegistryError) { next = try await services.store.nextTelegramUpdate(ofBot: botID) } catch {
      throw .store(error)
    }
    let updates: [BotUpdate]
    do throws(BotFailure) { updates = try await api.updates(from: next) } catch { throw .bot(error) }
    for update in updates {
      // Another process may serve the bot by now.
      guard testLock(), !sender.isStopping else { return }
      do throws(RegistryError) {
        // It is not cancelled: what is answered is noted.
        let isNoted = try await loop.run { [self, next] () async throws(RegistryError) -> Bool in
          try await process(update)
          return try await services.store.moveTelegramUpdates(ofBot: botID, from: next, to: update.id + 1)
        }
        guard isNoted else { return }
      } catch {
        throw .store(error)
      }
      next = update.id + 1
    }
  }

  /// What a chat writes too much costs no query.
  private func process(_ update: BotUpdate) async throws(RegistryError) {
    switch update.content {
    case .message(let chat, let text):
      guard limits.allows(chat.id, at: services.clock.now()) else { return }
      let reply = try await answered { () async throws(RegistryError) in
        try await conversations.reply(to: text, in: chat)
      }
      await send(reply, to: chat)
    case .press(let id, let chat, let messageID, let data):
      guard limits.allows(chat.id, at: services.clock.now()) else { return }
      let reply = try await answered { () async throws(RegistryError) in
        try await conversations.reply(toPress: data, in: chat)
      }
      _ = await sender.answerPress(id, nil)
      await send(reply, to: chat, below: messageID)
    case .other: break
    }
  }

  /// An update that always fails must not keep the later ones waiting. Throws `unavailable`, after which it is processed
  /// again.
  private func answered(
    _ reply: () async throws(RegistryError) -> Conversations.Reply
  ) async throws(RegistryError) -> Conversations.Reply {
    do throws(RegistryError) {
      return try await reply()
    } catch {
      if case .unavailable = error { throw error }
      report(.storeFailed(error))
      return .message(BotMessage("The registry could not do this. Try again later."))
    }
  }

  private func send(_ reply: Conversations.Reply, to chat: TelegramChat, below messageID: Int64? = nil) async {
    switch (reply, messageID) {
    case (.edit(let message), let messageID?): _ = await sender.edit(messageID, in: chat.id, to: message)
    case (.edit(let message), nil), (.message(let message), _): _ = await sender.send(message, to: chat.id)
    }
  }

  private func pause(after failure: UpdateFailure) async {
    var milliseconds = pauseMilliseconds
    var cause: BotReport
    switch failure {
    case .store(let error): cause = .storeFailed(error)
    case .bot(let error):
      cause = .updatesFailed(error)
      switch error {
      case .tooManyRequests(let seconds): milliseconds = Int64(seconds) * 1000
      case .conflict, .tokenRefused: milliseconds = Self.conflictPauseMilliseconds
      default: break
      }
    }
    // The same is reported once.
    if cause != lastReport { report(cause) }
    lastReport = cause
    pauseMilliseconds = min(pauseMilliseconds * 2, Self.longestPauseMilliseconds)
    await sender.pause(milliseconds: milliseconds)
  }
}

/// What the bot reports, for the log and the metrics.
public enum BotReport: Hashable, Sendable {
  /// This process serves the bot, and it no longer does.
  case began
  case ended
  case updatesFailed(BotFailure)
  case messageSent
  /// - Parameter isNew: whether it is worth a line in the log: not what every user can cause, and not what was just logged.
  case messageFailed(BotFailure, isNew: Bool)
  case storeFailed(RegistryError)
}
