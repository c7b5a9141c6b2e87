public import Endpoints
package import HTTP
public import Registry

// The operations of a device.

extension API {
  func whoami(_ device: AuthenticatedDevice, _ input: NoInput) async throws(RegistryError) -> OK<CallingDevice>
  {
    let found = try await services.devices.callingDevice(device.session)
    let device = shown(found)
    return OK(value: CallingDevice(device: device, serverTime: device.time))
  }

  func poll(_ device: AuthenticatedDevice, _ input: PollInput) async throws(RegistryError) -> PolledSignals {
    let polled = try await services.signals.poll(
      device.session, as: input.instance, takesOver: input.takesOver, waitSeconds: input.waitSeconds,
      limit: input.limit, modeVersion: input.modeVersion)
    return PolledSignals(
      signals: polled.signals, cancelled: polled.cancelled, tradingMode: polled.tradingMode,
      retryAfterSeconds: polled.retryAfterSeconds, serverTime: services.clock.now(),
      pauseMilliseconds: max(pollIntervalMilliseconds, (polled.retryAfterSeconds ?? 0) * 1000))
  }

  func acknowledge(
    _ device: AuthenticatedDevice, _ input: Acknowledgements
  ) async throws(RegistryError) -> OK<AckedSignals> {
    let acknowledged = try await services.signals.acknowledge(device.session, input.acknowledgements)
    return OK(value: AckedSignals(acknowledged: acknowledged, tradingMode: device.session.state.tradingMode))
  }
}

/// The query of a poll: the longest wait, the most signals, and the version of the trading mode that the device obeys.
struct PollInput: Input {
  let waitSeconds: Int
  let limit: Int
  let modeVersion: Int64?
  let instance: InstanceID?
  let takesOver: Bool

  private static let wait = QueryParameter(
    "wait", in: SignalService.waitSeconds, "Seconds to wait for a signal; default 0.")
  private static let max = QueryParameter(
    "max", in: SignalService.pollSize, "Maximum number of signals; default 100.")
  private static let modeVersion = QueryParameter(
    "mode_version", in: 1...1_000_000_000_000,
    "The `version` of `trading_mode` that the device obeys, which confirms it.")
  private static let instance = QueryParameter<InstanceID>(
    "instance", InstanceID.schema,
    "A name that the terminal draws when it starts. It takes a lease on the device, so that no other instance gets signals.",
    InstanceID.message
  ) { InstanceID($0) }
  private static let takeover = QueryParameter(
    "takeover", in: 0...1, "1 takes the lease from another instance, which then gets device-in-use.")

  static let description = InputDescription(
    parameters: [
      wait.description, max.description, modeVersion.description, instance.description, takeover.description,
    ])

  init(of call: Call) throws(Problem) {
    waitSeconds = try call.value(of: Self.wait) ?? 0
    limit = try call.value(of: Self.max) ?? SignalService.pollSize.upperBound
    modeVersion = try call.value(of: Self.modeVersion).map { Int64($0) }
    instance = try call.value(of: Self.instance)
    takesOver = try call.value(of: Self.takeover) == 1
    guard !takesOver || instance != nil else {
      throw .invalidValue(of: "takeover", "needs an instance that takes the lease over")
    }
  }
}

/// The body that acknowledges signals.
struct Acknowledgements: JSONInput {
  let acknowledgements: [Acknowledgement]

  static let body = JSONBody(
    "AckInput",
    .object(
      Member("acks", .array(of: acknowledgement, 0...Acknowledgement.maximumPerRequest))
    ) { Acknowledgements(acknowledgements: $0) })

  private static let acknowledgement = Rule.object(
    Member("signal_id", .text(SignalID.schema, message: "must be a signal's id") { SignalID($0) }),
    Member("status", .choice),
    Member.optional("broker_ticket", .text(atMost: Acknowledgement.maximumTicketLength)),
    Member.optional("error", .text(atMost: Acknowledgement.maximumErrorLength))
  ) { Acknowledgement(signalID: $0, status: $1, brokerTicket: $2, error: $3) }
}

