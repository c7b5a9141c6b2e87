internal import Encoding

/// What an event shows of a change: old and new values by name.
public struct EventChanges: ExpressibleByDictionaryLiteral, Sendable {
  private var members: [String] = []

  public init(dictionaryLiteral elements: (String, (old: EventValue, new: EventValue))...) {
    for (name, change) in elements { add(name, from: change.old, to: change.new) }
  }

  public var isEmpty: Bool { members.isEmpty }

  public mutating func add(_ name: String, from old: EventValue, to new: EventValue) {
    members.append("\(JSONString.quoted(name)): [\(old.json), \(new.json)]")
  }

  /// Adds the members whose old and new values differ.
  mutating func add(differencesOf elements: [(name: String, old: EventValue, new: EventValue)]) {
    for element in elements where element.old != element.new {
      add(element.name, from: element.old, to: element.new)
    }
  }

  /// The JSON object; nil if there are no changes.
  public var json: String? { members.isEmpty ? nil : "{\(members.joined(separator: ", "))}" }
}

/// A value before or after a change.
public enum EventValue: Hashable, Sendable {
  case null
  case text(String)
  case number(Int)
  case bool(Bool)
  case list([String])
  case labels(Labels)
  /// A JSON text.
  case json(String)

  public static func number(orNull number: Int?) -> EventValue { number.map { .number($0) } ?? .null }

  fileprivate var json: String {
    switch self {
    case .null: "null"
    case .text(let text): JSONString.quoted(text)
    case .number(let number): String(number)
    case .bool(let value): String(value)
    case .labels(let labels): labels.json
    case .json(let text): text
    case .list(let texts): "[\(texts.map { JSONString.quoted($0) }.joined(separator: ", "))]"
    }
  }
}

extension EventValue {
  public static func text(orNull text: String?) -> EventValue { text.map { .text($0) } ?? .null }
  public static func time(_ time: Timestamp?) -> EventValue { text(orNull: time?.description) }
  public static func groups(_ groups: [GroupName]) -> EventValue { .list(groups.map(\.text)) }
  public static func json(orNull text: String?) -> EventValue { text.map { .json($0) } ?? .null }
}

extension EventChanges {
  /// What an owner sets of a device.
  public init(of old: Device, to new: Device) {
    self = [:]
    addSettings(from: old, to: new)
  }

  /// What a device is registered with.
  public init(registering device: Device) {
    self = [:]
    addSettings(from: nil, to: device)
  }

  /// - Parameter old: nil for a new device.
  mutating func addSettings(from old: Device?, to new: Device) {
    add(differencesOf: [
      ("device_name", .text(orNull: old?.deviceName.text), .text(new.deviceName.text)),
      ("labels", .labels(old?.labels ?? [:]), .labels(new.labels)),
      ("groups", .groups(old?.groups ?? []), .groups(new.groups)),
      ("expires_at", .time(old?.state.expiresAt), .time(new.state.expiresAt)),
      (
        "bound_account", .json(orNull: old?.terminal.boundAccount?.json),
        .json(orNull: new.terminal.boundAccount?.json)
      ),
    ])
  }
}
