internal import Endpoints
internal import Registry

// Changes of many devices.

extension API {
  /// Throws `groupNotFound`, `expectationFailed`.
  func changeDevices(_ owner: Owner, _ input: BulkInput) async throws(RegistryError) -> OK<BulkAnswer> {
    let bulk = BulkChange(
      input.action, of: owner.clientID, input.selector, expected: input.expected,
      change: owner.change.because(input.reason))
    if case .suspend(let until?) = bulk.action, until <= bulk.change.time {
      throw .invalid(field: "until", message: "must be in the future")
    }
    let outcome =
      input.isDryRun ? try await services.bulk.preview(bulk) : try await services.bulk.change(bulk)
    return OK(
      value: BulkAnswer(outcome: outcome, isDryRun: input.isDryRun, typeBase: Self.description.problemTypeBase))
  }
}

/// The body of a bulk change.
struct BulkInput: JSONInput {
  let action: BulkChange.Action
  let selector: DeviceSelector
  let reason: String?
  let expected: Int?
  let isDryRun: Bool

  /// The names of actions.
  enum Name: String, CaseIterable, Sendable {
    case revoke, suspend, resume, rename
    case setLabels = "set_labels"
    case addToGroup = "add_to_group"
    case removeFromGroup = "remove_from_group"
    case setExpiry = "set_expiry"
    case setTradingMode = "set_trading_mode"
  }

  static let body = JSONBody(
    "BulkInput",
    .object(
      Member("action", Rule<Name>.choice, "What is done to each device."),
      .optional(
        "select", selection, "The devices; exactly one member. Not with `rename`, whose `names` name them."),
      .optional(
        "names", names, "With `rename`: the new name of each device. Devices may exchange their names."),
      .optional("until", .time, "With `suspend`: when the suspension ends; null for never."),
      .optional("labels", labels, "With `set_labels`: is merged; null removes a label (RFC 7396)."),
      .optional("group", Rule.groupName, "With `add_to_group`, `remove_from_group`: an existing group."),
      .removable(
        "expires_at", .time, "With `set_expiry`: from when on the devices are refused; null for never."),
      .optional("trading_mode", Rule<TradingMode.Mode>.choice, "With `set_trading_mode`."),
      .optional(
        "cancel_signals", .flag,
        "With `set_trading_mode`: cancels the signals that the devices did not acknowledge."),
      .optional(
        "expect", .integer(in: 0...1_000_000),
        "The number of devices that you expect; if it is another one, nothing happens."),
      .optional("dry_run", .flag, "Says what would happen, and changes nothing."),
      .reason
    ) {
      (
        action, selector, names, until, labels, group, expiresAt, mode, cancelsSignals, expected, isDryRun,
        reason
      ) throws(Problem) in
      let members = ActionMembers(
        selector: selector, names: names, until: until, labels: labels, group: group, expiresAt: expiresAt,
        mode: mode, cancelsSignals: cancelsSignals)
      let (action, selected) = try members.read(action)
      return BulkInput(
        action: action, selector: selected, reason: reason, expected: expected, isDryRun: isDryRun ?? false)
    })

  private static let selection = Rule.object(
    SelectorMembers.devices, SelectorMembers.all, SelectorMembers.group, SelectorMembers.labels
  ) { (devices, all, group, labels) throws(Problem) in
    try SelectorMembers.selector(devices, all, group, labels)
  }

  private static let names = Rule<[(name: String, value: DeviceName)]>.map(
    of: DeviceNameRule.rule, 1...DeviceSelector.maximumListed, names: DeviceID.schema,
    message: "must be a device's id"
  ) { DeviceID($0) != nil }

  private static let labels = Rule<[(name: String, value: String?)]>.labelMap(of: Rule.labelValue.orNull)
}

/// The members that depend on the action.
private struct ActionMembers {
  let selector: DeviceSelector?
  let names: [(name: String, value: DeviceName)]?
  let until: Timestamp?
  let labels: [(name: String, value: String?)]?
  let group: GroupName?
  let expiresAt: Timestamp??
  let mode: TradingMode.Mode?
  let cancelsSignals: Bool?

