public import HTTP

/// The answer of an endpoint to a request that succeeded.
public protocol Answer: SendableMetatype {
  static var description: SuccessDescription { get }
  /// Elements of the list that it is or has; 0 unless declared.
  var rows: Int { get }
  func response() -> Response
}

extension Answer {
  public var rows: Int { 0 }
}

/// The description of an answer in the OpenAPI document.
public struct SuccessDescription: Sendable {
  let status: Int
  let meaning: String
  let schema: JSONValue?
  /// The schema that `schema` refers to.
  let component: Schema?
  /// The header fields in addition to those of every answer.
  let headers: [HeaderDescription]
  /// Another status that the answer may have, with the same content.
  var other: (status: Int, meaning: String)?
  /// Media types that the answer may have instead of JSON, if the request's `Accept` prefers them: text.
  var textTypes: [String] = []

  public init(
    status: Int, meaning: String, schema: JSONValue? = nil, component: Schema? = nil,
    headers: [HeaderDescription] = []
  ) {
    (self.status, self.meaning, self.schema) = (status, meaning, schema)
    (self.component, self.headers) = (component, headers)
  }

  /// Describes an answer whose content is a JSON object.
  public init<Value: JSONObject>(
    status: Int, meaning: String, _ value: Value.Type, headers: [HeaderDescription] = []
  ) {
    self.init(
      status: status, meaning: meaning, schema: Value.component?.reference ?? Value.schema,
      component: Value.component, headers: headers)
  }
}

/// 200 with a JSON object.
public struct OK<Value: JSONObject>: Answer {
  @usableFromInline let value: Value

  @inlinable public init(value: Value) { self.value = value }

  public static var description: SuccessDescription {
    SuccessDescription(status: 200, meaning: "Done.", Value.self)
  }

  @inlinable public func response() -> Response {
    Response(status: 200, contentType: "application/json", body: value.text(capacity: 512))
  }
}

/// 201 with the new resource.
public struct Created<Value: JSONObject>: Answer {
  @usableFromInline let value: Value
  @usableFromInline let location: String
  @usableFromInline let isReplayed: Bool

  /// - Parameters:
  ///   - location: the path of the new resource.
  ///   - isReplayed: whether an earlier request with the same idempotency key created it.
  @inlinable public init(value: Value, location: String, isReplayed: Bool = false) {
    (self.value, self.location, self.isReplayed) = (value, location, isReplayed)
  }

  public static var description: SuccessDescription {
    SuccessDescription(status: 201, meaning: "Created.", Value.self, headers: [.location, .replayed])
  }

  @inlinable public func response() -> Response {
    Response(
      status: 201,
      fields: [("Location", location)] + (isReplayed ? [("Idempotency-Replayed", "true")] : []),
      contentType: "application/json",
      body: value.text(capacity: 1024))
  }
}

/// 201 with an array of the new resources.
public struct CreatedListing<Element: JSONObject>: Answer {
  @usableFromInline let elements: [Element]

  @inlinable public init(elements: [Element]) { self.elements = elements }

  public static var description: SuccessDescription {
    SuccessDescription(
      status: 201, meaning: "Created.",
      schema: ["type": "array", "items": Element.component?.reference ?? Element.schema],
      component: Element.component)
  }

  public var rows: Int { elements.count }

  @inlinable public func response() -> Response {
    Response(status: 201, contentType: "application/json", body: JSONWriter.text(of: elements))
  }
}

/// 201 with the new resource, or 200 with the one that was there.
public struct Put<Value: JSONObject>: Answer {
  @usableFromInline let value: Value
  @usableFromInline let location: String
  @usableFromInline let isCreated: Bool

  /// - Parameter location: the path of the resource.
  @inlinable public init(value: Value, location: String, isCreated: Bool) {
    (self.value, self.location, self.isCreated) = (value, location, isCreated)
  }

  public static var description: SuccessDescription {
    var description = SuccessDescription(
      status: 200, meaning: "It was there.", Value.self, headers: [.location])
    description.other = (201, "Created.")
    return description
  }

  @inlinable public func response() -> Response {
    Response(
      status: isCreated ? 201 : 200, fields: [("Location", location)], contentType: "application/json",
      body: value.text(capacity: 512))
  }
}

