internal import Endpoints
public import HTTP
public import Registry

/// The HTTP API of the registry: its routes, their callers, inputs and answers. Each event loop has one, with the
/// loop's own services. A class, because each request passes it on several times.
public final class API: Responder {
  let services: Services
  let ownerTokens: OwnerTokens
  let origin: SignatureOrigin
  /// Nil if only pages of the service's origin may call the API from a browser.
  private let crossOrigin: CrossOrigin?
  /// The pause between polls that devices are asked for.
  let pollIntervalMilliseconds: Int
  /// The OpenAPI document, in the bytes that are served.
  let document: [UInt8]
  /// What the service answers beside the API; nil for nothing.
  private let pages: Pages?
  let observe: @Sendable (AnsweredRequest) -> Void

  /// Pages for browsers, at paths that are no routes.
  public struct Pages: Sendable {
    /// What all paths begin with, for the log and the metrics.
    let path: String
    /// Nil for any other path.
    let answer: @Sendable (Request) -> Response?

    public init(path: String, answer: @escaping @Sendable (Request) -> Response?) {
      (self.path, self.answer) = (path, answer)
    }
  }

  /// - Parameters:
  ///   - verifier: verifies the tokens of owners and administrators.
  ///   - origin: the origin that signatures cover.
  ///   - publicURL: the origin that clients use, if it is known.
  ///   - crossOrigin: the origins of other pages that may call the API from a browser.
  ///   - pollIntervalMilliseconds: the pause between polls that devices are asked for.
  ///   - pages: are asked for paths that are no routes.
  ///   - observe: called with each answered request, for the log and the metrics.
  public init(
    services: Services, verifier: any OwnerTokenVerifier, origin: SignatureOrigin,
    publicURL: String? = nil, crossOrigin: CrossOrigin? = nil, pollIntervalMilliseconds: Int = 1000,
    pages: Pages? = nil, observe: @escaping @Sendable (AnsweredRequest) -> Void
  ) {
    self.services = services
    self.origin = origin
    self.crossOrigin = crossOrigin
    self.pollIntervalMilliseconds = pollIntervalMilliseconds
    self.pages = pages
    self.observe = observe
    ownerTokens = OwnerTokens(verifier: verifier, limits: services.limits, clock: services.clock)
    document = Self.openAPIDocument(publicURL: publicURL)
  }

  /// Tests in the order of the contract: path, method, size; then the stages of the endpoint's caller (`Callers/`).
  /// The first test that fails decides the answer.
  public func respond(to request: Request) async -> Response {
    let start = ContinuousClock.now
    var operation: Operation?
    do throws(Problem) {
      // RFC 9110, section 9.3.7: `*` asks for the methods of the whole server.
      if request.target == "*" {
        let response = Response(status: 204, fields: [("Allow", Self.endpoints.methodNames)])
        return report(Outcome(response: response), of: request, at: nil, since: start)
      }
      if let response = crossOrigin?.preflight(request, methods: Self.endpoints.methodNames) {
        return report(Outcome(response: response), of: request, at: nil, since: start)
      }
      let (endpoint, parameters) = try Self.endpoints.find(request)
      operation = endpoint.operation
      try request.testSize()
      return await endpoint.answer(
        self, Call(request: request, endpoint: endpoint.operation, pathParameters: parameters, start: start))
    } catch {
      if operation == nil, let pages, let response = pages.answer(request) {
        return report(Outcome(response: response, page: pages.path), of: request, at: nil, since: start)
      }
      return report(outcome(error, of: request), of: request, at: operation, since: start)
    }
  }

  public func refuse(_ refusal: Refusal, requestID: String) -> Response {
    let problem = Problem(refusal, methods: Self.endpoints.methodNames)
    let outcome = Outcome(response: Self.response(to: problem, requestID: requestID), problem: problem)
    observe(AnsweredRequest(refusedAs: requestID, outcome))
    return outcome.response
  }

  // MARK: The last stages

  /// The answer to a request that failed, with the state of the rate limit that applied.
  func outcome(_ problem: Problem, of request: Request) -> Outcome {
    let response = Self.response(
      to: problem, requestID: request.id, inOAuthForm: request.path == Self.tokenPath)
    if problem.kind.isCharged, let standing = services.limits.standing(of: request.caller) {
      response.tell(standing)
    }
    return Outcome(response: response, problem: problem)
  }

  /// Reports the outcome of a request to the log and the metrics, and returns the answer. A separate function, so
  /// that the frame of a suspended request does not hold its variables.
  @inline(never)
  func report(
    _ outcome: Outcome, of request: Request, at operation: Operation?, since start: ContinuousClock.Instant
  ) -> Response {
    crossOrigin?.permit(outcome.response, to: request)
    let duration = start.duration(to: .now)
    observe(AnsweredRequest(request, at: operation, outcome, duration: duration))
    return outcome.response
  }

  func report(_ outcome: Outcome, of call: Call) -> Response {
    report(outcome, of: call.request, at: call.endpoint, since: call.start)
  }

  private static func response(
    to problem: Problem, requestID: String, inOAuthForm: Bool = false
  ) -> Response {
    inOAuthForm
      ? problem.oauthResponse()
      : problem.response(requestID: requestID, typeBase: description.problemTypeBase)
  }
}

/// The result of a request: its answer, and details for the log.
struct Outcome {
  var response: Response
  /// The authenticated caller.
  var caller: ProvedCaller?
  var problem: Problem?
  /// The path of the pages that it is one of; nil for the API.
  var page: String?
  /// Elements of the answer's list.
  var rows = 0
  /// Length of the answer's body.
  var bytes: Int { response.body?.count ?? 0 }
}

extension Outcome {
  init(_ answer: some Answer) {
    self.init(response: answer.response())
    rows = answer.rows
  }
}
