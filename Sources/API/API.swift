public import HTTP
public import Registry

/// The registry on the wire: routes, who may call them, what they read and answer. One for each event loop,
/// with that loop's services. A class, for each request hands it on several times.
public final class API: Responder {
  let services: Services
  let authenticator: any OwnerAuthenticator
  let origin: SignatureOrigin
  /// The OpenAPI document, as it is served.
  let document: [UInt8]
  private let router: Router
  let observe: @Sendable (APIEvent) -> Void

  /// The registry's rules, each with its loop's store.
  public struct Services: Sendable {
    let devices: DeviceService
    let clients: ClientService
    let authentication: AuthenticationService
    let tokens: TokenService
    let signals: SignalService
    let limits: RateLimits
    let clock: any Clock
    /// Asked whether the database answers, for `/readyz`.
    let store: any RegistryStore

    public init(
      devices: DeviceService, clients: ClientService, authentication: AuthenticationService,
      tokens: TokenService, signals: SignalService, limits: RateLimits, clock: any Clock,
      store: any RegistryStore
    ) {
      self.devices = devices
      self.clients = clients
      self.authentication = authentication
      self.tokens = tokens
      self.signals = signals
      self.limits = limits
      self.clock = clock
      self.store = store
    }
  }

  /// - Parameters:
  ///   - origin: what signatures cover of the origin.
  ///   - publicURL: the origin that clients use, where it is known.
  ///   - observe: told of what happens, for the log and the metrics.
  public init(
    services: Services, authenticator: any OwnerAuthenticator, origin: SignatureOrigin,
    publicURL: String? = nil,
    observe: @escaping @Sendable (APIEvent) -> Void
  ) {
    self.services = services
    self.origin = origin
    self.authenticator = authenticator
    self.observe = observe
    document = Self.openAPIDocument(publicURL: publicURL)
    router = Router(Self.routes)
  }

  /// Answers in the order of the contract: path, method, size; then the endpoint's authentication, rate limit, scope,
  /// media type and syntax, existence, ownership, state. The first that fails is the answer.
  public func respond(to request: Request) async -> Response {
    let start = ContinuousClock.now
    var endpoint: Endpoint?
    let outcome: Outcome
    do throws(Problem) {
      if request.target == "*" {
        outcome = serverOptions
      } else {
        let call = try route(request)
        endpoint = call.endpoint
        try call.testSize()
        outcome = await call.endpoint.answer(self, call)
      }
    } catch {
      outcome = self.outcome(error, of: request)
    }
    report(request, at: endpoint, outcome, since: start)
    return outcome.response
  }

  /// Apart, so that a request that waits has no room for it.
  @inline(never)
  private func report(
    _ request: Request, at endpoint: Endpoint?, _ outcome: Outcome, since start: ContinuousClock.Instant
  ) {
    let duration = start.duration(to: .now)
    observe(.answered(AnsweredRequest(request, at: endpoint, outcome, duration: duration)))
  }

  public func refuse(_ refusal: Refusal, requestID: String) -> Response {
    let outcome = Outcome(Problem(refusal, methods: router.methodNames), requestID: requestID)
    observe(.answered(AnsweredRequest(refusedAs: requestID, outcome)))
    return outcome.response
  }

  /// What `OPTIONS *` asks for: the methods of the server as a whole (RFC 9110, section 9.3.7).
  private var serverOptions: Outcome {
    Outcome(Response(status: 204, fields: [("Allow", router.methodNames)]), caller: nil)
  }

  /// Path and method.
  private func route(_ request: Request) throws(Problem) -> Call {
    switch router.match(method: request.method, path: request.path) {
    case .found(let number, let parameters):
      return Call(request: request, endpoint: Self.endpoints[number], pathParameters: parameters)
    case .methodNotAllowed(let allow): throw .methodNotAllowed(request.method, allow: allow)
    case .notFound:
      throw isOurs(request.path.dropLast()) && request.path.last == "/" ? .pathWithSlash : .pathNotFound
    }
  }

  /// Whether some route has this path.
  private func isOurs(_ path: Substring) -> Bool {
    if case .notFound = router.match(method: "GET", path: path) { return false }
    return true
  }

  /// The answer to a request that failed. Where a limit applied to it, it says so.
  func outcome(_ problem: Problem, of request: Request) -> Outcome {
    let outcome = Outcome(problem, requestID: request.id)
    let charged = problem.kind.isCharged ? services.limits.standing(of: request.caller) : nil
    if let standing = problem.standing ?? charged { outcome.response.tell(standing) }
    return outcome
  }
}
