import Commands
import DeviceRegistryClient
import Foundation

// The commands that change several devices at once.

extension OwnerSession {
  func suspendDevices() async throws {
    try await change(arguments.words, .suspend(until: try time(.until, .future)))
  }

  func resumeDevices() async throws { try await change(arguments.words, .resume) }

  func revokeDevices() async throws {
    try await change(arguments.words, .revoke) { "Revoke \($0)? That is final." }
  }

  func labelDevices() async throws {
    var labels: [String: String?] = try self.labels(arguments.all(.setLabel), of: .setLabel)
    for key in arguments.all(.removeLabel) { labels[key] = .some(nil) }
    guard !labels.isEmpty else {
      throw UsageError("name a label with \(Option.setLabel.name) KEY:VALUE or \(Option.removeLabel.name) KEY")
    }
    try await change(arguments.words, .setLabels(labels))
  }

  func setExpiry() async throws {
    guard arguments.has(.at) != arguments.has(.never) else {
      throw UsageError("\(Option.at.name) TIME is missing, or \(Option.never.name)")
    }
    try await change(arguments.words, .setExpiry(try time(.at, .future)))
  }

  func addToGroup() async throws {
    try await change(arguments.words.dropFirst(), .addToGroup(arguments.words[0]))
  }

  func removeFromGroup() async throws {
    try await change(arguments.words.dropFirst(), .removeFromGroup(arguments.words[0]))
  }

  func haltDevices() async throws {
    try await setMode(.halted, arguments.words) { "Halt \($0)? Trading stops at once." }
  }

  func setTradingMode() async throws {
    try await setMode(TradingMode.Mode(rawValue: arguments.words[0]) ?? .normal, arguments.words.dropFirst())
  }

  // MARK: Changing

  /// Changes the devices, and prints what became of it.
  ///
  /// - Parameter question: asked first, if it cannot be undone. Its parameter says which devices.
  @discardableResult
  private func change(
    _ words: some Collection<String>, _ action: DeviceAction, asking question: ((String) -> String)? = nil
  ) async throws -> (selector: DeviceSelector, result: DeviceChangeResult) {
    let selector = try await selector(words)
    var expected = arguments.number(.expect)
    func send(isDryRun: Bool) async throws -> (value: DeviceChangeResult, json: Data) {
      try await owner.answer(
        to: .changeDevices(
          selector, action, reason: arguments[.reason], expectedCount: expected, isDryRun: isDryRun))
    }
    if let question, !arguments.has(.yes), !arguments.has(.dryRun) {
      // The answer is for these devices: if there are others meanwhile, nothing is done.
      expected = try await send(isDryRun: true).value.matched
      let name = words.count == 1 ? words.first : nil
      try confirm(question(name ?? selector.text(expected ?? 0)))
    }
    let (result, json) = try await send(isDryRun: arguments.has(.dryRun))
    switch output.format {
    case .json: try Terminal.print(json)
    case .csv, .ids: try output.print(one: result, json: json, DeviceChangeResult.columns)
    case .table:
      try Terminal.print(lines: result.text)
      if !result.refused.isEmpty {
        let names = try await names(of: Set(result.refused.map(\.deviceID)))
        try output.print(result.refused, json: [], DeviceChangeResult.Refusal.columns(names))
      }
    }
    guard result.refused.isEmpty || result.isDryRun else {
      throw Failure("\(result.refused.count) of \(result.matched) devices could not be changed", .partlyDone)
    }
    return (selector, result)
  }

  // MARK: Trading mode

  private func setMode(
    _ mode: TradingMode.Mode, _ words: some Collection<String>, asking question: ((String) -> String)? = nil
  ) async throws {
    let action = DeviceAction.setTradingMode(mode, cancelsSignals: arguments.has(.cancelSignals))
    let (selector, result) = try await change(words, action, asking: question)
    guard !result.isDryRun, result.matched > 0 else { return }
    let unconfirmed = try await unconfirmed(selector, of: result.matched)
    if output.format == .table {
      try Terminal.print(
        lines: "\n\(result.matched - unconfirmed.count) of \(result.matched) devices confirmed \(mode.rawValue)"
      )
      if !unconfirmed.isEmpty { try output.print(unconfirmed, json: [], Device.confirmationColumns) }
    }
    guard unconfirmed.isEmpty || !arguments.has(.wait) else {
      throw Failure("\(unconfirmed.count) of \(result.matched) devices did not confirm in time", .partlyDone)
    }
  }

  /// Seconds between two looks at who has confirmed.
  private static let lookSeconds = 1.0

  /// The devices that have not confirmed their mode. Waits until there are none, for as long as `--wait` says.
  private func unconfirmed(_ selector: DeviceSelector, of count: Int) async throws -> [Device] {
    var filter = selector.filter
    filter.isModeConfirmed = false
    filter.statuses = [.active, .suspended, .expired]
    let listed: Set<String>? = if case .devices(let ids) = selector { Set(ids) } else { nil }
    let end = ContinuousClock.now + .seconds(arguments.number(.wait) ?? 0)
    var last: Int?
    while true {
      let devices = try await owner.devices(matching: filter).all().filter { listed?.contains($0.id) ?? true }
      guard !devices.isEmpty, ContinuousClock.now < end else { return devices }
      if devices.count != last { Terminal.say("\(count - devices.count) of \(count) confirmed") }
      last = devices.count
      try await Task.sleep(for: .seconds(Self.lookSeconds))
    }
  }
}

extension DeviceChangeResult {
  /// For people.
  fileprivate var text: String {
    let others = [(unchanged, "unchanged"), (refused.count, "refused")].filter { $0.0 > 0 }
      .map { ", \($0) \($1)" }.joined()
    return "\(isDryRun ? "would change" : "changed") \(changed) of \(matched) devices\(others)"
  }

  fileprivate static let columns: [Column<DeviceChangeResult>] = [
    Column("matched") { .number($0.matched) }, Column("changed") { .number($0.changed) },
    Column("unchanged") { .number($0.unchanged) }, Column("refused") { .number($0.refused.count) },
    Column("dry_run") { .flag($0.isDryRun) },
  ]
}

extension DeviceChangeResult.Refusal {
  /// - Parameter names: of devices, by id.
  fileprivate static func columns(_ names: [String: String]) -> [Column<DeviceChangeResult.Refusal>] {
    [
      Column("device", isFlexible: true) { .text(names[$0.deviceID] ?? $0.deviceID) },
      Column("refused") { .painted($0.kind, .red) },
    ]
  }
}
