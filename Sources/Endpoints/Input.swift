/// The input of an endpoint. A value of the type proves that the request was well formed.
public protocol Input: SendableMetatype {
  static var description: InputDescription { get }
  /// Reads a request whose media type and names of query parameters `Call.input` has tested. Tests the ids in the
  /// path last: a malformed id is not found.
  init(of call: Call) throws(Problem)
}

/// The input of an endpoint that reads nothing.
public struct NoInput: Input {
  public static let description = InputDescription()
  public init(of call: Call) {}
}

/// The input of an endpoint whose path has an id.
public protocol PathInput: Input {
  associatedtype ID: Sendable
  static var parameter: PathParameter<ID> { get }
  init(id: ID)
}

extension PathInput {
  public static var description: InputDescription { InputDescription(parameters: [parameter.description]) }

  public init(of call: Call) throws(Problem) { self.init(id: try call.value(of: Self.parameter)) }
}

/// The input of an endpoint whose path has an id and that reads a JSON body.
public struct PathAndBody<Path: PathInput, Body: JSONInput>: Input {
  public let path: Path
  public let body: Body

  public static var description: InputDescription {
    var description = Body.description
    description.parameters = Path.description.parameters
    return description
  }

  public init(of call: Call) throws(Problem) {
    body = try Body(of: call)
    path = try Path(of: call)
  }
}

/// The description of an input in the OpenAPI document.
public struct InputDescription: Sendable {
  public var parameters: [ParameterDescription]
  public var body: Schema?
  public var bodyType: String
  /// Whether the body may be absent.
  public var isBodyOptional: Bool
  /// The kinds of problem in addition to those of every input.
  public var furtherProblems: [ProblemKind] = []

  public init(
    parameters: [ParameterDescription] = [], body: Schema? = nil, bodyType: String = "application/json",
    isBodyOptional: Bool = false
  ) {
    (self.parameters, self.body) = (parameters, body)
    (self.bodyType, self.isBodyOptional) = (bodyType, isBodyOptional)
  }

  /// Whether a body is JSON, not a form.
  var isJSON: Bool { bodyType == "application/json" }

  /// Any operation can refuse an unknown query parameter as an invalid value. A form's endpoint declares its own
  /// kinds.
  var problems: [ProblemKind] {
    if body == nil { return [.invalidValue] + furtherProblems }
    return (isJSON ? [.malformedJSON, .invalidValue] : []) + furtherProblems
  }
}

/// The description of a parameter in the OpenAPI document.
public struct ParameterDescription: Sendable {
  public enum Place: String, Sendable { case path, query, header }
  let name: String
  let place: Place
  public let meaning: String
  let schema: JSONValue

  public init(name: String, place: Place, meaning: String, schema: JSONValue) {
    (self.name, self.place, self.meaning, self.schema) = (name, place, meaning, schema)
  }
}
