internal import Encoding
public import Endpoints
internal import HTTP
public import Registry

// The owner's operations on webhooks.

extension API {
  /// Throws `sealingKeyMissing`, `invalid`, `clientNotFound`, `tooManyWebhooks`.
  func createWebhook(
    _ owner: Owner, _ input: Creating<NewWebhook>
  ) async throws(RegistryError) -> Created<CreatedWebhook> {
    let new = input.content
    let created = try await services.idempotency.once(
      input.key, of: owner.clientID, change: owner.change
    ) { (change) async throws(RegistryError) in
      try await services.webhooks.createWebhook(
        clientID: owner.clientID, url: new.url, types: new.types, description: new.description, change: change)
    } replay: { (id) throws(RegistryError) in
      throw .secretAlreadyShown(.webhook, id: id)
    }.value
    return Created(value: created, location: "/api/v1/webhooks/\(created.webhook.id)")
  }

  func listWebhooks(_ owner: Owner, _ input: NoInput) async throws(RegistryError) -> Listing<Webhook> {
    Listing(elements: try await services.webhooks.listWebhooks(clientID: owner.clientID), next: nil)
  }

  /// Throws `webhookNotFound`, `notWebhookOwner`.
  func getWebhook(_ owner: Owner, _ input: WebhookPath) async throws(RegistryError) -> OK<Webhook> {
    OK(value: try await services.webhooks.getWebhook(input.id, owner: owner.clientID))
  }

  /// Throws `invalid`, `webhookNotFound`, `notWebhookOwner`.
  func updateWebhook(
    _ owner: Owner, _ input: PathAndBody<WebhookPath, WebhookUpdate>
  ) async throws(RegistryError) -> OK<Webhook> {
    OK(
      value: try await services.webhooks.updateWebhook(
        input.path.id, owner: owner.clientID, input.body.update, change: owner.change))
  }

  /// Throws `webhookNotFound`, `notWebhookOwner`.
  func deleteWebhook(_ owner: Owner, _ input: WebhookPath) async throws(RegistryError) -> NoContent {
    try await services.webhooks.deleteWebhook(input.id, owner: owner.clientID, change: owner.change)
    return NoContent()
  }

  /// Throws `sealingKeyMissing`, `webhookNotFound`, `notWebhookOwner`, `tooManyWaiting`.
  func testWebhook(_ owner: Owner, _ input: WebhookPath) async throws(RegistryError) -> OK<WebhookDelivery> {
    OK(
      value: try await services.webhooks.testWebhook(
        input.id, owner: owner.clientID, change: owner.change))
  }

  /// Throws `webhookNotFound`, `notWebhookOwner`.
  func listWebhookDeliveries(
    _ owner: Owner, _ input: PathAndPage<WebhookPath, DeliveryCursor>
  ) async throws(RegistryError) -> Listing<WebhookDelivery> {
    let page = try await services.webhooks.listDeliveries(
      of: input.path.id, owner: owner.clientID, limit: input.page.limit ?? WebhookService.defaultPage,
      before: input.page.cursor)
    return Listing(elements: page.elements.map(\.delivery), next: page.next.map(input.page.link))
  }

  /// Throws `webhookNotFound`, `notWebhookOwner`, `eventsExpired`.
  func redeliver(
    _ owner: Owner, _ input: PathAndBody<WebhookPath, Redelivery>
  ) async throws(RegistryError) -> Accepted<Webhook> {
    Accepted(
      value: try await services.webhooks.redeliver(
        input.path.id, owner: owner.clientID, after: input.body.position, change: owner.change))
  }

  /// The JSON text of an event, which deliveries and the feed share.
  public static func json(of event: RecordedEvent) -> [UInt8] {
    event.text(capacity: 512).withBytes { Array($0) }
  }
}

// MARK: Inputs

/// The body that creates a webhook.
struct NewWebhook: JSONInput {
  let url: WebhookURL
  let types: EventPatterns?
  let description: WebhookDescription?

  static let body = JSONBody(
    "WebhookInput",
    .object(
      Member("url", WebhookRules.url, WebhookRules.urlMeaning),
      .optional("types", WebhookRules.types, WebhookRules.typesMeaning),
      .optional("description", WebhookRules.description)
    ) { NewWebhook(url: $0, types: $1, description: $2) })
}

/// The body that changes a webhook. An empty one changes nothing.
struct WebhookUpdate: JSONInput {
  let update: WebhookService.Update

  static let body = JSONBody(
    "WebhookUpdate",
    .object(
      .optional("url", WebhookRules.url, WebhookRules.urlMeaning),
      .removable("types", WebhookRules.types, WebhookRules.typesMeaning),
      .removable("description", WebhookRules.description),
      .optional(
        "enabled", .flag,
        "false stops the deliveries; true continues after the last one, also where the registry stopped them.")
    ) {
      WebhookUpdate(update: WebhookService.Update(url: $0, types: $1, description: $2, isEnabled: $3))
    })
}

/// The body that repeats deliveries.
struct Redelivery: JSONInput {
  let position: EventPosition

  static let body = JSONBody(
    "RedeliveryInput",
    .object(
      Member(
        "after",
        .text(["type": "string", "minLength": 1], message: "must be the `next` of a page of events") {
          Base64URL.decode($0[...]).flatMap(EventPosition.init(bytes:))
        }, "A `next` of `GET /api/v1/events`: what follows it is delivered again.")
    ) { Redelivery(position: $0) })
}

