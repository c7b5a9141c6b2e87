internal import EventLoop
internal import Glibc
internal import Observability
internal import Registry
internal import Telegram

extension TelegramBot {
  /// Starts the bot, on the first loop. Without a token there is none.
  static func start(
    _ configuration: Configuration, named name: TelegramBotName?, on loop: EventLoop, services parts: Services,
    live: LiveDevices,
    lock: LockState, metrics: TelegramMetrics, logger: Logger, interruptions: Interruptions,
    services: inout RunningServices
  ) async throws {
    guard let telegram = configuration.telegram, let name else { return }
    let settings = BotSettings(telegram)
    let offlineAfterSeconds = configuration.offlineAfterSeconds
    let bot = try await loop.run { () throws(RegistryError) in
      try TelegramBot(
        on: loop, settings, named: name, services: parts, recorded: live.recordedForTelegram,
        random: SystemRandomSource(),
        offlineAfterSeconds: offlineAfterSeconds, holdsLock: { lock.isHeld }
      ) { report in
        metrics.count(report)
        logger.log(report, interruptions)
      }
    }
    services.start(bot, on: loop)
  }
}

extension BotSettings {
  init(_ telegram: TelegramConfiguration) {
    self.init(
      token: telegram.token, origin: telegram.origin,
      certificateFile: getenv("SSL_CERT_FILE").map { String(cString: $0) })
  }
}

extension Logger {
  /// What users write, and the token, are in no report.
  fileprivate func log(_ report: BotReport, _ interruptions: Interruptions) {
    switch report {
    case .began: log(.info, "telegram bot begins")
    case .ended: log(.notice, "telegram bot ends: another process has the lock, or this one lost the database")
    case .updatesFailed(let failure): log(.warning, "telegram updates not fetched", ["cause": "\(failure)"])
    case .messageSent: break
    case .messageFailed(let failure, let isNew):
      guard isNew else { return }
      log(.warning, "telegram message not sent", ["cause": "\(failure)"])
    case .storeFailed(let error):
      interruptions.warn("telegram bot waits for the database", ["cause": "\(error)"])
    }
  }
}
