internal import HTTP
internal import Registry

/// A row of the table of routes: what is asked for, what answers it, and all that the OpenAPI document says.
struct Endpoint: Sendable {
  let method: String
  /// The path, with parameters in braces.
  let path: String
  /// The operation's name in the OpenAPI document.
  let name: String
  let summary: String

  let access: Access
  let input: InputDescription
  let success: SuccessDescription
  /// What can go wrong, by status and then in the order of the checks.
  let problems: [ProblemKind]

  /// From authentication on.
  let answer: @Sendable (API, Call) async throws(Problem) -> Response

  /// - Parameters:
  ///   - problems: what the handler throws, beside what every route, its caller and its input can have wrong.
  ///   - handler: an ordinary function. Existence, ownership and state are its to test.
  init<Caller: API.Caller, Input: API.Input, Answer: API.Answer>(
    _ method: String, _ path: String, _ name: String, _ summary: String, problems: [ProblemKind] = [],
    _ handler: @escaping @Sendable (API) -> (Caller, Input) async throws(RegistryError) -> Answer
  ) {
    self.method = method
    self.path = path
    self.name = name
    self.summary = summary
    access = Caller.access
    input = Input.description
    success = Answer.description
    self.problems =
      (ProblemKind.everywhere + Caller.access.problems + Input.description.problems + problems)
      .sorted { $0.status < $1.status }
    answer = { (api, call) async throws(Problem) -> Response in
      let caller = try await Caller(of: call.request, verifiedBy: api.authenticator)
      if Input.description.body == nil { try call.testUnreadBody() }
      let input = try Input(of: call)
      do throws(RegistryError) {
        return try await handler(api)(caller, input).response()
      } catch {
        throw Problem(error)
      }
    }
  }
}

extension API {
  /// Who calls. That there is a value proves that the request was tested.
  protocol Caller: SendableMetatype {
    static var access: Access { get }
    /// Authentication and scope.
    init(of request: Request, verifiedBy authenticator: any OwnerAuthenticator) async throws(Problem)
  }

  /// What a route reads from a request. That there is a value proves that it was well formed.
  protocol Input: SendableMetatype {
    static var description: InputDescription { get }
    /// Media type and syntax; last, an id in the path that is not of its form, which names nothing.
    init(of call: Call) throws(Problem)
  }

  /// What a route answers when all went well.
  protocol Answer: SendableMetatype {
    static var description: SuccessDescription { get }
    func response() -> Response
  }

  /// The input of a route that reads nothing.
  struct NoInput: Input {
    static let description = InputDescription()
    init(of call: Call) {}
  }
}

/// Who may call a route.
enum Access: Sendable {
  case anyone
  case owner
  case administrator

  var problems: [ProblemKind] {
    switch self {
    case .anyone: []
    case .owner: [.tokenMissing, .tokenInvalid]
    case .administrator: [.tokenMissing, .tokenInvalid, .insufficientScope]
    }
  }
}

/// What the OpenAPI document says of an input.
struct InputDescription: Sendable {
  var parameters: [ParameterDescription] = []
  var body: Schema?

  var problems: [ProblemKind] {
    var problems: [ProblemKind] = []
    if body != nil { problems.append(.malformedJSON) }
    if body != nil || parameters.contains(where: { $0.place == .query }) { problems.append(.invalidValue) }
    return problems
  }
}

/// What the OpenAPI document says of a parameter.
struct ParameterDescription: Sendable {
  enum Place: String { case path, query }
  let name: String
  let place: Place
  let meaning: String
  let schema: JSONValue
}

/// What the OpenAPI document says of the answer to a request that succeeded.
struct SuccessDescription: Sendable {
  let status: Int
  let meaning: String
  var schema: JSONValue?
  /// The schemas that `schema` refers to.
  var components: [Schema] = []
  /// Beside those that every answer has.
  var headers: [HeaderDescription] = []
}

/// A named schema of the OpenAPI document (JSON Schema, 2020-12).
struct Schema: Sendable {
  let name: String
  let definition: JSONValue

  var reference: JSONValue { ["$ref": .string("#/components/schemas/" + name)] }
}
