public import Endpoints
internal import HTTP
public import Registry

// The owner's operations on signals.

extension API {
  /// Throws `clientNotFound`, `groupNotFound`, `deviceNotFound`, `notOwner`, `deviceRevoked`, `tooManySignals`,
  /// `tooManyKeptSignals`, `tooManyDeliveries`.
  func createSignal(
    _ owner: Owner, _ input: Creating<NewSignal>
  ) async throws(RegistryError) -> Created<SignalSummary> {
    let new = input.content
    let signal = try await services.idempotency.once(
      input.key, of: owner.clientID, change: owner.change
    ) { (change) async throws(RegistryError) in
      try await services.signals.createSignal(
        clientID: owner.clientID, payload: new.payload, to: new.selector,
        lifetimeSeconds: new.lifetimeSeconds,
        change: change)
    } replay: { (id) async throws(RegistryError) in
      try await services.signals.getSummary(SignalID(id)!)
    }
    return Created(
      value: signal.value, location: "/api/v1/signals/\(signal.value.id)", isReplayed: signal.isReplayed)
  }

  func listSignals(
    _ owner: Owner, _ input: PageInput<SignalCursor>
  ) async throws(RegistryError) -> Listing<SignalSummary> {
    let page = try await services.signals.listSignals(
      clientID: owner.clientID, limit: input.limit ?? SignalService.defaultPage, after: input.cursor)
    return Listing(elements: page.elements, next: page.next.map(input.link))
  }

  /// Throws `signalNotFound`, `notSignalOwner`.
  func getSignal(
    _ owner: Owner, _ input: PathAndPage<SignalPath, DeviceID>
  ) async throws(RegistryError) -> PageOf<SentSignal> {
    let (signal, summary, deliveries) = try await services.signals.getSignal(
      input.path.id, owner: owner.clientID, limit: input.page.limit ?? SignalService.maximumDeliveryPage,
      after: input.page.cursor)
    return PageOf(
      value: SentSignal(
        signal: signal, summary: summary, deliveries: deliveries.elements, now: services.clock.now()),
      rows: deliveries.elements.count, next: deliveries.next.map(input.page.link))
  }

  /// Throws `signalNotFound`, `notSignalOwner`.
  func cancelSignal(
    _ owner: Owner, _ input: PathAndBody<SignalPath, Cancelling>
  ) async throws(RegistryError) -> OK<SignalService.Cancellation> {
    OK(
      value: try await services.signals.cancelSignal(
        input.path.id, owner: owner.clientID, change: owner.change.because(input.body.reason)))
  }
}

/// The body that creates a signal.
struct NewSignal: JSONInput {
  let payload: [UInt8]
  let selector: DeviceSelector
  let lifetimeSeconds: Int

  static let body = JSONBody(
    "SignalInput",
    .object(
      Member(
        "payload", .rawObject(atMost: Signal.maximumPayloadBytes),
        "The content that the devices receive, unchanged; at most 16 KiB of JSON."),
      SelectorMembers.devices, SelectorMembers.all, SelectorMembers.group, SelectorMembers.labels,
      .optional(
        "ttl_seconds", .integer(in: Signal.lifetimeSeconds), default: Signal.defaultLifetimeSeconds,
        "Seconds until it expires."),
      oneOf: SelectorMembers.names
    ) { (payload, devices, all, group, labels, lifetimeSeconds) throws(Problem) in
      NewSignal(
        payload: payload, selector: try SelectorMembers.selector(devices, all, group, labels),
        lifetimeSeconds: lifetimeSeconds)
    })
}

/// The body that cancels a signal.
struct Cancelling: JSONInput {
  let reason: String?

  static let body = JSONBody(
    "CancellationInput", isOptional: true, .object(Member.reason) { Cancelling(reason: $0) })
}

extension SignalService.Cancellation: JSONObject {
  public static var name: String? { "Cancellation" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add(
      "cancelled",
      ["minimum": 0, "description": "Devices that had not acknowledged the signal when it was cancelled."]
    ) { Int64($0.cancelled) }
    members.add("too_late", ["minimum": 0, "description": "Devices that had."]) { Int64($0.tooLate) }
  }
}

/// The path of a signal.
struct SignalPath: PathInput {
  let id: SignalID

  static let parameter = PathParameter(
    SignalID.schema, "The signal's id.", notFound: Problem(.signalNotFound)
  ) { SignalID($0) }
}

extension SignalSummary: JSONObject {
  public static var name: String? { "Signal" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("created_at") { $0.createdAt }
    members.add("expires_at") { $0.expiresAt }
    members.add("devices", ["minimum": 0, "description": "How many devices it was sent to."]) {
      Int64($0.devices)
    }
    members.add("cancelled_at", ["description": "When it was cancelled."]) { $0.cancelledAt }
  }
}

/// A signal with its payload and a page of its deliveries, to devices that still exist.
struct SentSignal: JSONObject {
  let signal: Signal
  let summary: SignalSummary
  let deliveries: [Delivery]
  let now: Timestamp

  static let name: String? = "SentSignal"

  static func describe(_ members: inout some Members<Self>) {
    members.include { $0.summary }
    members.add("payload") { JSONText(bytes: $0.signal.payload) }
    members.add("deliveries") { sent in
      let isExpired = sent.signal.expiresAt <= sent.now
      return sent.deliveries.map { SentDelivery(delivery: $0, isExpired: isExpired) }
    }
  }
}

/// The delivery of a signal to a device.
private struct SentDelivery: JSONObject {
  let delivery: Delivery
  let isExpired: Bool

  private var state: String {
    delivery.acknowledgement != nil
      ? "acked"
      : delivery.isCancelled
        ? "cancelled" : isExpired ? "expired" : delivery.handedOutAt != nil ? "handed_out" : "pending"
  }

  static func describe(_ members: inout some Members<Self>) {
    members.add("device_id") { $0.delivery.deviceID }
    members.add("state", ["enum": ["pending", "handed_out", "acked", "expired", "cancelled"]]) { $0.state }
    members.add(
      "handed_out_at",
      ["description": "When a poll of the device first returned the signal; known within a second."]
    ) { $0.delivery.handedOutAt }
    members.add("status", ["description": "What the device did: placed, failed or skipped."]) {
      $0.delivery.acknowledgement?.status.rawValue
    }
    members.add("broker_ticket", .textBounds(maximum: Acknowledgement.maximumTicketLength)) {
      $0.delivery.acknowledgement?.brokerTicket
    }
    members.add("error", .textBounds(maximum: Acknowledgement.maximumErrorLength)) {
      $0.delivery.acknowledgement?.error
    }
    members.add("acked_at") { $0.delivery.ackedAt }
  }
}
