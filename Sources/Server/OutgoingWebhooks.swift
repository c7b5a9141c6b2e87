internal import API
internal import EventLoop
internal import Glibc
internal import Observability
internal import Registry
internal import Webhooks

/// What delivers to webhooks: the deliverer, on the first loop, and the sender of test events.
struct OutgoingWebhooks {
  /// For the services of all loops.
  let parts: WebhookParts
  /// Nil without a sealing key.
  let deliverer: Deliverer?

  /// Connections to receivers.
  static func maximumConnections(_ configuration: Configuration) -> Int {
    configuration.sealer == nil ? 0 : Deliverer.maximumTurns + TestSender.maximumTests
  }

  /// Without a sealing key no webhook can be created, and none is delivered to.
  static func start(
    _ configuration: Configuration, on loop: EventLoop, store: any RegistryStore, live: LiveDevices,
    lock: LockState, metrics: WebhookMetrics, clock: any Clock, logger: Logger,
    interruptions: Interruptions, services: inout RunningServices
  ) async throws -> OutgoingWebhooks {
    guard let sealer = configuration.sealer else { return OutgoingWebhooks(parts: .none, deliverer: nil) }
    let options = ReceiverOptions(
      allowsPrivate: configuration.webhooksAllowPrivate,
      certificateFile: getenv("SSL_CERT_FILE").map { String(cString: $0) }, encode: API.json(of:))
    let (receivers, testReceivers) = try await loop.run { () throws(RegistryError) in
      (
        try Receivers(
          on: loop, maximumConnections: Deliverer.maximumTurns, clock: clock, options: options),
        try Receivers(
          on: loop, maximumConnections: TestSender.maximumTests, clock: clock, options: options)
      )
    }
    let sender = TestSender(sealer: sealer, receivers: testReceivers)
    services.start(sender)
    let deliverer = Deliverer(
      on: loop, store: store, sealer: sealer, receivers: receivers, recorded: live.recorded, clock: clock,
      random: SystemRandomSource(), holdsLock: { lock.isHeld }
    ) { report in
      metrics.count(report)
      logger.log(report, interruptions)
    }
    services.start(deliverer, on: loop)
    return OutgoingWebhooks(
      parts: WebhookParts(sealer: sealer, sender: sender, allowsPrivate: configuration.webhooksAllowPrivate),
      deliverer: deliverer)
  }
}

extension Logger {
  /// URLs and answers are the clients': the delivery log has them, this log does not.
  fileprivate func log(_ report: DeliveryReport, _ interruptions: Interruptions) {
    switch report {
    case .began: log(.info, "webhook deliveries begin")
    case .ended:
      log(.notice, "webhook deliveries end: another process has the lock, or this one lost the database")
    case .attempted(let id, let delivery):
      guard !delivery.outcome.isSuccess else { return }
      log(
        .info, "webhook delivery failed",
        [
          "webhook": id.description, "event": delivery.eventID.description, "attempt": String(delivery.attempt),
          "cause": delivery.outcome.status.map { "status \($0)" } ?? delivery.outcome.reason ?? "",
        ])
    case .counted: break
    case .disabled(let id, let cause):
      log(.warning, "webhook disabled", ["webhook": id.description, "cause": cause.rawValue])
    case .eventsExpired(let id):
      log(.warning, "webhook missed events that the retention deleted", ["webhook": id.description])
    case .turnFailed(let id, let error):
      interruptions.warn("webhook not served", ["webhook": id.description, "cause": "\(error)"])
    case .storeFailed(let error): interruptions.warn("webhooks not read", ["cause": "\(error)"])
    }
  }
}