  func read(_ name: BulkInput.Name) throws(Problem) -> (BulkChange.Action, DeviceSelector) {
    try testMembers(of: name)
    let action: BulkChange.Action =
      switch name {
      case .revoke: .revoke
      case .suspend: .suspend(until: until)
      case .resume: .resume
      case .rename: .rename(renames)
      case .setLabels: .setLabels(Dictionary(uniqueKeysWithValues: (labels ?? []).map { ($0.name, $0.value) }))
      case .addToGroup: .addToGroup(group!)
      case .removeFromGroup: .removeFromGroup(group!)
      case .setExpiry: .setExpiry(expiresAt!)
      case .setTradingMode: .setTradingMode(mode!, cancelsSignals: cancelsSignals ?? false)
      }
    return (action, selector ?? .devices(Array(renames.keys)))
  }

  /// An id may be written in either case; the last one counts.
  private var renames: [DeviceID: DeviceName] {
    Dictionary((names ?? []).map { (DeviceID($0.name)!, $0.value) }) { $1 }
  }

  /// Each action has its members, and no other's.
  private func testMembers(of name: BulkInput.Name) throws(Problem) {
    let given = [
      ("select", selector != nil), ("names", names != nil), ("until", until != nil), ("labels", labels != nil),
      ("group", group != nil), ("expires_at", expiresAt != nil), ("trading_mode", mode != nil),
      ("cancel_signals", cancelsSignals != nil),
    ]
    let (required, optional) = name.members
    for (member, isGiven) in given {
      if required.contains(member), !isGiven {
        throw .invalidValue(of: member, "is missing; `\(name.rawValue)` needs it")
      }
      if isGiven, !required.contains(member), !optional.contains(member) {
        throw .invalidValue(of: member, "must not be given with `\(name.rawValue)`")
      }
    }
  }
}

extension BulkInput.Name {
  fileprivate var members: (required: [String], optional: [String]) {
    switch self {
    case .revoke, .resume: (["select"], [])
    case .suspend: (["select"], ["until"])
    case .rename: (["names"], [])
    case .setLabels: (["select", "labels"], [])
    case .addToGroup, .removeFromGroup: (["select", "group"], [])
    case .setExpiry: (["select", "expires_at"], [])
    case .setTradingMode: (["select", "trading_mode"], ["cancel_signals"])
    }
  }
}

extension Rule<Timestamp> {
  /// A time with any offset (RFC 3339).
  static let time = Rule.text(
    Timestamp.schema, message: "must be a time such as 2026-11-23T20:28:29Z, from 1970 to 9999"
  ) { Timestamp($0) }
}

/// What a bulk change did, or would do.
struct BulkAnswer: JSONObject {
  let outcome: BulkOutcome
  let isDryRun: Bool
  /// The text before the slug in a problem's `type`.
  let typeBase: String

  static let name: String? = "BulkOutcome"

  static func describe(_ members: inout some Members<Self>) {
    members.add(
      "matched",
      [
        "minimum": 0,
        "description": "The devices that were selected: the sum of the others. All listed ids count.",
      ]
    ) { Int64($0.outcome.matched) }
    members.add("changed", ["minimum": 0]) { Int64($0.outcome.changed.count) }
    members.add("unchanged", ["minimum": 0, "description": "Devices that already were so."]) {
      Int64($0.outcome.unchanged)
    }
    members.add("refused", ["description": "Every other device, and why it was left unchanged."]) { answer in
      answer.outcome.refused.map { Refused(device: $0, typeBase: answer.typeBase) }
    }
    members.add("dry_run", ["description": "Whether nothing was changed, because the request asked for that."])
    {
      $0.isDryRun
    }
  }

  private struct Refused: JSONObject {
    let device: RefusedDevice
    let typeBase: String

    static func describe(_ members: inout some Members<Self>) {
      members.add("device_id") { $0.device.id }
      members.add("type", ["description": "The `type` that a problem of a single change would have."]) {
        $0.typeBase + $0.device.refusal.kind.slug
      }
    }
  }
}

extension BulkChange.Refusal {
  fileprivate var kind: ProblemKind {
    switch self {
    case .deviceNotFound: .deviceNotFound
    case .notOwner: .notOwner
    case .deviceRevoked: .deviceRevoked
    case .deviceNameTaken: .deviceNameTaken
    case .tooManyLabels: .tooManyLabels
    case .tooManyGroups: .tooManyGroups
    }
  }
}
