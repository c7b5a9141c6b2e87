public import HTTP

/// A JSON object whose members are declared once: its text, its schema and `required` are derived from that.
public protocol JSONObject: JSONWritable {
  /// The schema's name in the OpenAPI document; nil to inline the schema.
  static var name: String? { get }
  /// Whether the text holds a secret.
  static var isSensitive: Bool { get }
  /// Declares the members in the order of the text.
  static func describe(_ members: inout some Members<Self>)
}

/// A visitor of an object's members.
public protocol Members<Value> {
  associatedtype Value
  /// Visits a member: its name, keywords in addition to those of its type's schema, and its value.
  mutating func add<Field: JSONWritable>(
    _ name: StaticString, _ keywords: @autoclosure () -> JSONValue, _ read: (Value) -> Field)
  /// Visits all members of another object.
  mutating func include<Part: JSONObject>(_ read: (Value) -> Part)
}

extension Members {
  @inlinable public mutating func add<Field: JSONWritable>(_ name: StaticString, _ read: (Value) -> Field) {
    add(name, [:], read)
  }
}

extension JSONObject {
  public static var name: String? { nil }
  public static var isSensitive: Bool { false }

  @inlinable public func write(to json: inout JSONWriter) {
    json.object { json in
      var writer = MemberWriter(value: self, json: json)
      Self.describe(&writer)
      json = writer.json
    }
  }

  /// The text, in a buffer.
  @inlinable public func text(capacity: Int) -> ByteBuffer {
    var json = JSONWriter(buffer: ByteBuffer(capacity: capacity, isSensitive: Self.isSensitive))
    write(to: &json)
    return json.buffer
  }

  public static var schema: JSONValue {
    var members = MemberSchemas<Self>()
    describe(&members)
    return [
      "type": "object",
      "required": .array(members.schemas.map { .string($0.name) }),
      "properties": .object(members.schemas),
    ]
  }

  /// The named schema, for references.
  public static var component: Schema? { name.map { Schema(name: $0, definition: schema) } }
}

@usableFromInline struct MemberWriter<Value>: Members {
  @usableFromInline let value: Value
  @usableFromInline var json: JSONWriter

  @inlinable init(value: Value, json: JSONWriter) { (self.value, self.json) = (value, json) }

  @inlinable mutating func add<Field: JSONWritable>(
    _ name: StaticString, _ keywords: @autoclosure () -> JSONValue, _ read: (Value) -> Field
  ) {
    json.member(name, read(value))
  }

  @inlinable mutating func include<Part: JSONObject>(_ read: (Value) -> Part) {
    var part = MemberWriter<Part>(value: read(value), json: json)
    Part.describe(&part)
    json = part.json
  }
}

private struct MemberSchemas<Value>: Members {
  private(set) var schemas: [(name: String, value: JSONValue)] = []

  mutating func add<Field: JSONWritable>(
    _ name: StaticString, _ keywords: @autoclosure () -> JSONValue, _ read: (Value) -> Field
  ) {
    schemas.append((name.description, Field.schema.adding(keywords())))
  }

  mutating func include<Part: JSONObject>(_ read: (Value) -> Part) {
    var part = MemberSchemas<Part>()
    Part.describe(&part)
    schemas += part.schemas
  }
}
