public import HTTP
internal import JSON

extension Call {
  /// Reads the route's input: tests the media type and the names of query parameters, then the body and the values.
  public func input<In: Input>(_ type: In.Type) throws(Problem) -> In {
    let description = endpoint.input
    if description.body == nil || description.isBodyOptional && content.isEmpty {
      try testUnreadBody()
    } else if description.isJSON {
      try testMediaType()
    }
    try endpoint.names.test(query: request.query)
    return try In(of: self)
  }

  /// Tests the media type of a body that the route does not read: all routes have the same rule.
  private func testUnreadBody() throws(Problem) {
    guard !content.isEmpty || request.value(of: "content-encoding") != nil else { return }
    try testMediaType()
  }

  private func testMediaType() throws(Problem) {
    guard request.value(of: "content-encoding") == nil else { throw .unsupportedContentEncoding }
    guard let contentType = request.value(of: "content-type") else {
      // An empty body has no type.
      guard content.isEmpty else { throw .unsupportedMediaType }
      return
    }
    guard Self.isJSON(contentType) else { throw .unsupportedMediaType }
  }

  /// `application/json`, with or without `charset=utf-8` (RFC 9110, section 8.3.1). Parameters may be empty (section
  /// 5.6.6).
  static func isJSON(_ contentType: String) -> Bool {
    let parts = contentType.lowercased().split(separator: ";", omittingEmptySubsequences: false)
      .map { $0.trimming { $0 == " " || $0 == "\t" } }
    guard parts.first == "application/json" else { return false }
    let parameters = parts.dropFirst().filter { !$0.isEmpty }
    return parameters.count <= 1
      && parameters.allSatisfy { ["charset=utf-8", "charset=\"utf-8\""].contains($0) }
  }
}

extension Request {
  /// The content, complete after `receiveWholeContent`.
  public var content: [UInt8] {
    if case .complete(let bytes) = body { return bytes }
    return []
  }

  /// Throws for a body that the server discarded because it is too large.
  public func testSize() throws(Problem) {
    if case .tooLarge(let maximumBytes) = body { throw .contentTooLarge(maximumBytes: maximumBytes) }
  }

  /// Waits for the content, where the client waits for `100 Continue`, and tests its size.
  public func receiveWholeContent() async throws(Problem) {
    if case .expected = body { await receiveContent() }
    try testSize()
    if case .lost = body { throw .contentLost }
  }
}

/// The input of an endpoint that reads a JSON body.
public protocol JSONInput: Input, Sendable {
  static var body: JSONBody<Self> { get }
}

extension JSONInput {
  public static var description: InputDescription {
    InputDescription(body: body.schema, isBodyOptional: body.isOptional)
  }

  public init(of call: Call) throws(Problem) { self = try Self.body.read(call.content) }
}

/// The JSON object that a route reads as its body.
public struct JSONBody<Value: Sendable>: Sendable {
  let schema: Schema
  /// Whether the body may be empty, which means an object without members.
  let isOptional: Bool
  private let names: JSONMembers?
  private let rule: Rule<Value>

  public init(_ name: String, isOptional: Bool = false, _ rule: Rule<Value>) {
    schema = Schema(name: name, definition: rule.schema)
    names = JSONMembers(of: schema.definition)
    self.isOptional = isOptional
    self.rule = rule
  }

  /// Tests the syntax, then the names of members, then the values.
  func read(_ content: [UInt8]) throws(Problem) -> Value {
    if isOptional, content.isEmpty { return try rule.read(.object(ParsedObject())) }
    let value = try ParsedJSON(body: content, knowing: names)
    guard case .object = value else { throw .malformedJSON("The body must be a JSON object.") }
    return try rule.read(value)
  }
}

extension ParsedJSON {
  /// Reads the body of a request: JSON without unknown or repeated members.
  init(body: [UInt8], knowing names: JSONMembers?) throws(Problem) {
    guard !body.isEmpty else { throw .malformedJSON("The body is empty; send a JSON object.") }
    do throws(JSONFault) {
      self = try ParsedJSON(body, keepingRaw: names?.rawNames ?? [])
    } catch {
      throw Problem(error)
    }
    try names?.test(self)
  }
}

extension Problem {
  fileprivate init(_ fault: JSONFault) {
    switch fault {
    case .notUTF8: self = .malformedJSON("The body is not UTF-8 text.")
    case .byteOrderMark:
      self = .malformedJSON("The body begins with a byte order mark (U+FEFF); send UTF-8 without one.")
    case .terminatingNUL:
      self = .malformedJSON(
        "The body ends with a zero byte; send the text without it. In MQL5, StringToCharArray copies the terminating "
          + "zero unless its argument `count` is the length of the text.")
    case .unexpected(let byte):
      self = .malformedJSON("The body is not JSON: syntax error at byte \(byte).")
    case .tooEarlyEnd: self = .malformedJSON("The body is not JSON: it ends before the text is complete.")
    case .tooDeep:
      self = .malformedJSON("The body has more than \(ParsedJSON.maximumDepth) levels of objects and arrays.")
    case .member(let path, let fault):
      let field = path.map(NameList.shown).joined(separator: ".")
      switch fault {
      case .repeated: self = .invalidValue(of: field, "must not be given twice")
      case .containsNUL: self = .invalidValue(of: field, "must not contain U+0000")
      case .tooLarge: self = .invalidValue(of: field, "is a number outside the range of binary64")
      case .unpairedSurrogate:
        self = .invalidValue(of: field, "must not contain half of a surrogate pair, such as \\ud800 alone")
      }
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
