internal import Observability
internal import Telegram

/// Counts messages of the Telegram bot. Only the process that serves the bot counts any.
struct TelegramMetrics: Sendable {
  private let messages: MetricFamily<MessageLabel, Counter>
  private let isServing: Gauge

  init(in metrics: Metrics) {
    messages = metrics.counters(
      "telegram_messages_total", "Messages of the Telegram bot, by result.", by: MessageLabel.self)
    isServing = metrics.gauge("telegram_bot_active", "1 in the process that serves the Telegram bot, else 0.")
    for result in [MessageLabel.sent, .failed] { _ = messages[result] }
    isServing.set(0)
  }

  func count(_ report: BotReport) {
    switch report {
    case .began: isServing.set(1)
    case .ended: isServing.set(0)
    case .messageSent: messages[.sent].increment()
    case .messageFailed: messages[.failed].increment()
    case .updatesFailed, .storeFailed: break
    }
  }
}

private struct MessageLabel: MetricLabels {
  static let names: [StaticString] = ["result"]
  let result: String
  var values: [String] { [result] }

  static let sent = MessageLabel(result: "sent")
  static let failed = MessageLabel(result: "failed")
}
