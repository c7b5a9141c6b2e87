internal import EventLoop
internal import Registry

/// Delivers the next events of one webhook, one after the other.
struct DeliveryTurn {
  /// Events of one read, and deliveries of one write.
  static let maximumBatch = 100
  /// A delivery is written at most this long after it, plus the time of one attempt.
  static let writeIntervalMilliseconds: Int64 = 1000
  /// After this time the webhook waits again, after those that wait.
  static let maximumMilliseconds: Int64 = 10_000
  /// A position that advanced by fewer events is not written unless something was delivered.
  static let unwrittenEvents: Int64 = 1000

  private let webhook: Webhook
  private let secret: WebhookSecret
  private let store: any RegistryStore
  private let receivers: Receivers
  private let clock: any Clock
  private let random: any RandomSource
  private let mayContinue: () -> Bool
  private let report: (DeliveryReport) -> Void

  private var version: Int64
  private var progress: DeliveryProgress
  /// Deliveries that are not written, oldest first.
  private var unwritten: [WebhookDelivery] = []
  private var writtenPosition: EventPosition
  private var lastWriteMilliseconds = MonotonicClock.milliseconds

  init(
    _ deliverable: DeliverableWebhook, secret: WebhookSecret, store: any RegistryStore, receivers: Receivers,
    clock: any Clock, random: any RandomSource, mayContinue: @escaping () -> Bool,
    report: @escaping (DeliveryReport) -> Void
  ) {
    webhook = deliverable.webhook
    version = deliverable.version
    progress = deliverable.webhook.progress
    writtenPosition = deliverable.webhook.progress.position
    self.secret = secret
    self.store = store
    self.receivers = receivers
    self.clock = clock
    self.random = random
    self.mayContinue = mayContinue
    self.report = report
  }

  /// Delivers until there are no more events, one fails, or the turn is over. Returns whether there may be more to
  /// deliver now. Throws errors of the store: what was not written is delivered again.
  mutating func run() async throws(RegistryError) -> Bool {
    let end = MonotonicClock.milliseconds + Self.maximumMilliseconds
    while true {
      let page = try await nextPage()
      for event in page.events {
        guard mayContinue(), let delivery = await attempt(event) else {
          _ = try await write()
          return false
        }
        report(.attempted(webhook.id, delivery))
        unwritten.append(delivery)
        guard delivery.outcome.isSuccess else { return try await fail(delivery) }
        progress.succeeded(through: event.position)
        if isWriteDue, try await write() == false { return true }
      }
      progress.position = page.next
      let isOver = page.isLast || MonotonicClock.milliseconds >= end
      guard isOver else { continue }
      let hasMore = !page.isLast || page.hasHidden
      guard !unwritten.isEmpty || progress.position.isFar(from: writtenPosition) else { return hasMore }
      let isWritten = try await write()
      return !isWritten || hasMore
    }
  }

  private func nextPage() async throws(RegistryError) -> EventPage {
    func page(after position: EventPosition?) async throws(RegistryError) -> EventPage {
      try await store.events(
        of: webhook.clientID, after: position, webhook.filter, limit: Self.maximumBatch)
    }
    do throws(RegistryError) {
      return try await page(after: progress.position)
    } catch .eventsExpired {
      report(.eventsExpired(webhook.id))
      return try await page(after: nil)
    }
  }

  private func attempt(_ event: RecordedEvent) async -> WebhookDelivery? {
    await receivers.post(event, to: webhook.url, secret: secret, attempt: progress.failures + 1)
  }

  /// Notes the failure, after which the webhook waits for a retry or is disabled.
  private mutating func fail(_ delivery: WebhookDelivery) async throws(RegistryError) -> Bool {
    var number: UInt32 = 0
    withUnsafeMutableBytes(of: &number) { random.fill($0) }
    progress.failed(
      at: clock.now(), isGone: delivery.outcome.isGone, jitter: Double(number) / (Double(UInt32.max) + 1))
    let isWritten = try await write()
    if isWritten, let end = progress.end { report(.disabled(webhook.id, end.cause)) }
    return !isWritten
  }

  // MARK: Writing

  private var isWriteDue: Bool {
    unwritten.count >= Self.maximumBatch
      || MonotonicClock.milliseconds - lastWriteMilliseconds >= Self.writeIntervalMilliseconds
  }

  /// Writes the deliveries and the progress. False if somebody changed or deleted the webhook: the next turn begins with
  /// what is stored.
  private mutating func write() async throws(RegistryError) -> Bool {
    guard !unwritten.isEmpty || progress.position != writtenPosition else { return true }
    let change = Change(by: .system, at: clock.now(), reason: progress.end?.cause.reason)
    let written = try await store.recordDeliveries(
      unwritten, of: webhook, version: version, progress: progress, change: change)
    guard let written else { return false }
    version = written
    unwritten = []
    writtenPosition = progress.position
    lastWriteMilliseconds = MonotonicClock.milliseconds
    return true
  }
}

extension EventPosition {
  /// Whether enough events or transactions may be between the positions that reading them again costs more than a write.
  fileprivate func isFar(from other: EventPosition) -> Bool {
    guard epoch == other.epoch else { return true }
    let isNumbered = transaction != 0
    let distance = isNumbered ? transaction - other.transaction : sequence - other.sequence
    return distance >= DeliveryTurn.unwrittenEvents
  }
}

extension DeliveryProgress.End.Cause {
  /// The reason in the event `webhook.disabled`.
  fileprivate var reason: String? {
    switch self {
    case .failing: "the last retry failed"
    case .gone: "the receiver answered 410 Gone"
    case .owner: nil
    }
  }
}