/// The rules of a webhook's members.
private enum WebhookRules {
  static let urlMeaning =
    "https, without a user name. Its host must have a public address when an event is delivered, unless "
    + "`WEBHOOK_ALLOW_PRIVATE` is set."
  static let url = Rule<WebhookURL>.text(
    [
      "type": "string", "maxLength": .integer(Int64(WebhookURL.maximumLength)),
      // Visible ASCII characters without # and backslash after the host. What the pattern leaves out is for few: IPv6
      // literals, ports of five digits and, if the operator allows it, plain HTTP.
      "pattern": #"^https://[A-Za-z0-9._-]+(:[1-9][0-9]{0,3})?([/?][!-"$-\[\]-~]*)?$"#,
    ]
  ) { (text) throws(Problem) in
    do throws(RegistryError) { return try WebhookURL(text) } catch { throw .wrong(error) }
  }

  static let typesMeaning = "Types of events, and patterns such as `device.*`; null or absent for all."
  static let types = Rule.array(of: pattern, 1...EventPatterns.maximumCount)
    .map(message: "must be types of events") { EventPatterns($0) }

  private static let pattern = Rule<String>.text(
    ["type": "string", "enum": .array(EventFilter.patterns.map { .string($0) })]
  ) { (text) throws(Problem) in
    guard EventFilter.types(matching: text) != nil else { throw EventFilter.unknown(text, in: "") }
    return text
  }

  static let description = Rule<WebhookDescription>.text(
    String.schema.adding([
      "maxLength": .integer(Int64(WebhookDescription.maximumLength)),
      "pattern": #"^[^\u0000-\u001f\u007f-\u009f]*$"#,
    ])
  ) { (text) throws(Problem) in
    do throws(RegistryError) { return try WebhookDescription(text) } catch { throw .wrong(error) }
  }
}

extension Problem {
  /// The problem of a value that the registry refuses, whose field the reader adds.
  fileprivate static func wrong(_ error: RegistryError) -> Problem {
    if case .invalid(_, let message) = error { .wrong(message) } else { Problem(error) }
  }
}

/// The path of a webhook.
struct WebhookPath: PathInput {
  let id: WebhookID

  static let parameter = PathParameter(
    WebhookID.schema, "The webhook's id.", notFound: Problem(.webhookNotFound)
  ) { WebhookID($0) }
}

extension DeliveryCursor: PageCursor {
  static let page = PageParameters<DeliveryCursor>(withoutLimit: "default \(WebhookService.defaultPage)")

  var bytes: [UInt8] { UInt64(bitPattern: number).bigEndianBytes }

  init?(bytes: [UInt8]) {
    guard bytes.count == 8 else { return nil }
    self.init(number: Int64(bitPattern: UInt64(bigEndianBytes: bytes[...])))
  }
}

// MARK: Answers

extension Webhook: JSONObject {
  public static var name: String? { "Webhook" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("client_id") { $0.clientID }
    members.add("url") { $0.url.text }
    members.add("types", ["description": "Null for all."]) { $0.types?.patterns }
    members.add("description") { $0.description?.text }
    members.add(
      "status",
      [
        "enum": ["active", "failing", "disabled"],
        "description":
          "failing: the last attempt failed and is repeated. disabled: nothing is delivered until the owner sets enabled.",
      ]
    ) { $0.progress.isEnabled ? $0.progress.failures == 0 ? "active" : "failing" : "disabled" }
    members.add("failures", ["minimum": 0, "description": "Failed attempts at the next event in a row."]) {
      Int64($0.progress.failures)
    }
    members.add("failing_since") { $0.progress.failingSince }
    members.add("next_attempt_at") { $0.progress.nextAttemptAt }
    members.add("disabled_at") { $0.progress.end?.time }
    members.add(
      "disabled_because",
      [
        "description":
          "failing: the last retry failed. gone: the receiver answered 410. owner: its owner set enabled."
      ]
    ) { $0.progress.end?.cause.rawValue }
    members.add("created_at") { $0.createdAt }
    members.add("updated_at") { $0.updatedAt }
  }
}

extension CreatedWebhook: JSONObject {
  public static var name: String? { "CreatedWebhook" }
  public static var isSensitive: Bool { true }

  public static func describe(_ members: inout some Members<Self>) {
    members.include { $0.webhook }
    members.add("secret", ["description": "The key of the signatures, shown once."]) { $0.secret }
  }
}

extension WebhookSecret: JSONWritable {
  public static var schema: JSONValue { ["type": "string", "pattern": "^whsec_[A-Za-z0-9+/]{43}=$"] }
  public func write(to json: inout JSONWriter) { withCharacters { json.plainString($0) } }
}

extension WebhookDelivery: JSONObject {
  public static var name: String? { "WebhookDelivery" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("event_id") { $0.eventID }
    members.add("type") { $0.eventType }
    members.add("attempt", ["minimum": 1]) { Int64($0.attempt) }
    members.add("at") { $0.at }
    members.add("duration_ms", ["minimum": 0]) { Int64($0.durationMilliseconds) }
    members.add("delivered", ["description": "Whether the receiver answered with a 2xx status."]) {
      $0.outcome.isSuccess
    }
    members.add("status", ["description": "The status of the receiver's answer; null without an answer."]) {
      $0.outcome.status.map(Int64.init)
    }
    members.add("response", ["description": "The first 200 bytes of the answer's content."]) {
      $0.outcome.excerpt
    }
    members.add("error", ["description": "Why there was no answer."]) { $0.outcome.reason }
  }
}
