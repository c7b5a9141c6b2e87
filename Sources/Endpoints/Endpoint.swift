public import HTTP

/// A row of the table of endpoints: an operation and the function that answers it. `Application` holds the services
/// that all endpoints of a table share.
public final class Endpoint<Application: AnyObject & Sendable>: Sendable {
  public let operation: Operation
  /// Authenticates, reads the input and calls the handler.
  public let answer: @Sendable (Application, Call) async -> Response

  public init(
    _ operation: Operation, answer: @escaping @Sendable (Application, Call) async -> Response
  ) {
    (self.operation, self.answer) = (operation, answer)
  }
}

/// An operation and its description in the OpenAPI document. A class, because each request passes it on.
public final class Operation: Sendable {
  public let method: String
  /// The path, with parameters in braces.
  public let path: String
  /// The operation's name in the OpenAPI document.
  public let name: String
  public let summary: String
  public let access: Access
  let input: InputDescription
  let names: KnownNames
  let success: SuccessDescription
  /// The kinds of problem in addition to those of every operation.
  let problems: [ProblemKind]

  /// - Parameter problems: the kinds that the handler throws, in addition to those of its access and its input.
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

/// A request that an endpoint processes.
public struct Call: Sendable {
  public let request: Request
  public let endpoint: Operation
  /// The percent-decoded values of the path's parameters; nil for a malformed encoding.
  public let pathParameters: [String?]
  /// The time at which the server passed the request to the API.
  public let start: ContinuousClock.Instant

  public init(
    request: Request, endpoint: Operation, pathParameters: [String?],
    start: ContinuousClock.Instant = .now
  ) {
    (self.request, self.endpoint, self.pathParameters) = (request, endpoint, pathParameters)
    self.start = start
  }

  /// The content, complete after `receiveWholeContent`.
  public var content: [UInt8] { request.content }
}

/// The callers of an operation, as the OpenAPI document describes them.
public struct Access: Sendable {
  /// The security requirement.
  let security: JSONValue
  let problems: [ProblemKind]
  /// The header fields in addition to those of every answer.
  let successHeaders: [HeaderDescription]
  let problemHeaders: [HeaderDescription]
  /// Whether errors have the form of OAuth, whatever their kind (RFC 6749, section 5.2).
  let isOAuth: Bool
  /// Whether programs repeat the call, so that a single successful call is not worth a log line.
  public let isRoutine: Bool

  public init(
    security: JSONValue, problems: [ProblemKind] = [], successHeaders: [HeaderDescription] = [],
    problemHeaders: [HeaderDescription] = [], isOAuth: Bool = false, isRoutine: Bool = false
  ) {
    (self.security, self.problems, self.isOAuth, self.isRoutine) = (security, problems, isOAuth, isRoutine)
    (self.successHeaders, self.problemHeaders) = (successHeaders, problemHeaders)
  }
}

/// Finds an endpoint of an application by method and path.
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

  /// The endpoint of a request, and the values of its path's parameters.
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
