public import Endpoints
internal import HTTP
public import Registry

// What an owner does with signals.

extension API {
  /// Throws `clientNotFound`, `deviceNotFound`, `notOwner`, `deviceRevoked`, `tooManySignals`.
  func createSignal(_ owner: Owner, _ input: NewSignal) async throws(RegistryError) -> Created<SignalSummary> {
    let signal = try await services.signals.createSignal(
      clientID: owner.clientID, payload: input.payload, to: input.addressees,
      lifetimeSeconds: input.lifetimeSeconds, change: owner.change)
    return Created(value: signal, location: "/api/v1/signals/\(signal.id)")
  }

  func listSignals(
    _ owner: Owner, _ input: PageInput<SignalCursor>
  ) async throws(RegistryError) -> Listing<SignalSummary> {
    let page = try await services.signals.listSignals(
      clientID: owner.clientID, limit: input.limit ?? SignalService.defaultPage, after: input.cursor)
    return Listing(elements: page.elements, next: page.next.map(input.link))
  }

  /// Throws `signalNotFound`, `notSignalOwner`.
  func getSignal(_ owner: Owner, _ input: SignalPath) async throws(RegistryError) -> OK<SentSignal> {
    let (signal, devices, deliveries) = try await services.signals.getSignal(input.id, owner: owner.clientID)
    return OK(
      value: SentSignal(
        signal: signal, devices: devices, deliveries: deliveries, now: services.clock.now()))
  }
}

/// `{"payload", "device_ids" or "all", "ttl_seconds"?}`; null is as good as absent.
struct NewSignal: Input {
  let payload: [UInt8]
  let addressees: Addressees
  let lifetimeSeconds: Int

  private struct Body: Decodable {
    let payload: Payload
    let device_ids: [String]?
    let all: Bool?
    let ttl_seconds: JSONInteger?
  }

  /// Any object; its bytes are taken as they are.
  private struct Payload: Decodable {
    private enum NoKeys: CodingKey {}

    init(from decoder: any Decoder) throws {
      do {
        _ = try decoder.container(keyedBy: NoKeys.self)
      } catch {
        throw DecodingError.typeMismatch(
          [String: Any].self,
          DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "not an object"))
      }
    }
  }

  static let description = InputDescription(
    body: Schema(
      name: "SignalInput",
      definition: [
        "type": "object",
        "required": ["payload"],
        "additionalProperties": false,
        "oneOf": [
          ["required": ["device_ids"], "properties": ["device_ids": ["type": "array"]]],
          ["required": ["all"], "properties": ["all": ["const": true]]],
        ],
        "properties": [
          "payload": [
            "type": "object",
            "additionalProperties": true,
            "description": "The content that the devices receive, unchanged; at most 16 KiB of JSON.",
          ],
          "device_ids": [
            "type": ["array", "null"], "minItems": 1, "maxItems": .integer(Int64(Addressees.maximumListed)),
            "items": ["type": "string", "format": "uuid"],
            "description": "The devices that receive it; repeated ids count once.",
          ],
          "all": [
            "anyOf": [["const": true], ["type": "null"]],
            "description": "Sends it to all devices that are active now.",
          ],
          "ttl_seconds": [
            "type": ["integer", "null"],
            "minimum": .integer(Int64(Signal.lifetimeSeconds.lowerBound)),
            "maximum": .integer(Int64(Signal.lifetimeSeconds.upperBound)),
            "default": .integer(Int64(Signal.defaultLifetimeSeconds)),
            "description": "Seconds until it expires.",
          ],
        ],
      ]))

  init(of call: Call) throws(Problem) {
    let body = try call.json(Body.self)
    // What the decoder found may have been written with escapes.
    guard let payload = call.rawMember("payload") else { throw .invalidValue(of: "payload", "is missing") }
    guard payload.count <= Signal.maximumPayloadBytes else {
      throw .invalidValue(of: "payload", "must have \(Signal.maximumPayloadBytes) bytes at most")
    }
    self.payload = Array(payload)
    addressees = try Self.addressees(body)
    lifetimeSeconds =
      try body.ttl_seconds?.value(in: Signal.lifetimeSeconds, of: "ttl_seconds")
      ?? Signal.defaultLifetimeSeconds
  }

  private static func addressees(_ body: Body) throws(Problem) -> Addressees {
    switch (body.device_ids, body.all) {
    case (nil, true?): return .all
    case (let texts?, nil): return .devices(try devices(texts))
    case (_, false?): throw .invalidValue(of: "all", "must be true, or absent")
    case (nil, nil): throw .invalidValue(of: "device_ids", "is missing, and so is `all`: one of them is needed")
    case (_?, true?): throw .invalidValue(of: "all", "must not be given beside `device_ids`")
    }
  }

  /// Each once, in their order.
  private static func devices(_ texts: [String]) throws(Problem) -> [DeviceID] {
    guard (1...Addressees.maximumListed).contains(texts.count) else {
      throw .invalidValue(of: "device_ids", "must have 1 to \(Addressees.maximumListed) elements")
    }
    var seen: Set<DeviceID> = []
    var ids: [DeviceID] = []
    for text in texts {
      // What is not of the form of an id names no device.
      guard let id = DeviceID(text) else { throw Problem(.deviceNotFound) }
      if seen.insert(id).inserted { ids.append(id) }
    }
    return ids
  }
}

/// A signal in the path.
struct SignalPath: Input {
  let id: SignalID

  static let description = InputDescription(parameters: [
    ParameterDescription(
      name: "id", place: .path, meaning: "The signal's id.", schema: ["type": "string", "format": "uuid"])
  ])

  /// What is not of the form of an id names no signal.
  init(of call: Call) throws(Problem) {
    guard let text = call.pathParameters[0], let id = SignalID(text) else { throw Problem(.signalNotFound) }
    self.id = id
  }
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
  }
}

/// A signal with its payload, and what became of it at each of its devices that are still there.
struct SentSignal: JSONObject {
  let signal: Signal
  let devices: Int
  let deliveries: [Delivery]
  let now: Timestamp

  static let name: String? = "SentSignal"

  private var summary: SignalSummary {
    SignalSummary(id: signal.id, createdAt: signal.createdAt, expiresAt: signal.expiresAt, devices: devices)
  }

  static func describe(_ members: inout some Members<Self>) {
    members.include { $0.summary }
    members.add("payload") { JSONText(bytes: $0.signal.payload) }
    members.add("deliveries") { sent in
      let isExpired = sent.signal.expiresAt <= sent.now
      return sent.deliveries.map { SentDelivery(delivery: $0, isExpired: isExpired) }
    }
  }
}

/// What became of a signal at a device.
private struct SentDelivery: JSONObject {
  let delivery: Delivery
  let isExpired: Bool

  private var state: String {
    delivery.acknowledgement != nil ? "acked" : isExpired ? "expired" : "pending"
  }

  static func describe(_ members: inout some Members<Self>) {
    members.add("device_id") { $0.delivery.deviceID }
    members.add("state", ["enum": ["pending", "acked", "expired"]]) { $0.state }
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

extension Acknowledgement.Status {
  static let schema: JSONValue = [
    "type": "string", "enum": .array(allCases.map { .string($0.rawValue) }),
  ]
}
