public import EventLoop
public import Registry

/// A Telegram bot: it answers the users whose chats are linked to a client, and tells them what happens to its devices.
///
/// Of several processes, the one that holds a lock serves the bot. The number of the next update and the position of each
/// chat in the feed are in the database. An orderly stop ends with the update in progress, unless Telegram is slow. That one,
/// as after a crash, is processed again, which changes nothing: a code works once, and a confirmation is forgotten.
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

  /// Attempts of an update for which the database has no answer. Others wait for it.
  static let maximumAttempts = 5
  /// How long the calls in progress may take at a stop. The service manager ends a slow stop, and other parts stop later.
  static let stopMilliseconds: Int64 = 2500
  /// How often a stop looks whether they have ended.
  static let stopLookMilliseconds = 10

  private let loop: EventLoop
  private let services: Services
  private let api: BotAPI
  private let botID: Int64
  private let name: TelegramBotName
  private let sender: Sender
  private let notifier: Notifier
  private let holdsLock: @Sendable () -> Bool
  private let failures: StoreFailures
  private let report: @Sendable (BotReport) -> Void

  private var conversations: Conversations
  private var limits = ChatLimits()
  private var isHeld = false
  private var pauseMilliseconds = TelegramBot.firstPauseMilliseconds
  private var lastFailure: BotFailure?
  /// The update that is processed again.
  private var retried: (id: Int64, attempts: Int)?
  /// Parts of `run` that call Telegram.
  private var activeParts = 0

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
    failures = StoreFailures(report: report)
    let notifier = Notifier(
      on: loop, services: services, recorded: recorded, sender: sender, failures: failures,
      holdsLock: holdsLock)
    self.notifier = notifier
    conversations = Conversations(
      services: services, offlineAfterSeconds: offlineAfterSeconds, random: random, linked: notifier.add)
    self.holdsLock = holdsLock
    self.report = report
  }

  /// Serves the bot until it is cancelled; then ends with the update and the messages in progress, which it cuts off after a
  /// short time.
  public func run() async {
    let parts: [@Sendable () async -> Void] = [
      { [self] in await fetchUpdates() }, { [self] in await notify() }, { [self] in await learnName() },
    ]
    activeParts = parts.count
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { group in
        for part in parts {
          group.addTask { [self] in
            await part()
            activeParts -= 1
          }
        }
        group.addTask { [self] in
          await untilCancelled()
          await loop.run { [self] in await endCalls() }
        }
      }
    } onCancel: {
      sender.stop()
    }
  }

  private func endCalls() async {
    let end = MonotonicClock.milliseconds + Self.stopMilliseconds
    while activeParts > 0, MonotonicClock.milliseconds < end {
      await loop.sleep(milliseconds: Self.stopLookMilliseconds)
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
        (pauseMilliseconds, lastFailure) = (Self.firstPauseMilliseconds, nil)
        failures.done(.updates)
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
      if isHeld {
        failures.forget()
        notifier.begin()
      }
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
          guard try await process(update) else { return false }
          return try await services.store.moveTelegramUpdates(ofBot: botID, from: next, to: update.id + 1)
        }
        guard isNoted else { return }
      } catch {
        throw .store(error)
      }
      next = update.id + 1
    }
  }

  /// What a chat writes too much costs no query. Returns whether the update is done: a stop may cut its answer off.
  private func process(_ update: BotUpdate) async throws(RegistryError) -> Bool {
    switch update.content {
    case .message(let chat, let text):
      guard limits.allows(chat.id, at: services.clock.now()) else { return true }
      let reply = try await answered(update.id) { () async throws(RegistryError) in
        try await conversations.reply(to: text, in: chat)
      }
      return await send(reply, to: chat)
    case .press(let id, let chat, let messageID, let data):
      guard limits.allows(chat.id, at: services.clock.now()) else { return true }
      let reply = try await answered(update.id) { () async throws(RegistryError) in
        try await conversations.reply(toPress: data, in: chat)
      }
      await sender.answerPress(id)
      return await send(reply, to: chat, below: messageID)
    case .other: return true
    }
  }

  /// An update that always fails must not keep the later ones waiting. Throws `unavailable`, after which it is processed
  /// again.
  private func answered(
    _ id: Int64, _ reply: () async throws(RegistryError) -> Conversations.Reply
  ) async throws(RegistryError) -> Conversations.Reply {
    do throws(RegistryError) {
      return try await reply()
    } catch {
      if case .unavailable = error {
        let attempts = retried?.id == id ? retried!.attempts + 1 : 1
        retried = (id, attempts)
        if attempts < Self.maximumAttempts { throw error }
      }
      failures.failed(.updates, error)
      return .message(BotMessage("The registry could not do this. Try again later."))
    }
  }

  /// Returns false if a stop cut it off.
  private func send(
    _ reply: Conversations.Reply, to chat: TelegramChat, below messageID: Int64? = nil
  ) async -> Bool {
    let outcome =
      switch (reply, messageID) {
      case (.edit(let message), let messageID?): await sender.edit(messageID, in: chat.id, to: message)
      case (.edit(let message), nil), (.message(let message), _):
        await sender.send(message, to: chat.id)
      }
    return outcome != .failed || !sender.isStopping
  }

  private func pause(after failure: UpdateFailure) async {
    var milliseconds = pauseMilliseconds
    switch failure {
    case .store(let error): failures.failed(.updates, error)
    case .bot(let error):
      // The same is reported once.
      if error != lastFailure { report(.updatesFailed(error)) }
      lastFailure = error
      switch error {
      case .tooManyRequests(let seconds): milliseconds = Int64(seconds) * 1000
      case .conflict, .tokenRefused: milliseconds = Self.conflictPauseMilliseconds
      default: break
      }
    }
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
