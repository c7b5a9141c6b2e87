internal import HTTP

/// JSON that is written as a literal. Members keep their order.
public enum JSONValue: Sendable {
  case string(String)
  case integer(Int64)
  case boolean(Bool)
  case array([JSONValue])
  case object([(name: String, value: JSONValue)])
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral members: (String, JSONValue)...) {
    self = .object(members.map { ($0.0, $0.1) })
  }
}

extension JSONValue {
  /// An object with the members of another one after its own.
  public func adding(_ more: JSONValue) -> JSONValue {
    guard case .object(let members) = self, case .object(let others) = more else { return self }
    return .object(members + others)
  }

  /// The schema that also accepts null.
  var orNull: JSONValue {
    guard case .object(var keywords) = self, !keywords.isEmpty else { return self }
    guard let index = keywords.firstIndex(where: { $0.name == "type" }) else {
      return ["anyOf": [self, ["type": "null"]]]
    }
    keywords[index].value = .array([keywords[index].value, "null"])
    return .object(keywords)
  }
}

extension JSONValue {
  /// Schema of a whole number.
  public static func integer(in bounds: ClosedRange<Int>) -> JSONValue {
    [
      "type": "integer", "minimum": .integer(Int64(bounds.lowerBound)),
      "maximum": .integer(Int64(bounds.upperBound)),
    ]
  }

  /// Keywords of text without U+0000.
  public static func textBounds(maximum: Int) -> JSONValue {
    ["maxLength": .integer(Int64(maximum)), "pattern": #"^[^\u0000]*$"#]
  }
}

extension JSONValue: JSONWritable {
  public static var schema: JSONValue { [:] }

  public func write(to json: inout JSONWriter) { writeIndented(to: &json, depth: 0) }

  /// Writes several lines, indented by two spaces a level, with scalars on one line.
  private func writeIndented(to json: inout JSONWriter, depth: Int) {
    switch self {
    case .string(let text): json.string(text)
    case .integer(let number): number.write(to: &json)
    case .boolean(let flag): flag.write(to: &json)
    case .array(let elements) where elements.allSatisfy(\.isScalar):
      json.buffer.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { json.buffer.append(", " as StaticString) }
        element.write(to: &json)
      }
      json.buffer.append(UInt8(ascii: "]"))
    case .array(let elements):
      Self.writeLines(elements, between: ("[", "]"), to: &json, depth: depth) { element, json in
        element.writeIndented(to: &json, depth: depth + 1)
      }
    case .object(let members):
      Self.writeLines(members, between: ("{", "}"), to: &json, depth: depth) { member, json in
        json.string(member.name)
        json.buffer.append(": " as StaticString)
        member.value.writeIndented(to: &json, depth: depth + 1)
      }
    }
  }

  private var isScalar: Bool {
    switch self {
    case .string, .integer, .boolean: true
    case .array, .object: false
    }
  }

  private static func writeLines<Item>(
    _ items: [Item], between brackets: (StaticString, StaticString), to json: inout JSONWriter, depth: Int,
    _ write: (Item, inout JSONWriter) -> Void
  ) {
    json.buffer.append(brackets.0)
    for (index, item) in items.enumerated() {
      if index > 0 { json.buffer.append(UInt8(ascii: ",")) }
      newLine(in: json, depth: depth + 1)
      write(item, &json)
    }
    if !items.isEmpty { newLine(in: json, depth: depth) }
    json.buffer.append(brackets.1)
  }

  private static func newLine(in json: JSONWriter, depth: Int) {
    json.buffer.append(UInt8(ascii: "\n"))
    for _ in 0..<depth { json.buffer.append("  " as StaticString) }
  }
}

/// A named schema of the OpenAPI document (JSON Schema, 2020-12).
public struct Schema: Sendable {
  let name: String
  let definition: JSONValue

  public init(name: String, definition: JSONValue) { (self.name, self.definition) = (name, definition) }

  public var reference: JSONValue { ["$ref": .string("#/components/schemas/" + name)] }
}
