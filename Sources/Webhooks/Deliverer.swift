public import EventLoop
public import Registry

/// Delivers the events of all clients to their webhooks: a reader of the feed that calls out, on one loop.
///
/// Of several processes, the one that holds a lock delivers. A webhook gets its events in the order of the feed, one at a
/// time. What is known of it between two turns is in the database, so a crash loses nothing: what was delivered after the
/// last write is delivered again.
///
/// `@unchecked Sendable`: its state is confined to `loop`, on which `run` runs.
public final class Deliverer: Service, @unchecked Sendable {
  /// Webhooks that are served at a time. A receiver that takes ten seconds for each answer holds one of them, and pauses
  /// after each failure.
  public static let maximumTurns = 256
  /// How soon new events are looked for.
  static let tickMilliseconds = 50
  /// How often all webhooks are looked at, in case a notification was lost.
  static let sweepIntervalMilliseconds: Int64 = 60_000
  /// How often due retries are looked for, and how soon all webhooks are looked at after an error of the database.
  static let retryIntervalMilliseconds: Int64 = 1000
  /// How often the webhooks that fail are counted.
  static let countIntervalMilliseconds: Int64 = 10_000
  /// Webhooks of one statement.
  static let webhooksPerRead = 200
  static let maximumWaiting = 10_000

  private let loop: EventLoop
  private let store: any RegistryStore
  private let sealer: any Sealer
  private let receivers: Receivers
  private let recorded: RecordedClients
  private let clock: any Clock
  private let random: any RandomSource
  private let holdsLock: @Sendable () -> Bool
  private let report: @Sendable (DeliveryReport) -> Void

  /// Webhooks that may have events, in turn over clients.
  private var waiting = FairQueue<DueWebhook>(
    maximumCount: maximumWaiting, maximumPerParty: Webhook.maximumPerClient)
  private var states: [WebhookID: State] = [:]
  private var turns = 0
  private var held = false
  private var sweep = Sweep.due(atMilliseconds: .min)
  private var nextRetriesMilliseconds = Int64.min
  private var nextCountMilliseconds = Int64.min

  private enum State {
    case waiting
    /// - Parameter wasCalled: whether new events arrived meanwhile.
    case served(wasCalled: Bool)
  }

  /// The look at all webhooks.
  private enum Sweep {
    case due(atMilliseconds: Int64)
    case running(after: WebhookID?)
  }

  /// - Parameters:
  ///   - store: the store of `loop`.
  ///   - recorded: the clients that have new events.
  ///   - holdsLock: whether this process is the one that delivers. Called often.
  ///   - report: called on the loop.
  public init(
    on loop: EventLoop, store: any RegistryStore, sealer: any Sealer, receivers: Receivers,
    recorded: RecordedClients, clock: any Clock, random: any RandomSource,
    holdsLock: @escaping @Sendable () -> Bool, report: @escaping @Sendable (DeliveryReport) -> Void
  ) {
    self.loop = loop
    self.store = store
    self.sealer = sealer
    self.receivers = receivers
    self.recorded = recorded
    self.clock = clock
    self.random = random
    self.holdsLock = holdsLock
    self.report = report
  }

