package import HTTP
package import Registry

/// What is answered as JSON.
protocol JSONDescribed: JSONWritable {
  /// The schema, which lies beside the code that writes the value.
  static var schema: Schema { get }
  /// Whether the text holds a secret.
  static var isSensitive: Bool { get }
}

extension JSONDescribed {
  static var isSensitive: Bool { false }

  fileprivate static func buffer(capacity: Int) -> ByteBuffer {
    ByteBuffer(capacity: capacity, isSensitive: isSensitive)
  }
}

/// 200 with a value.
struct OK<Value: JSONDescribed>: API.Answer {
  let value: Value

  static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "Done.", schema: Value.schema.reference, components: [Value.schema])
  }

  func response() -> Response {
    var json = JSONWriter(buffer: Value.buffer(capacity: 512))
    value.write(to: &json)
    return Response(status: 200, contentType: "application/json", body: json.buffer)
  }
}

/// 201 with what was made.
struct Created<Value: JSONDescribed>: API.Answer {
  let value: Value
  /// Its path.
  let location: String

  static var description: SuccessDescription {
    SuccessDescription(
      status: 201, meaning: "Created.", schema: Value.schema.reference, components: [Value.schema],
      headers: [.location])
  }

  func response() -> Response {
    var json = JSONWriter(buffer: Value.buffer(capacity: 1024))
    value.write(to: &json)
    return Response(
      status: 201, fields: [("Location", location)], contentType: "application/json", body: json.buffer)
  }
}

/// 200 with an array, and in `Link` where it goes on.
struct Listing<Element: JSONDescribed>: API.Answer {
  let elements: [Element]
  /// The path and query of the next page; nil when this is the last.
  let next: String?

  static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "The list, or a page of it.",
      schema: ["type": "array", "items": Element.schema.reference], components: [Element.schema],
      headers: [.link])
  }

  func response() -> Response {
    var json = JSONWriter(buffer: Element.buffer(capacity: 16 + elements.count * 512))
    json.array(elements)
    return Response(
      status: 200, fields: next.map { [("Link", "<\($0)>; rel=\"next\"")] } ?? [],
      contentType: "application/json", body: json.buffer)
  }
}

extension API {
  /// The answer to a list of devices, for the benchmarks.
  package static func answer(listing devices: [Device]) -> Response {
    Listing(elements: devices, next: nil).response()
  }
}

/// 204.
struct NoContent: API.Answer {
  static let description = SuccessDescription(status: 204, meaning: "Done.")

  func response() -> Response { Response(status: 204) }
}
