import Commands
import DeviceRegistryClient
import Foundation

// The commands on devices.

extension OwnerSession {
  func listDevices() async throws {
    let statuses = arguments.list(.status).compactMap(Device.Status.init)
    let filter = DeviceFilter(
      statuses: Set(statuses), labels: arguments.all(.anyLabel), group: arguments[.inGroup],
      nameContains: arguments[.search],
      isOnline: arguments.has(.online) ? true : arguments.has(.offline) ? false : nil,
      seenBefore: try time(.seenBefore, .past), isModeConfirmed: arguments.has(.unconfirmed) ? false : nil)
    try await output.print(owner.devices(matching: filter), Device.columns)
  }

  func summarizeDevices() async throws {
    let (summary, json) = try await owner.answer(to: .summary)
    try output.print(one: summary, json: json, DeviceSummary.columns(of: summary))
  }

  func showDevice() async throws {
    let (device, json) = try await owner.answer(to: .device(id(of: arguments.words[0])))
    try output.print(one: device, json: json, Device.details)
  }

  func registerDevice() async throws {
    let new = NewDevice(
      name: arguments.words[0], labels: try labels(arguments.all(.newLabel), of: .newLabel),
      groups: arguments.all(.newGroup), expiresAt: try time(.expiresAt, .future))
    try await keepSecret { try await owner.answer(to: .register(new), idempotencyKey: UUID().uuidString) }
  }

  func renameDevice() async throws { try await changeDevice(DeviceChange(name: arguments.words[1])) }

  func bindDevice() async throws {
    let account = TradingAccount(login: arguments.words[1], server: arguments.words[2])
    try await changeDevice(DeviceChange(boundAccount: account))
  }

  func unbindDevice() async throws { try await changeDevice(DeviceChange(boundAccount: .some(nil))) }

  private func changeDevice(_ change: DeviceChange) async throws {
    let id = try await id(of: arguments.words[0])
    let (device, json) = try await owner.answer(to: .change(id, change))
    try output.print(one: device, json: json, Device.details)
  }

  func deleteDevices() async throws {
    guard case .devices(let ids) = try await selector(arguments.words) else { return }
    try confirm(ids.count == 1 ? "Delete 1 revoked device?" : "Delete \(ids.count) revoked devices?")
    for id in ids {
      try await owner.delete(id)
      try Terminal.printFields(["deleted \(id)"])
    }
  }

  func rotateSecret() async throws {
    let id = try await id(of: arguments.words[0])
    try await keepSecret {
      try await owner.answer(
        to: .rotate(id, graceSeconds: arguments.number(.grace), reason: arguments[.reason]),
        idempotencyKey: UUID().uuidString)
    }
  }

  // MARK: Secrets

  /// Gets a secret and stores it in a new file, or prints it. Prints the device, or its id in place of a table.
  private func keepSecret(
    _ request: () async throws -> (value: RegisteredDevice, json: Data)
  ) async throws {
    guard let path = arguments[.secretFile] else {
      guard arguments.has(.showSecret) else {
        throw UsageError(
          "\(Option.secretFile.name) FILE is missing: where to keep the secret, which is shown only once; "
            + "\(Option.showSecret.name) prints it")
      }
      let (registered, json) = try await request()
      try output.print(one: registered, json: json, RegisteredDevice.columns)
      return
    }
    let file = try NewSecretFile(path, option: .secretFile)
    let (registered, json): (RegisteredDevice, Data)
    do {
      (registered, json) = try await request()
    } catch {
      file.remove()
      throw error
    }
    let id = registered.device.id
    try file.write(
      registered.secret, ifLost: "the secret is lost; device-registry devices rotate \(id) makes another one")
    switch output.format {
    case .table: try Terminal.printFields([id])
    case .csv, .ids: try output.print([registered.device], json: [], Device.columns)
    case .json: try Terminal.print(try Self.withoutSecret(json))
    }
  }

  private static func withoutSecret(_ json: Data) throws -> Data {
    guard var members = try JSONSerialization.jsonObject(with: json) as? [String: Any] else { return Data() }
    for name in ["secret", "hmac_key_hash"] { members[name] = nil }
    return try JSONSerialization.data(withJSONObject: members, options: [.sortedKeys, .withoutEscapingSlashes])
  }

  // MARK: Names

  /// The names of devices, by id.
  func names(of ids: Set<String>) async throws -> [String: String] {
    var names: [String: String] = [:]
    for try await device in owner.devices() where ids.contains(device.id) {
      names[device.id] = device.name
      if names.count == ids.count { break }
    }
    return names
  }

  /// Names that are searched for one after another.
  private static let maximumSearches = 10

  /// The id of a device that is named by its id or its name.
  func id(of name: String) async throws -> String { try await ids(of: [name])[0] }