  /// Delivers until it is cancelled. Attempts in progress then end, and are repeated by the next process.
  public func run() async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        await findWork()
        while turns < Self.maximumTurns, let first = takeWaiting() {
          turns += 1
          group.addTask { [self] in await serve(first) }
        }
        await loop.sleep(milliseconds: Self.tickMilliseconds)
      }
      group.cancelAll()
    }
    await receivers.close()
  }

  // MARK: Finding work

  private func findWork() async {
    let now = MonotonicClock.milliseconds
    guard testLock() else { return }
    do throws(RegistryError) {
      try await findNewEvents()
      try await findRetries(nowMilliseconds: now)
      try await sweepOn(nowMilliseconds: now)
      try await count(nowMilliseconds: now)
    } catch {
      // Clients with new events may have been forgotten.
      sweep = .due(atMilliseconds: now + Self.retryIntervalMilliseconds)
      report(.storeFailed(error))
    }
  }

  /// Who gets the lock knows nothing of what happened before.
  private func testLock() -> Bool {
    let isHeld = holdsLock()
    if isHeld != held {
      held = isHeld
      report(isHeld ? .began : .ended)
      sweep = .due(atMilliseconds: .min)
      for webhook in waiting.removeAll() { states[webhook.id] = nil }
    }
    return isHeld
  }

  private func findNewEvents() async throws(RegistryError) {
    let (clients, isComplete) = recorded.take(atMost: Self.webhooksPerRead)
    if !isComplete { sweep = .due(atMilliseconds: .min) }
    if !clients.isEmpty { add(try await store.dueWebhooks(of: clients, at: clock.now())) }
  }

  private func findRetries(nowMilliseconds now: Int64) async throws(RegistryError) {
    guard now >= nextRetriesMilliseconds else { return }
    nextRetriesMilliseconds = now + Self.retryIntervalMilliseconds
    add(try await store.webhooksToRetry(at: clock.now(), limit: Self.webhooksPerRead))
  }

  /// Looks at the next webhooks, while there is room for them.
  private func sweepOn(nowMilliseconds now: Int64) async throws(RegistryError) {
    if case .due(let time) = sweep, now >= time { sweep = .running(after: nil) }
    guard case .running(let last) = sweep, waiting.count < Self.maximumWaiting / 2 else { return }
    let found = try await store.dueWebhooks(
      after: last, at: clock.now(), limit: Self.webhooksPerRead)
    add(found)
    sweep =
      found.count < Self.webhooksPerRead
      ? .due(atMilliseconds: now + Self.sweepIntervalMilliseconds) : .running(after: found.last?.id)
  }

  private func count(nowMilliseconds now: Int64) async throws(RegistryError) {
    guard now >= nextCountMilliseconds else { return }
    nextCountMilliseconds = now + Self.countIntervalMilliseconds
    report(.counted(try await store.webhookCounts()))
  }

  private func add(_ found: [DueWebhook]) {
    for webhook in found {
      switch states[webhook.id] {
      case .served: states[webhook.id] = .served(wasCalled: true)
      case .waiting: break
      case nil:
        // One that finds no room is found again by the next sweep.
        guard (try? waiting.append(webhook, Turn(of: webhook.clientID.hashValue))) != nil else { break }
        states[webhook.id] = .waiting
      }
    }
  }

  private func takeWaiting() -> DueWebhook? {
    guard let next = waiting.removeFirst() else { return nil }
    states[next.id] = .served(wasCalled: false)
    return next
  }

  // MARK: Serving

  /// Serves a webhook, and then those that wait.
  private func serve(_ first: DueWebhook) async {
    var next: DueWebhook? = first
    while let webhook = next {
      await serveOnce(webhook)
      next = Task.isCancelled ? nil : takeWaiting()
    }
    turns -= 1
  }

  private func serveOnce(_ webhook: DueWebhook) async {
    var hasMore = false
    do throws(RegistryError) {
      hasMore = try await deliver(to: webhook.id)
    } catch {
      sweep = .due(atMilliseconds: MonotonicClock.milliseconds + Self.retryIntervalMilliseconds)
      report(.turnFailed(webhook.id, error))
    }
    if case .served(wasCalled: true) = states[webhook.id] { hasMore = true }
    states[webhook.id] = nil
    if hasMore { recorded.note(webhook.clientID) }
  }

  /// Returns whether there may be more to deliver now.
  private func deliver(to id: WebhookID) async throws(RegistryError) -> Bool {
    // Only what is read now is current: while it waited, its owner may have changed it, and an earlier turn may have ended
    // after it was found.
    guard let found = try await store.webhook(id), found.webhook.progress.isDue(at: clock.now()) else {
      return false
    }
    let secret = try WebhookSecret(sealed: found.sealedSecret, of: id, with: sealer)
    var turn = DeliveryTurn(
      found, secret: secret, store: store, receivers: receivers, clock: clock, random: random,
      mayContinue: { [self] in !Task.isCancelled && holdsLock() }, report: report)
    return try await turn.run()
  }
}

/// What the deliverer reports, for the log and the metrics.
public enum DeliveryReport: Sendable {
  /// This process delivers, and it no longer does.
  case began
  case ended
  case attempted(WebhookID, WebhookDelivery)
  case counted(WebhookCounts)
  case disabled(WebhookID, DeliveryProgress.End.Cause)
  /// The retention deleted events that the webhook had not got.
  case eventsExpired(WebhookID)
  case turnFailed(WebhookID, RegistryError)
  case storeFailed(RegistryError)
}
