/// Stores webhooks, how far their deliveries are, and the log of these.
public protocol WebhookStore: Sendable {
  /// Throws `clientNotFound`, `tooManyWebhooks`.
  ///
  /// - Parameter changes: the event's old and new values, as JSON.
  func insertWebhook(
    _ webhook: Webhook, sealedSecret: [UInt8], changes: EventChanges, change: Change
  ) async throws(RegistryError)

  func webhook(_ id: WebhookID) async throws(RegistryError) -> DeliverableWebhook?

  /// The client's webhooks, oldest first; their number is bounded.
  func webhooks(of client: ClientID) async throws(RegistryError) -> [Webhook]

  /// Replaces what the owner may change, and the progress, of a webhook that nobody has changed since `version` was read.
  /// False, without effect, if it was changed or deleted.
  ///
  /// - Parameter changes: the event's old and new values, as JSON.
  func updateWebhook(
    _ webhook: Webhook, version: Int64, changes: EventChanges, change: Change
  ) async throws(RegistryError) -> Bool

  /// Deletes a webhook of this owner with its log. False if it does not exist.
  func deleteWebhook(_ id: WebhookID, of owner: ClientID, change: Change) async throws(RegistryError) -> Bool

  // MARK: Deliveries

  /// The enabled webhooks of these clients that do not wait for a retry. At most 1,000 clients.
  func dueWebhooks(of clients: [ClientID], at time: Timestamp) async throws(RegistryError) -> [DueWebhook]

  /// Enabled webhooks that do not wait for a retry, by id, at most `limit`.
  func dueWebhooks(
    after id: WebhookID?, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [DueWebhook]

  /// Webhooks whose retry is due, the longest due first, at most `limit`.
  func webhooksToRetry(at time: Timestamp, limit: Int) async throws(RegistryError) -> [DueWebhook]

  /// Logs deliveries of a webhook in their order and sets its progress, if nobody has changed it since `version` was read.
  /// Returns its new version; nil, without effect, if it was changed or deleted. If the progress ends the deliveries, that
  /// is an event. The log keeps the last `WebhookDelivery.maximumKept`.
  func recordDeliveries(
    _ deliveries: [WebhookDelivery], of webhook: Webhook, version: Int64, progress: DeliveryProgress,
    change: Change
  ) async throws(RegistryError) -> Int64?

  /// The log of a webhook, newest first.
  func webhookDeliveries(
    of id: WebhookID, before cursor: DeliveryCursor?, limit: Int
  ) async throws(RegistryError) -> [LoggedDelivery]

  /// Deletes logged deliveries that began before a time. Returns how many it deleted, at most `maximumRows`.
  func removeWebhookDeliveries(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int

  /// The webhooks that are failing and those that are disabled because they failed.
  func webhookCounts() async throws(RegistryError) -> WebhookCounts
}

/// A webhook that may have events to deliver.
public struct DueWebhook: Hashable, Sendable {
  public let id: WebhookID
  public let clientID: ClientID

  public init(id: WebhookID, clientID: ClientID) {
    self.id = id
    self.clientID = clientID
  }
}

/// A webhook with what no answer shows.
public struct DeliverableWebhook: Sendable {
  public let webhook: Webhook
  public let sealedSecret: [UInt8]
  /// Changes with each write, so that two writers notice each other.
  public let version: Int64

  public init(webhook: Webhook, sealedSecret: [UInt8], version: Int64) {
    self.webhook = webhook
    self.sealedSecret = sealedSecret
    self.version = version
  }
}

/// How many webhooks do not get their events.
public struct WebhookCounts: Hashable, Sendable {
  /// Enabled, and the last attempt failed.
  public let failing: Int
  /// Disabled, other than by their owner.
  public let disabled: Int

  public init(failing: Int, disabled: Int) {
    self.failing = failing
    self.disabled = disabled
  }
}
