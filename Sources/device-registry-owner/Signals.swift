import Commands
import DeviceRegistryClient
import Foundation

// The commands on signals.

extension OwnerSession {
  func sendSignal() async throws {
    let payload = try payload()
    let recipients = try await selector(arguments.words)
    let (signal, json) = try await owner.answer(
      to: .createSignal(to: recipients, payloadJSON: payload, ttlSeconds: arguments.number(.ttl)),
      idempotencyKey: UUID().uuidString)
    switch output.format {
    case .table: try Terminal.printFields([signal.id])
    case .csv, .ids: try output.print([signal], json: [], Signal.columns)
    case .json: try Terminal.print(json)
    }
  }

  func cancelSignal() async throws {
    let (result, json) = try await owner.answer(
      to: .cancelSignal(arguments.words[0], reason: arguments[.reason]))
    try output.print(one: result, json: json, SignalCancellation.columns)
  }

  func listSignals() async throws { try await output.print(owner.signals(), Signal.columns) }

  func showSignal() async throws {
    let pages = try await owner.signalPages(arguments.words[0])
    let (details, json) = pages[0]
    let deliveries = pages.flatMap(\.details.deliveries)
    switch output.format {
    case .json: for page in pages { try Terminal.print(page.json) }
    case .csv, .ids: try output.print(deliveries, json: [], SignalDelivery.columns([:]))
    case .table:
      try output.print(one: details, json: json, SignalDetails.columns)
      try Terminal.print(lines: "")
      let names = try await names(of: Set(deliveries.map(\.deviceID)))
      try output.print(deliveries, json: [], SignalDelivery.columns(names))
    }
  }

  /// Bytes of a payload's file.
  private static let maximumPayload = 64 * 1024

  private func payload() throws(UsageError) -> Data {
    if let text = arguments[.payload] { return Data(text.utf8) }
    guard let path = arguments[.payloadFile] else {
      throw UsageError("\(Option.payload.name) JSON is missing, or \(Option.payloadFile.name) FILE")
    }
    return try InputFile.read(path, option: .payloadFile, maximumBytes: Self.maximumPayload)
  }
}

extension Signal {
  fileprivate static let columns: [Column<Signal>] = [
    Column("id") { .text($0.id) }, Column("devices") { .number($0.deviceCount) },
    Column("created_at") { .time($0.createdAt) }, Column("expires_at") { .time($0.expiresAt) },
  ]
}

extension SignalDetails {
  fileprivate static let columns: [Column<SignalDetails>] =
    Signal.columns.map { column in Column(column.name) { column.cell($0.signal) } }
    + [Column("payload") { .text(String(decoding: $0.payload.json, as: UTF8.self)) }]
}

extension SignalDelivery {
  /// - Parameter names: of devices, by id. A device without one is shown by its id.
  fileprivate static func columns(_ names: [String: String]) -> [Column<SignalDelivery>] {
    [
      Column(names.isEmpty ? "device_id" : "device", isFlexible: true) {
        .text(names[$0.deviceID] ?? $0.deviceID)
      },
      Column("state") { .painted($0.state.rawValue, $0.state.color) },
      Column("handed_out_at", leavesOut: 1) { .time($0.handedOutAt) },
      Column("status") { .painted($0.status?.rawValue ?? "-", $0.status == .failed ? .red : nil) },
      Column("broker_ticket", leavesOut: 1) { .text($0.brokerTicket) },
      Column("error", isFlexible: true) { .text($0.error) },
      Column("acked_at") { .time($0.acknowledgedAt) },
    ]
  }
}

extension SignalDelivery.State {
  fileprivate var color: Cell.Color? {
    switch self {
    case .acked: .green
    case .pending, .handedOut: nil
    case .expired, .cancelled: .yellow
    }
  }
}

extension SignalCancellation {
  fileprivate static let columns: [Column<SignalCancellation>] = [
    Column("cancelled") { .number($0.cancelledCount) }, Column("too_late") { .number($0.tooLateCount) },
  ]
}