  /// The ids of devices that are named by their ids or their names, in the same order.
  ///
  /// A name means the device that is not revoked; if all devices with this name are revoked, there must be one.
  func ids(of names: [String]) async throws -> [String] {
    let wanted = Set(names.filter { UUID(uuidString: $0) == nil }.map(\.precomposedStringWithCanonicalMapping))
    var found: [String: [Device]] = [:]
    if !wanted.isEmpty {
      // A few names are searched for; for many, all devices are read.
      let searches =
        wanted.count <= Self.maximumSearches && wanted.allSatisfy { $0.utf8.count < 400 }
        ? wanted.map { $0 } : [nil]
      for search in searches {
        try await owner.devices(matching: DeviceFilter(nameContains: search)).forEachPage { devices, _ in
          for device in devices where device.name == search || search == nil && wanted.contains(device.name) {
            found[device.name, default: []].append(device)
          }
        }
      }
    }
    return try names.map { name in
      guard UUID(uuidString: name) == nil else { return name.lowercased() }
      let devices = found[name.precomposedStringWithCanonicalMapping] ?? []
      if let device = devices.first(where: { !$0.isRevoked }) { return device.id }
      switch devices.count {
      case 0: throw Failure("you have no device named \(Terminal.withoutControls(name))")
      case 1: return devices[0].id
      default:
        throw Failure(
          "\(devices.count) revoked devices were named \(Terminal.withoutControls(name)); use an id: "
            + devices.prefix(5).map(\.id).joined(separator: ", "))
      }
    }
  }
}

extension Device {
  /// Of lists.
  static let columns: [Column<Device>] = [
    Column("name", isFlexible: true) { .text($0.name) },
    Column("status") { .painted($0.status.rawValue, $0.status.color) },
    Column("mode") { .painted($0.tradingMode.text, $0.tradingMode.color) },
    Column("online") { .flag($0.isOnline) },
    Column("last_seen") { .time($0.lastSeen) },
    Column("groups", isFlexible: true, leavesOut: 3) { .words($0.groups) },
    Column("labels", isFlexible: true, leavesOut: 2) { .words($0.labelTexts) },
    Column("expires_at", leavesOut: 1) { .time($0.expiresAt) },
    Column("created_at", leavesOut: 0) { .time($0.createdAt) },
    Column("id", leavesOut: 4) { .text($0.id) },
  ]

  /// Of one device.
  static let details: [Column<Device>] =
    columns + [
      Column("status_reason") { .text($0.statusReason) },
      Column("suspended_until") { .time($0.suspendedUntil) },
      Column("mode_reason") { .text($0.tradingMode.reason) },
      Column("mode_confirmed_at") { .time($0.tradingMode.isConfirmed ? $0.tradingMode.confirmedAt : nil) },
      Column("last_poll") { .time($0.lastPoll) },
      Column("last_ack") { .time($0.lastAck) },
      Column("updated_at") { .time($0.updatedAt) },
      Column("account") { .text($0.context.map { "\($0.account.login) \($0.account.server)" }) },
      Column("bound_account") { .text($0.boundAccount.map { "\($0.login) \($0.server)" }) },
    ]

  /// Of those that have not confirmed their trading mode.
  static let confirmationColumns = columns.filter {
    ["name", "status", "online", "last_seen", "id"].contains($0.name)
  }

  /// As options have them.
  var labelTexts: [String] { labels.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" } }
}

extension Device.Status {
  fileprivate var color: Cell.Color {
    switch self {
    case .active: .green
    case .suspended, .expired: .yellow
    case .revoked: .red
    }
  }
}

extension TradingMode {
  /// The mode, with a question mark until the device confirms a change.
  fileprivate var text: String { mode.rawValue + (isConfirmed || version == 1 ? "" : "?") }

  fileprivate var color: Cell.Color? {
    switch mode {
    case .normal: nil
    case .closeOnly: .yellow
    case .halted: .red
    }
  }
}

extension RegisteredDevice {
  fileprivate static let columns: [Column<RegisteredDevice>] = [
    Column("id") { .text($0.device.id) }, Column("name") { .text($0.device.name) },
    Column("secret") { .text($0.secret) },
  ]
}

extension DeviceSummary {
  fileprivate static func columns(of summary: DeviceSummary) -> [Column<DeviceSummary>] {
    let statuses = Device.Status.allCases.map { status in
      Column<DeviceSummary>(status.rawValue) { .number($0.byStatus[status.rawValue] ?? 0) }
    }
    let groups = summary.byGroup.keys.sorted().map { name in
      Column<DeviceSummary>("group \(name)") { .number($0.byGroup[name]) }
    }
    let modes = TradingMode.Mode.allCases.map { mode in
      Column<DeviceSummary>(mode.rawValue) { .number($0.byMode[mode.rawValue] ?? 0) }
    }
    return [Column("total") { .number($0.total) }] + statuses + modes + [
      Column("online") { .number($0.online) }, Column("mode_unconfirmed") { .number($0.modeUnconfirmed) },
    ] + groups
  }
}
