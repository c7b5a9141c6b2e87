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
  private let onFailure: @Sendable (InternalFailure) -> Void

  /// - Parameters:
  ///   - store: asked whether the database answers, for `/readyz`.
  ///   - publicURL: the origin that clients use, where it is known.
  ///   - onFailure: told of each failure of ours, for the log.
  public init(
    devices: DeviceService, clients: ClientService, store: any DeviceStore,
    authenticator: any OwnerAuthenticator, publicURL: String? = nil,
    onFailure: @escaping @Sendable (InternalFailure) -> Void
  ) {
    self.devices = devices
    self.clients = clients
    self.store = store
    self.authenticator = authenticator
    self.onFailure = onFailure
    document = Self.openAPIDocument(publicURL: publicURL)
    var router = Router<Endpoint>()
    for endpoint in Self.endpoints { router.add(endpoint.method, endpoint.path, endpoint) }
    self.router = router
  }

  /// Answers in the order of the contract: path, method, size; then the endpoint's authentication, scope,
  /// media type and syntax, existence, ownership, state. The first that fails is the answer.
  public func respond(to request: Request) async -> Response {
    do throws(Problem) {
      let call = try route(request)
      try call.testSize()
      return try await call.endpoint.answer(self, call)
    } catch {
      return respond(to: request.id, with: error)
    }
  }

  public func refuse(_ refusal: Refusal, requestID: String) -> Response {
    respond(to: requestID, with: Problem(refusal))
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
      onFailure(InternalFailure(requestID: requestID, problem: problem.kind.rawValue, cause: cause))
    }
    return problem.response(requestID: requestID)
  }
}

/// What went wrong inside while a request was answered: for the log, and never in the answer.
public struct InternalFailure: Hashable, Sendable {
  /// The request's `X-Request-Id`.
  public let requestID: String
  /// The name of the problem that was answered, as `internal-error`.
  public let problem: String
  public let cause: String
}
