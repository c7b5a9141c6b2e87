/// A named schema of the OpenAPI document (JSON Schema, 2020-12).
public struct Schema: Sendable {
  let name: String
  let definition: JSONValue

  public init(name: String, definition: JSONValue) { (self.name, self.definition) = (name, definition) }

  public var reference: JSONValue { ["$ref": .string("#/components/schemas/" + name)] }
}
