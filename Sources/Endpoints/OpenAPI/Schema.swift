/// A named schema of the OpenAPI document (JSON Schema, 2020-12).
public struct Schema: Sendable {
  let name: String
  let definition: JSONValue

  public init(name: String, definition: JSONValue) { (self.name, self.definition) = (name, definition) }

  public var reference: JSONValue { ["$ref": .string("#/components/schemas/" + name)] }
}

extension Schema {
  /// An object that has all of these members.
  public init(name: String, members: [(name: String, value: JSONValue)]) {
    self.init(
      name: name,
      definition: [
        "type": "object",
        "required": .array(members.map { .string($0.name) }),
        "properties": .object(members),
      ])
  }
}
