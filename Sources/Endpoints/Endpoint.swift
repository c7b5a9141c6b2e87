public import HTTP

/// A row of the table of endpoints: an operation, and what answers its requests. `Application` is what the endpoints of
/// a table share: its services.
public final class Endpoint<Application: AnyObject & Sendable>: Sendable {
  public let operation: Operation
  /// From authentication on.
  public let answer: @Sendable (Application, Call) async -> Response

  public init(
    _ operation: Operation, answer: @escaping @Sendable (Application, Call) async -> Response
  ) {
    (self.operation, self.answer) = (operation, answer)
  }
}

/// What is asked for, and all that the OpenAPI document says about it. A class, because each request passes it on.
public final class Operation: Sendable {
  public let method: String
  /// The path, with parameters in braces.
  public let path: String
  /// The operation's name in the OpenAPI document.
  public let name: String
  public let summary: String
  public let access: Access
  let input: InputDescription
  /// The names that `input` declares.
  let names: KnownNames
  let success: SuccessDescription
  /// What can go wrong here, beside what can go wrong everywhere.
  let problems: [ProblemKind]

  /// - Parameter problems: what the handler throws, beside what its access and its input can have wrong.
  public init<In: Input, Out: Answer>(
    _ method: String, _ path: String, _ name: String, _ summary: String, access: Access,
    problems: [ProblemKind], reads: In.Type, answers: Out.Type
  ) {
    (self.method, self.path, self.name, self.summary) = (method, path, name, summary)
    self.access = access
    input = In.description
    names = KnownNames(input)
    success = Out.description
    self.problems = access.problems + input.problems + problems
  }
}

/// A request on its way through an endpoint.
public struct Call: Sendable {
  public let request: Request
  public let endpoint: Operation
  /// The values of the path's parameters, percent-decoded once; nil where the encoding is broken.
  public let pathParameters: [String?]
  /// When the request arrived as a whole.
  public let start: ContinuousClock.Instant

  public init(
    request: Request, endpoint: Operation, pathParameters: [String?],
    start: ContinuousClock.Instant = .now
  ) {
    (self.request, self.endpoint, self.pathParameters) = (request, endpoint, pathParameters)
    self.start = start
  }

  /// The content; `receiveWholeContent` has seen that it is whole.
  public var content: [UInt8] { request.content }
}

/// Who may call an operation, as far as the OpenAPI document shows it.
public struct Access: Sendable {
  /// The security requirement.
  let security: JSONValue
  let problems: [ProblemKind]
  /// The header fields of an answer, beside those that every answer has.
  let successHeaders: [HeaderDescription]
  let problemHeaders: [HeaderDescription]
  /// Whether machines call it again and again, so that a single call tells little.
  public let isRoutine: Bool

  public init(
    security: JSONValue, problems: [ProblemKind] = [], successHeaders: [HeaderDescription] = [],
    problemHeaders: [HeaderDescription] = [], isRoutine: Bool = false
  ) {
    (self.security, self.problems, self.isRoutine) = (security, problems, isRoutine)
    (self.successHeaders, self.problemHeaders) = (successHeaders, problemHeaders)
  }
}

/// Every endpoint of an application, and the finding of one by method and path.
public struct EndpointTable<Application: AnyObject & Sendable>: Sendable {
  private let endpoints: [Endpoint<Application>]
  private let router: Router

  public init(_ endpoints: [Endpoint<Application>]) {
    self.endpoints = endpoints
    router = Router(endpoints.map { ($0.operation.method, $0.operation.path) })
  }

  public var operations: [Operation] { endpoints.map(\.operation) }

  /// The methods of all endpoints, as in `Allow`.
  public var methodNames: String { router.methodNames }

  /// Finds the endpoint of a request, and the values of its path's parameters.
  public func find(_ request: Request) throws(Problem) -> (Endpoint<Application>, parameters: [String?]) {
    switch router.match(method: request.method, path: request.path) {
    case .found(let number, let parameters): return (endpoints[number], parameters)
    case .methodNotAllowed(let allow): throw .methodNotAllowed(request.method, allow: allow)
    case .notFound:
      throw isOurs(request.path.dropLast()) && request.path.last == "/" ? .pathWithSlash : .pathNotFound
    }
  }

  private func isOurs(_ path: Substring) -> Bool {
    if case .notFound = router.match(method: "GET", path: path) { return false }
    return true
  }
}
