public import Foundation

/// A URL to which the registry posts the owner's events.
public struct Webhook: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  public let url: String
  /// Types of events, and patterns such as `device.*`; nil for all.
  public let types: [String]?
  public let description: String?
  public let status: Status
  /// Failed attempts at the next event in a row.
  public let failures: Int
  public let failingSince: Date?
  /// When the next event is tried again; nil unless it failed.
  public let nextAttemptAt: Date?
  public let disabledAt: Date?
  /// Why it is disabled: `failing`, `gone` or `owner`.
  public let disabledBecause: String?
  public let createdAt: Date
  public let updatedAt: Date

  public enum Status: String, Decodable, Hashable, Sendable {
    case active
    /// The last attempt failed and is repeated.
    case failing
    /// Nothing is delivered until the owner enables it.
    case disabled
  }

  enum CodingKeys: String, CodingKey {
    case id, url, types, description, status, failures
    case failingSince = "failing_since"
    case nextAttemptAt = "next_attempt_at"
    case disabledAt = "disabled_at"
    case disabledBecause = "disabled_because"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }
}

/// A new webhook with its secret, which only this value contains.
public struct CreatedWebhook: Decodable, Hashable, Sendable {
  public let webhook: Webhook
  /// `whsec_` and base64: libraries of Standard Webhooks verify deliveries with it.
  public let secret: String

  enum CodingKeys: String, CodingKey { case secret }

  public init(from decoder: any Decoder) throws {
    webhook = try Webhook(from: decoder)
    secret = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .secret)
  }
}

extension CreatedWebhook: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "\(webhook.id), secret <redacted>" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["webhook": webhook]) }
}

/// An attempt to deliver an event.
public struct WebhookDelivery: Decodable, Hashable, Sendable {
  public let eventID: String
  public let type: String
  /// 1 for the first attempt at the event.
  public let attempt: Int
  public let at: Date
  public let durationMilliseconds: Int
  /// Whether the receiver answered with a 2xx status.
  public let isDelivered: Bool
  /// The status of the answer; nil without an answer.
  public let status: Int?
  /// The beginning of the answer's content.
  public let response: String?
  /// Why there was no answer.
  public let error: String?

  enum CodingKeys: String, CodingKey {
    case type, attempt, at, status, response, error
    case eventID = "event_id"
    case durationMilliseconds = "duration_ms"
    case isDelivered = "delivered"
  }
}

/// What to change of a webhook. Nil leaves a value as it is.
public struct WebhookChange: Encodable, Hashable, Sendable {
  public var url: String?
  /// `.some(nil)` for all types.
  public var types: [String]??
  public var description: String??
  /// False stops the deliveries; true continues after the last one.
  public var isEnabled: Bool?

  public init(
    url: String? = nil, types: [String]?? = nil, description: String?? = nil, isEnabled: Bool? = nil
  ) {
    self.url = url
    self.types = types
    self.description = description
    self.isEnabled = isEnabled
  }

  enum CodingKeys: String, CodingKey {
    case url, types, description
    case isEnabled = "enabled"
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encodeIfPresent(url, forKey: .url)
    if let types { try members.encode(types, forKey: .types) }
    if let description { try members.encode(description, forKey: .description) }
    try members.encodeIfPresent(isEnabled, forKey: .isEnabled)
  }
}

extension OwnerClient {
  /// Creates a webhook and returns it with its secret, which is shown only once.
  ///
  /// - Parameters:
  ///   - url: begins with `https://`.
  ///   - types: types of events, and patterns such as `device.*`; nil for all.
  ///
  /// Throws a `problem` of kind `sealing-key-missing` or `too-many-webhooks`.
  public func createWebhook(
    url: String, types: [String]? = nil, description: String? = nil, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> CreatedWebhook {
    let webhook = WebhookChange(url: url, types: types.map { $0 }, description: description.map { $0 })
    return try await perform(.createWebhook(webhook), idempotencyKey: idempotencyKey)
  }

  /// The owner's webhooks, oldest first.
  public func listWebhooks() async throws(RegistryClientError) -> [Webhook] { try await webhooks().all() }

  /// The owner's webhooks, which fit one page.
  package func webhooks() -> Pages<Webhook> { Pages(exchange: exchange, target: webhooksPath) }

  /// One webhook. Throws a `problem` with 404 if it does not exist, or 403 if it is another owner's.
  public func webhook(_ id: String) async throws(RegistryClientError) -> Webhook {
    try await perform(.webhook(id))
  }

  /// Changes a webhook. Throws as `webhook` does.
  @discardableResult
  public func changeWebhook(_ id: String, _ change: WebhookChange) async throws(RegistryClientError) -> Webhook
  {
    try await perform(.changeWebhook(id, change))
  }

  /// Deletes a webhook and the log of its deliveries. Throws as `webhook` does.
  public func deleteWebhook(_ id: String) async throws(RegistryClientError) {
    try await perform(OwnerRequest<Void>("DELETE", try path(ofWebhook: id)))
  }

  /// Posts a test event, and returns what the receiver answered. Throws as `webhook` does.
  public func testWebhook(_ id: String) async throws(RegistryClientError) -> WebhookDelivery {
    try await perform(.testWebhook(id))
  }

  /// The last attempts to deliver events, newest first. Pages are fetched as elements are read.
  public func webhookDeliveries(_ id: String) throws(RegistryClientError) -> Pages<WebhookDelivery> {
    Pages(
      exchange: exchange, target: try path(ofWebhook: id, "/deliveries?limit=\(webhookDeliveryPageSize)"))
  }

  /// Delivers again all events after a position of the feed. Throws as `webhook` does, and `cursorExpired`.
  ///
  /// - Parameter cursor: the `next` of an `EventPage`.
  @discardableResult
  public func redeliver(_ id: String, after cursor: String) async throws(RegistryClientError) -> Webhook {
    struct Body: Encodable { let after: String }
    let body = try Data.json(Body(after: cursor), "cursor")
    return try await perform(OwnerRequest("POST", try path(ofWebhook: id, "/redeliver"), body: body))
  }
}

// MARK: - Requests

private let webhooksPath = "/api/v1/webhooks"
private let webhookDeliveryPageSize = 100
/// The registry waits 10 s for the receiver.
private let webhookTestTimeoutSeconds = 20.0

/// Throws `invalidArgument` if the id is no UUID.
private func path(ofWebhook id: String, _ operation: String = "") throws(RegistryClientError) -> String {
  "\(webhooksPath)/\(try String.pathID(id))\(operation)"
}

extension OwnerRequest<CreatedWebhook> {
  static func createWebhook(_ webhook: WebhookChange) throws(RegistryClientError) -> Self {
    Self("POST", webhooksPath, body: try .json(webhook, "webhook"), isCreating: true)
  }
}

extension OwnerRequest<Webhook> {
  package static func webhook(_ id: String) throws(RegistryClientError) -> Self {
    Self("GET", try path(ofWebhook: id))
  }

  package static func changeWebhook(_ id: String, _ change: WebhookChange) throws(RegistryClientError) -> Self {
    Self("PATCH", try path(ofWebhook: id), body: try .json(change, "change"))
  }
}

extension OwnerRequest<WebhookDelivery> {
  package static func testWebhook(_ id: String) throws(RegistryClientError) -> Self {
    Self("POST", try path(ofWebhook: id, "/test"), timeoutSeconds: webhookTestTimeoutSeconds)
  }
}
