internal import Endpoints
public import HTTP
public import Registry

/// The registry on the wire: routes, who may call them, what they read and answer. One for each event loop,
/// with that loop's services. A class, because each request passes it on several times.
public final class API: Responder {
  let services: Services
  let ownerTokens: OwnerTokens
  let origin: SignatureOrigin
  /// The OpenAPI document, as it is served.
  let document: [UInt8]
  let observe: @Sendable (AnsweredRequest) -> Void

  /// - Parameters:
  ///   - verifier: verifies the tokens of owners and administrators.
  ///   - origin: what signatures cover of the origin.
  ///   - publicURL: the origin that clients use, where it is known.
  ///   - observe: called with each answered request, for the log and the metrics.
  public init(
    services: Services, verifier: any OwnerTokenVerifier, origin: SignatureOrigin,
    publicURL: String? = nil,
    observe: @escaping @Sendable (AnsweredRequest) -> Void
  ) {
    self.services = services
    self.origin = origin
    self.observe = observe
    ownerTokens = OwnerTokens(verifier: verifier, limits: services.limits, clock: services.clock)
    document = Self.openAPIDocument(publicURL: publicURL)
  }

  /// Answers in the order of the contract: path, method, size; then the stages of the endpoint's caller (`Callers/`). The
  /// first that fails is the answer.
  public func respond(to request: Request) async -> Response {
    let start = ContinuousClock.now
    var operation: Operation?
    do throws(Problem) {
      // RFC 9110, section 9.3.7: the methods of the server as a whole.
      if request.target == "*" {
        let response = Response(status: 204, fields: [("Allow", Self.endpoints.methodNames)])
        return report(Outcome(response: response), of: request, at: nil, since: start)
      }
      let (endpoint, parameters) = try Self.endpoints.find(request)
      operation = endpoint.operation
      try request.testSize()
      return await endpoint.answer(
        self, Call(request: request, endpoint: endpoint.operation, pathParameters: parameters, start: start))
    } catch {
      return report(outcome(error, of: request), of: request, at: operation, since: start)
    }
  }

  public func refuse(_ refusal: Refusal, requestID: String) -> Response {
    let problem = Problem(refusal, methods: Self.endpoints.methodNames)
    let outcome = Outcome(response: Self.response(to: problem, requestID: requestID), problem: problem)
    observe(AnsweredRequest(refusedAs: requestID, outcome))
    return outcome.response
  }

  // MARK: The last stages of every request

  /// The answer to a request that failed. Where a limit applied to it, it says so.
  func outcome(_ problem: Problem, of request: Request) -> Outcome {
    let response = Self.response(to: problem, requestID: request.id)
    if problem.kind.isCharged, let standing = services.limits.standing(of: request.caller) {
      response.tell(standing)
    }
    return Outcome(response: response, problem: problem)
  }

  /// Reports the outcome of a request, for the log and the metrics, and answers it. Separate, so that a
  /// request that waits has no room for it.
  @inline(never)
  func report(
    _ outcome: Outcome, of request: Request, at operation: Operation?, since start: ContinuousClock.Instant
  ) -> Response {
    let duration = start.duration(to: .now)
    observe(AnsweredRequest(request, at: operation, outcome, duration: duration))
    return outcome.response
  }

  func report(_ outcome: Outcome, of call: Call) -> Response {
    report(outcome, of: call.request, at: call.endpoint, since: call.start)
  }

  private static func response(to problem: Problem, requestID: String) -> Response {
    problem.response(requestID: requestID, typeBase: description.problemTypeBase)
  }
}

/// What a request came to: its answer, and what the log shows of it.
struct Outcome {
  var response: Response
  /// Who called, where that was proved.
  var caller: ProvedCaller?
  /// Why it failed.
  var problem: Problem?
}
