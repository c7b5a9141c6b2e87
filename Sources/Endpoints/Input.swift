/// What an endpoint reads from a request. A value proves that the request was well formed.
public protocol Input: SendableMetatype {
  static var description: InputDescription { get }
  /// The values, in a request whose media type and query parameters' names `Call.input` has tested; last, an id in the
  /// path that is not of its form, which names nothing.
  init(of call: Call) throws(Problem)
}

/// The input of an endpoint that reads nothing.
public struct NoInput: Input {
  public static let description = InputDescription()
  public init(of call: Call) {}
}

/// The input of an endpoint whose path names something.
public protocol PathInput: Input {
  associatedtype ID: Sendable
  static var parameter: PathParameter<ID> { get }
  init(id: ID)
}

extension PathInput {
  public static var description: InputDescription { InputDescription(parameters: [parameter.description]) }

  public init(of call: Call) throws(Problem) { self.init(id: try call.value(of: Self.parameter)) }
}

/// The input of an endpoint whose path names something, and which reads a JSON body.
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

/// What the OpenAPI document says of an input.
public struct InputDescription: Sendable {
  public var parameters: [ParameterDescription]
  public var body: Schema?
  public var bodyType: String
  /// Whether the body may be absent.
  public var isBodyOptional: Bool

  public init(
    parameters: [ParameterDescription] = [], body: Schema? = nil, bodyType: String = "application/json",
    isBodyOptional: Bool = false
  ) {
    (self.parameters, self.body) = (parameters, body)
    (self.bodyType, self.isBodyOptional) = (bodyType, isBodyOptional)
  }

  /// Whether the body, where there is one, is JSON and not a form.
  var isJSON: Bool { bodyType == "application/json" }

  /// An unknown query parameter is an invalid value, also where none is known. A form's endpoint declares its own.
  var problems: [ProblemKind] {
    if body == nil { return [.invalidValue] }
    return isJSON ? [.malformedJSON, .invalidValue] : []
  }
}

/// What the OpenAPI document says of a parameter.
public struct ParameterDescription: Sendable {
  public enum Place: String, Sendable { case path, query }
  let name: String
  let place: Place
  public let meaning: String
  let schema: JSONValue

  public init(name: String, place: Place, meaning: String, schema: JSONValue) {
    (self.name, self.place, self.meaning, self.schema) = (name, place, meaning, schema)
  }
}
