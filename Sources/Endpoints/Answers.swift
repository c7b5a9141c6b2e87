public import HTTP

/// What an endpoint answers when all went well.
public protocol Answer: SendableMetatype {
  static var description: SuccessDescription { get }
  func response() -> Response
}

/// What the OpenAPI document says of the answer to a request that succeeded.
public struct SuccessDescription: Sendable {
  let status: Int
  let meaning: String
  let schema: JSONValue?
  /// The schemas that `schema` refers to.
  let components: [Schema]
  /// Beside those that every answer has.
  let headers: [HeaderDescription]

  public init(
    status: Int, meaning: String, schema: JSONValue? = nil, components: [Schema] = [],
    headers: [HeaderDescription] = []
  ) {
    (self.status, self.meaning, self.schema) = (status, meaning, schema)
    (self.components, self.headers) = (components, headers)
  }
}

/// What is answered as JSON.
public protocol JSONDescribed: JSONWritable {
  /// The schema, beside the code that writes the value.
  static var schema: Schema { get }
  /// Whether the text holds a secret.
  static var isSensitive: Bool { get }
}

extension JSONDescribed {
  public static var isSensitive: Bool { false }
}

/// 200 with a value.
public struct OK<Value: JSONDescribed>: Answer {
  @usableFromInline let value: Value

  @inlinable public init(value: Value) { self.value = value }

  public static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "Done.", schema: Value.schema.reference, components: [Value.schema])
  }

  @inlinable public func response() -> Response {
    var json = JSONWriter(buffer: ByteBuffer(capacity: 512, isSensitive: Value.isSensitive))
    value.write(to: &json)
    return Response(status: 200, contentType: "application/json", body: json.buffer)
  }
}

/// 201 with what was made.
public struct Created<Value: JSONDescribed>: Answer {
  @usableFromInline let value: Value
  @usableFromInline let location: String

  /// - Parameter location: its path.
  @inlinable public init(value: Value, location: String) { (self.value, self.location) = (value, location) }

  public static var description: SuccessDescription {
    SuccessDescription(
      status: 201, meaning: "Created.", schema: Value.schema.reference, components: [Value.schema],
      headers: [.location])
  }

  @inlinable public func response() -> Response {
    var json = JSONWriter(buffer: ByteBuffer(capacity: 1024, isSensitive: Value.isSensitive))
    value.write(to: &json)
    return Response(
      status: 201, fields: [("Location", location)], contentType: "application/json", body: json.buffer)
  }
}

/// 200 with an array, and in `Link` where it goes on.
public struct Listing<Element: JSONDescribed>: Answer {
  @usableFromInline let elements: [Element]
  @usableFromInline let next: String?

  /// - Parameter next: the path and query of the next page; nil when this is the last.
  @inlinable public init(elements: [Element], next: String?) { (self.elements, self.next) = (elements, next) }

  public static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "The list, or a page of it.",
      schema: ["type": "array", "items": Element.schema.reference], components: [Element.schema],
      headers: [.link])
  }

  @inlinable public func response() -> Response {
    var json = JSONWriter(
      buffer: ByteBuffer(capacity: 16 + elements.count * 512, isSensitive: Element.isSensitive))
    json.array(elements)
    return Response(
      status: 200, fields: next.map { [("Link", "<\($0)>; rel=\"next\"")] } ?? [],
      contentType: "application/json", body: json.buffer)
  }
}

/// 204.
public struct NoContent: Answer {
  public static let description = SuccessDescription(status: 204, meaning: "Done.")

  public init() {}

  public func response() -> Response { Response(status: 204) }
}
