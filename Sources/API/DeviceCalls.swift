public import Endpoints
package import HTTP
public import Registry

// What a device does.

extension API {
  func whoami(_ device: AuthenticatedDevice, _ input: NoInput) async throws(RegistryError) -> OK<CallingDevice>
  {
    let found = try await services.devices.callingDevice(device.session)
    return OK(value: CallingDevice(device: found, serverTime: services.clock.now()))
  }

  func poll(_ device: AuthenticatedDevice, _ input: PollInput) async throws(RegistryError) -> PolledSignals {
    let polled = try await services.signals.poll(
      device.session, waitSeconds: input.waitSeconds, limit: input.limit)
    return PolledSignals(
      signals: polled.signals, retryAfterSeconds: polled.retryAfterSeconds, serverTime: services.clock.now())
  }

  func acknowledge(
    _ device: AuthenticatedDevice, _ input: Acknowledgements
  ) async throws(RegistryError) -> OK<SignalService.Acknowledged> {
    OK(value: try await services.signals.acknowledge(device.session, input.acknowledgements))
  }
}

/// `?wait=0..30&max=1..100`.
struct PollInput: Input {
  let waitSeconds: Int
  let limit: Int

  static let description = InputDescription(parameters: [
    ParameterDescription(
      name: "wait", place: .query, meaning: "Seconds to wait for a signal; default 0.",
      schema: .integer(in: SignalService.waitSeconds)),
    ParameterDescription(
      name: "max", place: .query, meaning: "Maximum number of signals; default 100.",
      schema: .integer(in: SignalService.pollSize)),
  ])

  init(of call: Call) throws(Problem) {
    waitSeconds = try call.numberParameter("wait", in: SignalService.waitSeconds) ?? 0
    limit = try call.numberParameter("max", in: SignalService.pollSize) ?? SignalService.pollSize.upperBound
  }
}

/// `{"acks": [{"signal_id", "status", "broker_ticket"?, "error"?}]}`; null is as good as absent.
struct Acknowledgements: Input {
  let acknowledgements: [Acknowledgement]

  private struct Body: Decodable {
    let acks: [Ack]
  }
  private struct Ack: Decodable {
    let signal_id: String
    let status: String
    let broker_ticket: String?
    let error: String?
  }

  static let description = InputDescription(
    body: Schema(
      name: "AckInput",
      definition: [
        "type": "object",
        "required": ["acks"],
        "additionalProperties": false,
        "properties": [
          "acks": [
            "type": "array", "maxItems": .integer(Int64(Acknowledgement.maximumPerRequest)),
            "items": [
              "type": "object",
              "required": ["signal_id", "status"],
              "additionalProperties": false,
              "properties": [
                "signal_id": ["type": "string", "format": "uuid"],
                "status": Acknowledgement.Status.schema,
                "broker_ticket": .text(maximum: Acknowledgement.maximumTicketLength),
                "error": .text(maximum: Acknowledgement.maximumErrorLength),
              ],
            ],
          ]
        ],
      ]))

  init(of call: Call) throws(Problem) {
    let acks = try call.json(Body.self).acks
    guard acks.count <= Acknowledgement.maximumPerRequest else {
      throw .invalidValue(of: "acks", "must have \(Acknowledgement.maximumPerRequest) elements at most")
    }
    var acknowledgements: [Acknowledgement] = []
    for (index, ack) in acks.enumerated() {
      acknowledgements.append(try Self.acknowledgement(ack, field: "acks.\(index)"))
    }
    self.acknowledgements = acknowledgements
  }

  private static func acknowledgement(_ ack: Ack, field: String) throws(Problem) -> Acknowledgement {
    guard let id = SignalID(ack.signal_id) else {
      throw .invalidValue(of: "\(field).signal_id", "must be a signal's id")
    }
    guard let status = Acknowledgement.Status(rawValue: ack.status) else {
      throw .invalidValue(of: "\(field).status", "must be placed, failed or skipped")
    }
    try test(ack.broker_ticket, maximum: Acknowledgement.maximumTicketLength, field: "\(field).broker_ticket")
    try test(ack.error, maximum: Acknowledgement.maximumErrorLength, field: "\(field).error")
    return Acknowledgement(signalID: id, status: status, brokerTicket: ack.broker_ticket, error: ack.error)
  }

  private static func test(_ text: String?, maximum: Int, field: String) throws(Problem) {
    guard let text else { return }
    guard text.unicodeScalars.count <= maximum else {
      throw .invalidValue(of: field, "must have \(maximum) characters at most")
    }
    // PostgreSQL has no text with it.
    guard !text.utf8.contains(0) else { throw .invalidValue(of: field, "must not contain U+0000") }
  }
}

/// The device itself, and the registry's time.
struct CallingDevice: JSONObject {
  let device: Device
  let serverTime: Timestamp

  static let name: String? = "CallingDevice"

  static func describe(_ members: inout some Members<Self>) {
    members.include { $0.device }
    members.add("server_time") { $0.serverTime }
  }
}

/// 200 with the signals that wait for a device.
struct PolledSignals: Answer, JSONObject {
  let signals: [Signal]
  let retryAfterSeconds: Int?
  let serverTime: Timestamp

  static let name: String? = "PolledSignals"

  static func describe(_ members: inout some Members<Self>) {
    members.add("signals") { $0.signals }
    members.add("server_time") { $0.serverTime }
  }

  static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "The signals, oldest first; empty if none arrived in time.", Self.self,
      headers: [.retryAfterParking])
  }

  /// Bytes of a signal beside its payload.
  private static let bytesBesidePayload = 160

  func response() -> Response {
    let capacity = signals.reduce(64) { $0 + $1.payload.count + Self.bytesBesidePayload }
    let response = Response(status: 200, contentType: "application/json", body: text(capacity: capacity))
    if let retryAfterSeconds { response.fields.append(("Retry-After", String(retryAfterSeconds))) }
    return response
  }
}

/// As a device sees it.
extension Signal: JSONObject {
  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("created_at") { $0.createdAt }
    members.add("expires_at") { $0.expiresAt }
    members.add("payload") { JSONText(bytes: $0.payload) }
  }
}

extension SignalService.Acknowledged: JSONObject {
  public static var name: String? { "Acked" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("acked") { $0.acked }
    members.add("unknown", ["description": "Ids that are not signals of this device."]) { $0.unknown }
  }
}

extension API {
  /// The answer to a poll, for the benchmarks.
  package static func answer(polled signals: [Signal], at time: Timestamp) -> Response {
    PolledSignals(signals: signals, retryAfterSeconds: nil, serverTime: time).response()
  }
}
