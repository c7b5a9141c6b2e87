internal import FoundationEssentials
internal import HTTP

extension Call {
  /// What the route reads: media type, syntax, and the names of members and query parameters; then the values.
  public func input<In: Input>(_ type: In.Type) throws(Problem) -> In {
    let description = endpoint.input
    if description.body == nil || description.isBodyOptional && content.isEmpty {
      try testUnreadBody()
    } else if description.isJSON {
      try testMediaType()
      try testText()
    }
    try endpoint.names.test(query: request.query)
    return try In(of: self)
  }

  /// The members of the body, whose media type, syntax and names `input` has tested.
  public func json<Body: Decodable>(_ type: Body.Type) throws(Problem) -> Body {
    do {
      return try JSONDecoder().decode(Body.self, from: Data(content))
    } catch let error as DecodingError {
      throw Problem(error)
    } catch {
      throw .malformedJSON("The body is not JSON.")
    }
  }

  /// The bytes of a member of the body, which `json` has accepted; nil where it is absent.
  public func rawMember(_ name: String) -> ArraySlice<UInt8>? {
    JSONSyntax.ranges(ofMember: name, in: content).first.map { content[$0] }
  }

  /// The media type of a body that the route does not read, where one was sent: the rule is the same everywhere.
  private func testUnreadBody() throws(Problem) {
    guard !content.isEmpty || request.value(of: "content-encoding") != nil else { return }
    try testMediaType()
  }

  private func testMediaType() throws(Problem) {
    guard request.value(of: "content-encoding") == nil else { throw .unsupportedContentEncoding }
    guard let contentType = request.value(of: "content-type") else {
      // Nothing is of no type.
      guard content.isEmpty else { throw .unsupportedMediaType }
      return
    }
    guard Self.isJSON(contentType) else { throw .unsupportedMediaType }
  }

  /// `application/json`, with or without `charset=utf-8` (RFC 9110, section 8.3.1).
  static func isJSON(_ contentType: String) -> Bool {
    let parts = contentType.lowercased().split(separator: ";", omittingEmptySubsequences: false)
      .map { $0.trimming { $0 == " " || $0 == "\t" } }
    guard parts.first == "application/json" else { return false }
    return parts.count == 1
      || parts.count == 2 && ["charset=utf-8", "charset=\"utf-8\""].contains(parts[1])
  }

  /// JSON is UTF-8 (RFC 8259, section 8.1). The decoder would take other encodings, and guess which.
  private func testText() throws(Problem) {
    let bytes = content
    guard !bytes.isEmpty else { throw .malformedJSON("The body is empty; send a JSON object.") }
    guard !bytes.contains(0), (try? UTF8Span(validating: bytes.span)) != nil else {
      throw .malformedJSON("The body is not UTF-8 text.")
    }
    do throws(JSONSyntax.Malformation) {
      try JSONSyntax.test(bytes, endpoint.names.body)
    } catch {
      throw Problem(error)
    }
  }
}

extension Problem {
  fileprivate init(_ malformation: JSONSyntax.Malformation) {
    switch malformation {
    case .unexpected(let byte):
      self = .malformedJSON("The body is not JSON: syntax error at byte \(byte).")
    case .tooEarlyEnd: self = .malformedJSON("The body is not JSON: it ends before the text is complete.")
    case .tooDeep:
      self = .malformedJSON("The body has more than \(JSONSyntax.maximumDepth) levels of objects and arrays.")
    case .name(let field, let message): self = .invalidValue(of: field, message)
    }
  }
}

extension Problem {
  /// In which member the error is, and what should be there. Of the decoder's own words nothing is shown.
  fileprivate init(_ error: DecodingError) {
    func field(_ path: [any CodingKey]) -> String {
      path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context):
      self = .invalidValue(of: field(context.codingPath + [key]), "is missing")
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      let path = field(context.codingPath)
      self =
        path.isEmpty
        ? .malformedJSON("The body must be a JSON object.")
        : .invalidValue(of: path, "must be \(Self.jsonName(of: type))")
    case .dataCorrupted(let context):
      let path = field(context.codingPath)
      self =
        path.isEmpty
        ? .malformedJSON("The body is not JSON.") : .invalidValue(of: path, "is out of range or malformed")
    @unknown default:
      self = .malformedJSON("The body is not the JSON that is expected.")
    }
  }

  private static func jsonName(of type: any Any.Type) -> String {
    switch type {
    case is String.Type: "a string"
    case is Int64.Type: "an integer of 64 bits"
    case is Bool.Type: "true or false"
    case is [Any].Type: "an array"
    case is [String: Any].Type: "an object"
    default: "of the type that /openapi.json declares"
    }
  }
}

extension Substring {
  fileprivate func trimming(_ isTrimmed: (Character) -> Bool) -> Substring {
    var rest = drop(while: isTrimmed)
    while let last = rest.last, isTrimmed(last) { rest.removeLast() }
    return rest
  }
}

/// An integer of 64 bits. The decoder itself would not name the member whose number is none.
public struct JSONInteger: Decodable {
  public let value: Int64

  public init(from decoder: any Decoder) throws {
    do {
      value = try decoder.singleValueContainer().decode(Int64.self)
    } catch {
      throw DecodingError.typeMismatch(
        Int64.self, DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "not an integer"))
    }
  }
}

extension JSONInteger {
  /// The number, if it lies within bounds.
  public func value(in bounds: ClosedRange<Int>, of field: String) throws(Problem) -> Int {
    guard let number = Int(exactly: value), bounds.contains(number) else { throw .notWithin(bounds, field) }
    return number
  }
}
