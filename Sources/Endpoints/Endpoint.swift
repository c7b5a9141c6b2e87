internal import HTTP
internal import Registry

/// A row of the table of routes: what is asked for, what answers it, and all that the OpenAPI document says.
/// A class, for each request hands it on.
final class Endpoint: Sendable {
  let method: String
  /// The path, with parameters in braces.
  let path: String
  /// The operation's name in the OpenAPI document.
  let name: String
  let summary: String

  let access: Access
  let input: InputDescription
  /// What `input` declares, as requests are tested against it.
  let names: KnownNames
  let success: SuccessDescription
  /// What can go wrong, by status and then in the order of the checks.
  let problems: [ProblemKind]

  /// Whether it is called again and again by machines, so that each call by itself tells little.
  let isRoutine: Bool

  /// From authentication on.
  let answer: @Sendable (API, Call) async -> Outcome

  /// - Parameters:
  ///   - isProbe: whether whoever watches over the service calls it.
  ///   - problems: what the handler throws, beside what every route, its caller and its input can have wrong.
  ///   - handler: an ordinary function. Existence, ownership and state are its to test.
  init<Caller: API.Caller, Input: API.Input, Answer: API.Answer>(
    _ method: String, _ path: String, _ name: String, _ summary: String, problems: [ProblemKind] = [],
    isProbe: Bool = false,
    _ handler: @escaping @Sendable (API) -> (Caller, Input) async throws(RegistryError) -> Answer
  ) {
    self.method = method
    self.path = path
    self.name = name
    self.summary = summary
    access = Caller.access
    isRoutine = isProbe || Caller.access == .device
    input = Input.description
    names = KnownNames(input)
    success = Answer.description
    self.problems =
      (ProblemKind.everywhere + Caller.access.problems + Input.description.problems + problems)
      .sorted { $0.status < $1.status }
    answer = { (api, call) async -> Outcome in
      let caller: Caller
      do throws(Problem) { caller = try await Caller(of: call.request, at: api) } catch {
        return api.outcome(error, of: call.request)
      }
      var outcome: Outcome
      var standing: RateLimit.Standing?
      do throws(Problem) {
        standing = try await Self.admit(caller, at: api)
        outcome = try await Self.answer(call, from: caller, at: api, handler)
      } catch {
        outcome = api.outcome(error, of: call.request)
      }
      if let standing { outcome.response.tell(standing) }
      caller.seal(outcome.response, at: api)
      outcome.caller = caller.proved ?? outcome.caller
      return outcome
    }
  }

  /// Lets the caller in, unless there were too many requests of it.
  private static func admit<Caller: API.Caller>(
    _ caller: Caller, at api: API
  ) async throws(Problem) -> RateLimit.Standing? {
    do throws(RegistryError) { try await caller.admit(at: api) } catch { throw caller.problem(error) }
    let standing = caller.count(at: api)
    if let standing, standing.retryAfterSeconds != nil {
      caller.noteUnread(at: api)
      throw Problem(.rateLimited(standing))
    }
    return standing
  }

  /// From the moment on that the caller is let in.
  private static func answer<Caller: API.Caller, Input: API.Input, Answer: API.Answer>(
    _ call: Call, from caller: Caller, at api: API,
    _ handler: (API) -> (Caller, Input) async throws(RegistryError) -> Answer
  ) async throws(Problem) -> Outcome {
    try caller.testScope()
    let input: Input
    do throws(Problem) {
      try await call.request.receiveWholeContent()
      input = try call.input(Input.self)
    } catch {
      caller.noteUnread(at: api)
      throw error
    }
    do throws(RegistryError) {
      let answer = try await handler(api)(caller, input)
      return Outcome(answer.response(), caller: answer.proved)
    } catch {
      throw caller.problem(error)
    }
  }
}

extension API {
  /// Who calls. That there is a value proves that the request was tested.
  protocol Caller: SendableMetatype {
    static var access: Access { get }
    /// Who it is, for the log; nil where nothing was proved.
    var proved: ProvedCaller? { get }
    /// Authentication.
    init(of request: Request, at api: API) async throws(Problem)
    /// Does what it brings about that the caller is there.
    func admit(at api: API) async throws(RegistryError)
    /// Notes that the caller was there, although what it asks cannot be read, or is not looked at.
    func noteUnread(at api: API)
    /// Counts a request of the caller. Nil where there is no limit on it.
    func count(at api: API) -> RateLimit.Standing?
    /// Scope.
    func testScope() throws(Problem)
    /// What the caller is told of an error.
    func problem(_ error: RegistryError) -> Problem
    /// Lets the answer, whatever it is, show that it comes from the registry.
    func seal(_ response: Response, at api: API)
  }

  /// What a route reads from a request. That there is a value proves that it was well formed.
  protocol Input: SendableMetatype {
    static var description: InputDescription { get }
    /// The values, in a request whose media type, syntax and names `Call.input` has tested; last, an id in the path
    /// that is not of its form, which names nothing.
    init(of call: Call) throws(Problem)
  }

  /// What a route answers when all went well.
  protocol Answer: SendableMetatype {
    static var description: SuccessDescription { get }
    /// Who proved themselves by what they sent, where that is what the route is for.
    var proved: ProvedCaller? { get }
    func response() -> Response
  }

  /// The input of a route that reads nothing.
  struct NoInput: Input {
    static let description = InputDescription()
    init(of call: Call) {}
  }
}

extension API.Caller {
  var proved: ProvedCaller? { nil }
  func admit(at api: API) async throws(RegistryError) {}
  func noteUnread(at api: API) {}
  func count(at api: API) -> RateLimit.Standing? { nil }
  func testScope() throws(Problem) {}
  func problem(_ error: RegistryError) -> Problem { Problem(error) }
  func seal(_ response: Response, at api: API) {}
}

extension API.Answer {
  var proved: ProvedCaller? { nil }
}

/// Who may call a route.
enum Access: Sendable {
  case anyone
  case owner
  case administrator
  case device

  var problems: [ProblemKind] {
    switch self {
    case .anyone: []
    case .owner: [.tokenMissing, .tokenInvalid, .tooManyRequests]
    case .administrator: [.tokenMissing, .tokenInvalid, .insufficientScope, .tooManyRequests]
    case .device:
      [
        .signatureMissing, .signatureMalformed, .clockSkew, .signatureInvalid, .replayed, .tokenInvalid,
        .tooManyRequests,
      ]
    }
  }
}

/// What the OpenAPI document says of an input.
struct InputDescription: Sendable {
  var parameters: [ParameterDescription] = []
  var body: Schema?
  var bodyType = "application/json"
  /// Whether a request without a body is as good.
  var isBodyOptional = false

  /// Whether the body, where there is one, is JSON and not a form.
  var isJSON: Bool { bodyType == "application/json" }

  /// A query parameter that is not known is an invalid value, also where none is known.
  var problems: [ProblemKind] {
    if body == nil { return [.invalidValue] }
    return isJSON ? [.malformedJSON, .invalidValue] : [.invalidRequest]
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

extension Schema {
  /// An object that has all of these members.
  init(name: String, members: [(name: String, value: JSONValue)]) {
    self.init(
      name: name,
      definition: [
        "type": "object",
        "required": .array(members.map { .string($0.name) }),
        "properties": .object(members),
      ])
  }
}
