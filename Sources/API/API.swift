public import HTTP
public import Registry

/// The registry on the wire: routes, who may call them, what they read and answer. One for each event loop,
/// with that loop's services.
public struct API: Responder {
  let devices: DeviceService
  let clients: ClientService
  let store: any DeviceStore
  let authenticator: any OwnerAuthenticator
  /// The OpenAPI document, as it is served.
  let document: [UInt8]
  private let router: Router<Endpoint>
  let observe: @Sendable (APIEvent) -> Void

  /// - Parameters:
  ///   - store: asked whether the database answers, for `/readyz`.
  ///   - publicURL: the origin that clients use, where it is known.
  ///   - observe: told of what happens, for the log and the metrics.
  public init(
    devices: DeviceService, clients: ClientService, store: any DeviceStore,
    authenticator: any OwnerAuthenticator, publicURL: String? = nil,
    observe: @escaping @Sendable (APIEvent) -> Void
  ) {
    self.devices = devices
    self.clients = clients
    self.store = store
    self.authenticator = authenticator
    self.observe = observe
    document = Self.openAPIDocument(publicURL: publicURL)
    var router = Router<Endpoint>()
    for endpoint in Self.endpoints { router.add(endpoint.method, endpoint.path, endpoint) }
    self.router = router
  }

  /// Answers in the order of the contract: path, method, size; then the endpoint's authentication, scope,
  /// media type and syntax, existence, ownership, state. The first that fails is the answer.
  public func respond(to request: Request) async -> Response {
    let start = ContinuousClock.now
    var routePath: String?
    let response: Response
    do throws(Problem) {
      let call = try route(request)
      routePath = call.endpoint.path
      try call.testSize()
      response = try await call.endpoint.answer(self, call)
    } catch {
      response = respond(to: request.id, with: error)
    }
    let duration = start.duration(to: .now)
    observe(
      .answered(AnsweredRequest(request, route: routePath, status: response.status, duration: duration)))
    return response
  }

  public func refuse(_ refusal: Refusal, requestID: String) -> Response {
    let response = respond(to: requestID, with: Problem(refusal))
    observe(.answered(AnsweredRequest(refusedAs: requestID, status: response.status)))
    return response
  }

  /// Path and method.
  private func route(_ request: Request) throws(Problem) -> Call {
    switch router.match(method: request.method, path: request.path) {
    case .found(let endpoint, let parameters):
      return Call(request: request, endpoint: endpoint, pathParameters: parameters)
    case .methodNotAllowed(let allow): throw .methodNotAllowed(request.method, allow: allow)
    case .notFound: throw .pathNotFound
    }
  }

  private func respond(to requestID: String, with problem: Problem) -> Response {
    if let cause = problem.cause {
      observe(
        .failed(InternalFailure(requestID: requestID, problem: problem.kind.rawValue, cause: cause)))
    }
    return problem.response(requestID: requestID)
  }
}
