internal import Encoding

/// What an event shows of a change: old and new values by name.
public struct EventChanges: ExpressibleByDictionaryLiteral, Sendable {
  private var members: [String] = []

  public init(dictionaryLiteral elements: (String, (old: EventValue, new: EventValue))...) {
    for (name, change) in elements { add(name, from: change.old, to: change.new) }
  }

  public mutating func add(_ name: String, from old: EventValue, to new: EventValue) {
    members.append("\(JSONString.quoted(name)): [\(old.json), \(new.json)]")
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

  public static func number(orNull number: Int?) -> EventValue { number.map { .number($0) } ?? .null }

  public static func time(_ time: Timestamp?) -> EventValue { time.map { .text($0.description) } ?? .null }

  fileprivate var json: String {
    switch self {
    case .null: "null"
    case .text(let text): JSONString.quoted(text)
    case .number(let number): String(number)
    case .bool(let value): String(value)
    case .labels(let labels): labels.json
    case .list(let texts): "[\(texts.map { JSONString.quoted($0) }.joined(separator: ", "))]"
    }
  }
}