/// 202 with a JSON object: what was asked for happens after the answer.
public struct Accepted<Value: JSONObject>: Answer {
  @usableFromInline let value: Value

  @inlinable public init(value: Value) { self.value = value }

  public static var description: SuccessDescription {
    SuccessDescription(status: 202, meaning: "Accepted.", Value.self)
  }

  @inlinable public func response() -> Response {
    Response(status: 202, contentType: "application/json", body: value.text(capacity: 1024))
  }
}

/// 200 with an array, and the next page in `Link`.
public struct Listing<Element: JSONObject>: Answer {
  @usableFromInline let elements: [Element]
  @usableFromInline let next: String?

  /// - Parameter next: the path and query of the next page; nil for the last page.
  @inlinable public init(elements: [Element], next: String?) { (self.elements, self.next) = (elements, next) }

  public static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "The list, or a page of it.",
      schema: ["type": "array", "items": Element.component?.reference ?? Element.schema],
      component: Element.component,
      headers: [.link])
  }

  public var rows: Int { elements.count }

  @inlinable public func response() -> Response {
    Response(
      status: 200, fields: .link(to: next), contentType: "application/json", body: JSONWriter.text(of: elements)
    )
  }
}

extension JSONWriter {
  /// The text of an array.
  @usableFromInline static func text<Element: JSONObject>(of elements: [Element]) -> ByteBuffer {
    var json = JSONWriter(
      buffer: ByteBuffer(capacity: 16 + elements.count * 512, isSensitive: Element.isSensitive))
    json.array(elements)
    return json.buffer
  }
}

/// 200 with an array or, if `Accept` prefers it, a table in CSV (RFC 4180); and the next page in `Link`.
public struct ListingOrTable<Element: JSONObject & TableRow>: Answer {
  private enum Content {
    case list(Listing<Element>)
    case table(CSVTable<Element>, next: String?)
  }
  private let content: Content

  public init(_ listing: Listing<Element>) { content = .list(listing) }

  /// - Parameter next: the path and query of the table's next part; nil for the last.
  public init(_ table: CSVTable<Element>, next: String?) { content = .table(table, next: next) }

  public static var description: SuccessDescription {
    var description = SuccessDescription(
      status: 200, meaning: "The list, or a page of it.",
      schema: ["type": "array", "items": Element.component?.reference ?? Element.schema],
      component: Element.component, headers: [.link, .vary])
    description.textTypes = ["text/csv"]
    return description
  }

  public var rows: Int {
    switch content {
    case .list(let listing): listing.rows
    case .table(let table, _): table.rows
    }
  }

  public func response() -> Response {
    let response: Response
    switch content {
    case .list(let listing): response = listing.response()
    case .table(let table, let next):
      response = Response(
        status: 200, fields: .link(to: next), contentType: "text/csv; charset=utf-8; header=present",
        body: table.text)
    }
    response.fields.append(("Vary", "Accept"))
    return response
  }
}

/// 200 with a JSON object that has a page of a list, and the next page in `Link`.
public struct PageOf<Value: JSONObject>: Answer {
  @usableFromInline let value: Value
  public let rows: Int
  @usableFromInline let next: String?

  /// - Parameters:
  ///   - rows: elements of the page.
  ///   - next: the path and query of the next page; nil for the last page.
  @inlinable public init(value: Value, rows: Int, next: String?) {
    (self.value, self.rows, self.next) = (value, rows, next)
  }

  public static var description: SuccessDescription {
    SuccessDescription(status: 200, meaning: "Done.", Value.self, headers: [.link])
  }

  @inlinable public func response() -> Response {
    Response(
      status: 200, fields: .link(to: next), contentType: "application/json", body: value.text(capacity: 1024))
  }
}

extension [(name: StaticString, value: String)] {
  /// `Link` (RFC 8288) to the next page; empty for the last page.
  @usableFromInline static func link(to next: String?) -> Self {
    next.map { [("Link", "<\($0)>; rel=\"next\"")] } ?? []
  }
}

/// 204 without content.
public struct NoContent: Answer {
  public static let description = SuccessDescription(status: 204, meaning: "Done.")

  public init() {}

  public func response() -> Response { Response(status: 204) }
}
