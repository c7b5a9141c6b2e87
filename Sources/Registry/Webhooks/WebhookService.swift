/// The owner's operations on webhooks. Each event loop has one, with the loop's own store.
public struct WebhookService: Sendable {
  private let store: any RegistryStore
  private let clock: any Clock
  private let random: any RandomSource
  private let observer: any RegistryObserver
  private let parts: WebhookParts

  init(
    store: any RegistryStore, clock: any Clock, random: any RandomSource, observer: any RegistryObserver,
    parts: WebhookParts
  ) {
    self.store = store
    self.clock = clock
    self.random = random
    self.observer = observer
    self.parts = parts
  }

  /// What an owner may change. Nil leaves the value as it is.
  public struct Update: Sendable {
    public var url: WebhookURL?
    public var types: EventPatterns??
    public var description: WebhookDescription??
    public var isEnabled: Bool?

    public init(
      url: WebhookURL? = nil, types: EventPatterns?? = nil, description: WebhookDescription?? = nil,
      isEnabled: Bool? = nil
    ) {
      self.url = url
      self.types = types
      self.description = description
      self.isEnabled = isEnabled
    }
  }

  /// Creates a webhook with a new secret. Its first event is its own `webhook.created`. Only the result has the secret.
  /// Throws `sealingKeyMissing`, `invalid`, `clientNotFound`, `tooManyWebhooks`.
  public func createWebhook(
    clientID: ClientID, url: WebhookURL, types: EventPatterns?, description: WebhookDescription?, change: Change
  ) async throws(RegistryError) -> CreatedWebhook {
    guard let sealer = parts.sealer else { throw .sealingKeyMissing }
    if !parts.allowsPrivate { try url.testHTTPS() }
    let webhook = Webhook(
      id: WebhookID(at: change.time, random: random), clientID: clientID, url: url, types: types,
      description: description, createdAt: change.time, updatedAt: change.time,
      progress: DeliveryProgress(after: try await store.eventsEnd()))
    let secret = WebhookSecret(random: random)
    try await store.insertWebhook(
      webhook, sealedSecret: secret.sealed(for: webhook.id, with: sealer),
      changes: EventChanges(from: nil, to: webhook), change: change)
    observer.changed(RegistryEvent(.webhookCreated, by: change, of: clientID))
    return CreatedWebhook(webhook: webhook, secret: secret)
  }

  /// The client's webhooks, oldest first.
  public func listWebhooks(clientID: ClientID) async throws(RegistryError) -> [Webhook] {
    try await store.webhooks(of: clientID)
  }

  /// Throws `webhookNotFound`, `notWebhookOwner`.
  public func getWebhook(_ id: WebhookID, owner: ClientID) async throws(RegistryError) -> Webhook {
    try await deliverable(id, owner: owner).webhook
  }

  private func deliverable(
    _ id: WebhookID, owner: ClientID
  ) async throws(RegistryError) -> DeliverableWebhook {
    guard let found = try await store.webhook(id) else { throw .webhookNotFound }
    guard found.webhook.clientID == owner else { throw .notWebhookOwner }
    return found
  }

  /// Changes a webhook. One that is enabled, or that gets another URL while it fails, is tried again at once. Throws
  /// `invalid`, `webhookNotFound`, `notWebhookOwner`.
  public func updateWebhook(
    _ id: WebhookID, owner: ClientID, _ update: Update, change: Change
  ) async throws(RegistryError) -> Webhook {
    if !parts.allowsPrivate { try update.url?.testHTTPS() }
    return try await write(id, owner: owner, change: change) { old in
      var progress = old.progress
      if update.isEnabled == false { progress.disable(at: change.time) }
      let isOtherURL = update.url.map { $0 != old.url } ?? false
      if update.isEnabled == true && !progress.isEnabled || isOtherURL && progress.isEnabled {
        progress.restart()
      }
      return old.changed(
        url: update.url ?? old.url, types: update.types ?? old.types,
        description: update.description ?? old.description, progress: progress, at: change.time)
    }
  }

  /// Delivers again all events after a position, in their order, and then those that follow. A disabled webhook stays
  /// disabled. Throws `webhookNotFound`, `notWebhookOwner`, `eventsExpired`.
  public func redeliver(
    _ id: WebhookID, owner: ClientID, after position: EventPosition, change: Change
  ) async throws(RegistryError) -> Webhook {
    _ = try await getWebhook(id, owner: owner)
    _ = try await store.events(of: owner, after: position, .all, limit: 1, scan: 1)
    // Also where the position stays: deliveries that are not written yet then do not count.
    return try await write(id, owner: owner, change: change, evenIfSame: true) { old in
      var progress = old.progress
      if progress.isEnabled {
        progress.goBack(to: position)
      } else {
        progress.position = min(progress.position, position)
      }
      return old.changed(
        url: old.url, types: old.types, description: old.description, progress: progress, at: change.time)
    }
  }

  /// Attempts of a write that others get ahead of: deliveries of a fast receiver write a few times a second.
  private static let maximumAttempts = 20

