internal import Observability
internal import Registry
internal import Webhooks

/// Counts deliveries to webhooks. Only the process that delivers counts any.
struct WebhookMetrics: Sendable {
  private let deliveries: MetricFamily<DeliveryLabel, Counter>
  private let duration: Histogram
  private let disabled: Counter
  private let isDelivering: Gauge
  private let unserved: MetricFamily<UnservedLabel, Gauge>

  /// Bounds of a delivery's duration, in seconds; after 10 s it fails.
  static let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

  init(in metrics: Metrics) {
    deliveries = metrics.counters(
      "webhook_deliveries_total", "Attempts to deliver an event to a webhook, by result.",
      by: DeliveryLabel.self)
    duration = metrics.histogram(
      "webhook_delivery_duration_seconds", "Time of attempts to deliver an event, until the answer was read.",
      bounds: Self.bounds)
    disabled = metrics.counter("webhooks_disabled_total", "Webhooks that were disabled because they failed.")
    isDelivering = metrics.gauge(
      "webhook_delivery_active", "1 in the process that delivers to webhooks, else 0.")
    unserved = metrics.gauges(
      "webhooks_unserved",
      "Webhooks whose last attempt failed, and those that were disabled for that, by state.",
      by: UnservedLabel.self)
    for result in DeliveryLabel.results { _ = deliveries[DeliveryLabel(result: result)] }
    isDelivering.set(0)
    set(WebhookCounts(failing: 0, disabled: 0))
  }

  private func set(_ counts: WebhookCounts) {
    unserved[UnservedLabel(state: "failing")].set(counts.failing)
    unserved[UnservedLabel(state: "disabled")].set(counts.disabled)
  }

  func count(_ report: DeliveryReport) {
    switch report {
    case .began: isDelivering.set(1)
    case .ended:
      isDelivering.set(0)
      // Another process counts them.
      set(WebhookCounts(failing: 0, disabled: 0))
    case .counted(let counts): set(counts)
    case .attempted(_, let delivery):
      deliveries[DeliveryLabel(of: delivery.outcome)].increment()
      duration.observe(nanoseconds: UInt64(delivery.durationMilliseconds) * 1_000_000)
    case .disabled: disabled.increment()
    case .eventsExpired, .turnFailed, .storeFailed: break
    }
  }
}

private struct UnservedLabel: MetricLabels {
  static let names: [StaticString] = ["state"]
  let state: String
  var values: [String] { [state] }
}

private struct DeliveryLabel: MetricLabels {
  static let names: [StaticString] = ["result"]
  let result: String
  var values: [String] { [result] }

  /// 2xx; another status; no answer.
  static let results = ["delivered", "refused", "unanswered"]

  init(result: String) { self.result = result }

  init(of outcome: DeliveryOutcome) {
    self.init(result: outcome.isSuccess ? "delivered" : outcome.status != nil ? "refused" : "unanswered")
  }
}