/// The device itself, and the registry's time.
struct CallingDevice: JSONObject {
  let device: ShownDevice
  let serverTime: Timestamp

  static let name: String? = "CallingDevice"

  static func describe(_ members: inout some Members<Self>) {
    members.include { DeviceFacts(shown: $0.device) }
    members.add("trading_mode") { ObeyedMode(mode: $0.device.device.tradingMode) }
    members.add("server_time") { $0.serverTime }
  }
}

/// 200 with a device's pending signals.
struct PolledSignals: Answer, JSONObject {
  let signals: [Signal]
  let cancelled: [SignalID]
  let tradingMode: TradingMode
  let retryAfterSeconds: Int?
  let serverTime: Timestamp
  let pauseMilliseconds: Int

  static let name: String? = "PolledSignals"

  static func describe(_ members: inout some Members<Self>) {
    members.add("signals") { $0.signals }
    members.add(
      "cancelled",
      [
        "description": .string(
          "Signals that were cancelled, that the device did not acknowledge, and that have not expired: the \(CancelledSignal.maximumListed) newest. A later acknowledgement is stored."
        )
      ]
    ) { $0.cancelled }
    members.add("trading_mode") { ObeyedMode(mode: $0.tradingMode) }
    members.add("server_time") { $0.serverTime }
    members.add(
      "next_poll_ms",
      [
        "description":
          "Milliseconds after which a device that does not wait should poll again. One that waits may do so at once.",
        "minimum": 0,
      ]
    ) { Int64($0.pauseMilliseconds) }
  }

  static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "The signals, oldest first; empty if none arrived in time.", Self.self,
      headers: [.retryAfterParking])
  }

  /// Bytes of a signal without its payload, to size the buffer.
  private static let bytesBesidePayload = 160

  func response() -> Response {
    let capacity = signals.reduce(256) { $0 + $1.payload.count + Self.bytesBesidePayload }
    let response = Response(status: 200, contentType: "application/json", body: text(capacity: capacity))
    if let retryAfterSeconds { response.fields.append(("Retry-After", String(retryAfterSeconds))) }
    return response
  }
}

/// A signal as a device receives it.
extension Signal: JSONObject {
  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("created_at") { $0.createdAt }
    members.add("expires_at") { $0.expiresAt }
    members.add("payload") { JSONText(bytes: $0.payload) }
  }
}

/// Which signals were acknowledged.
struct AckedSignals: JSONObject {
  let acknowledged: SignalService.Acknowledged
  let tradingMode: TradingMode

  static let name: String? = "Acked"

  static func describe(_ members: inout some Members<Self>) {
    members.add("acked") { $0.acknowledged.acked }
    members.add("unknown", ["description": "Ids that are not signals of this device."]) {
      $0.acknowledged.unknown
    }
    members.add("trading_mode") { ObeyedMode(mode: $0.tradingMode) }
  }
}

/// A trading mode as its device sees it.
struct ObeyedMode: JSONObject {
  let mode: TradingMode

  static let name: String? = "TradingMode"

  static func describe(_ members: inout some Members<Self>) {
    members.add("mode") { $0.mode.mode }
    members.add("version", ["description": "Grows with each change. A poll confirms it with `mode_version`."]) {
      $0.mode.version
    }
    members.add("reason") { $0.mode.reason }
    members.add("since", ["description": "When the mode last changed."]) { $0.mode.since }
  }
}

extension API {
  /// The answer to a poll, for the benchmarks.
  package static func answer(polled signals: [Signal], at time: Timestamp) -> Response {
    PolledSignals(
      signals: signals, cancelled: [], tradingMode: TradingMode(since: time), retryAfterSeconds: nil,
      serverTime: time,
      pauseMilliseconds: 1000
    ).response()
  }
}