  /// Writes a webhook, mostly unless it stays the same.
  private func write(
    _ id: WebhookID, owner: ClientID, change: Change, evenIfSame: Bool = false, _ changed: (Webhook) -> Webhook
  ) async throws(RegistryError) -> Webhook {
    for _ in 0..<Self.maximumAttempts {
      let found = try await deliverable(id, owner: owner)
      let new = changed(found.webhook)
      if !evenIfSame, new.isSame(as: found.webhook) { return found.webhook }
      let changes = EventChanges(from: found.webhook, to: new)
      guard try await store.updateWebhook(new, version: found.version, changes: changes, change: change) else {
        continue
      }
      observer.changed(RegistryEvent(.webhookUpdated, by: change, of: owner))
      return new
    }
    throw .overloaded(queue: "deliveries of the webhook")
  }

  /// Deletes a webhook and its log. Throws `webhookNotFound`, `notWebhookOwner`.
  public func deleteWebhook(_ id: WebhookID, owner: ClientID, change: Change) async throws(RegistryError) {
    if try await store.deleteWebhook(id, of: owner, change: change) {
      observer.changed(RegistryEvent(.webhookDeleted, by: change, of: owner))
      return
    }
    _ = try await getWebhook(id, owner: owner)
    throw .fault(cause: "webhook \(id) could be deleted, but was not")
  }

  /// Posts a test event, which is in no feed, and returns what became of it. Throws `sealingKeyMissing`,
  /// `webhookNotFound`, `notWebhookOwner`, `tooManyWaiting`, `overloaded`.
  public func testWebhook(
    _ id: WebhookID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> WebhookDelivery {
    guard let sender = parts.sender else { throw .sealingKeyMissing }
    let found = try await deliverable(id, owner: owner)
    let event = RecordedEvent(
      id: EventID(at: change.time, random: random), position: .start, type: Self.testType, at: change.time,
      clientID: owner, deviceID: nil, signalID: nil, actorKind: change.actor.kind, actorID: change.actor.id,
      requestID: change.requestID, reason: change.reason, changes: nil)
    return try await sender.sendTest(event, to: found)
  }

  /// The type of test events.
  public static let testType = "webhook.test"

  /// The page size of the log when the caller gives no limit.
  public static let defaultPage = 100

  /// The log of a webhook's deliveries, newest first. Throws `webhookNotFound`, `notWebhookOwner`.
  public func listDeliveries(
    of id: WebhookID, owner: ClientID, limit: Int = defaultPage, before cursor: DeliveryCursor? = nil
  ) async throws(RegistryError) -> Page<LoggedDelivery, DeliveryCursor> {
    _ = try await getWebhook(id, owner: owner)
    let deliveries = try await store.webhookDeliveries(of: id, before: cursor, limit: limit + 1)
    return Page(deliveries, limit: limit) { DeliveryCursor(number: $0.number) }
  }
}

/// What webhooks need beside the store.
public struct WebhookParts: Sendable {
  /// Nil without a sealing key: then no webhook can be created.
  public let sealer: (any Sealer)?
  /// Nil without a sealing key.
  public let sender: (any WebhookSender)?
  /// Whether URLs may begin with `http://` and lead to private addresses.
  public let allowsPrivate: Bool

  public init(sealer: (any Sealer)?, sender: (any WebhookSender)?, allowsPrivate: Bool) {
    self.sealer = sealer
    self.sender = sender
    self.allowsPrivate = allowsPrivate
  }

  public static let none = WebhookParts(sealer: nil, sender: nil, allowsPrivate: false)
}

/// Posts an event to a webhook's receiver.
public protocol WebhookSender: Sendable {
  /// Posts a test event at once. Throws `tooManyWaiting` while the client's previous test runs, `overloaded` while too many
  /// of all clients run, and `unavailable` if the secret cannot be opened.
  func sendTest(
    _ event: RecordedEvent, to webhook: DeliverableWebhook
  ) async throws(RegistryError) -> WebhookDelivery
}

extension Webhook {
  fileprivate func changed(
    url: WebhookURL, types: EventPatterns?, description: WebhookDescription?, progress: DeliveryProgress,
    at time: Timestamp
  ) -> Webhook {
    Webhook(
      id: id, clientID: clientID, url: url, types: types, description: description, createdAt: createdAt,
      updatedAt: time, progress: progress)
  }

  fileprivate func isSame(as other: Webhook) -> Bool {
    url == other.url && types == other.types && description == other.description && progress == other.progress
  }
}

extension EventChanges {
  /// A URL is not among them.
  fileprivate init(from old: Webhook?, to new: Webhook) {
    self = [:]
    add("webhook_id", from: EventValue(old?.id.description), to: EventValue(new.id.description))
    if old?.types != new.types {
      add("types", from: EventValue(old?.types?.patterns), to: EventValue(new.types?.patterns))
    }
    if old?.description != new.description {
      add("description", from: EventValue(old?.description?.text), to: EventValue(new.description?.text))
    }
    let (was, isEnabled) = (old?.progress.isEnabled, new.progress.isEnabled)
    if was != isEnabled { add("enabled", from: was.map { .bool($0) } ?? .null, to: .bool(isEnabled)) }
  }
}

extension EventValue {
  fileprivate init(_ text: String?) { self = text.map { .text($0) } ?? .null }
  fileprivate init(_ texts: [String]?) { self = texts.map { .list($0) } ?? .null }
}
