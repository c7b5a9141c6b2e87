internal import Endpoints
internal import HTTP
internal import Registry

/// A caller that need not authenticate.
final class Anyone {
  let address: CallerAddress
  let requestID: String
  /// The caller that the handler authenticated, for the log.
  var proved: ProvedCaller?
  /// The state of the address's rate limit, if the endpoint charges it.
  fileprivate(set) var standing: RateLimit.Standing?

  fileprivate init(_ request: Request) { (address, requestID) = (request.caller, request.id) }
}

extension Endpoint<API> {
  /// An endpoint that needs no authentication.
  /// - Parameter isCharged: whether each request is charged to its address, before it is read.
  static func anyone<In: Input, Out: Answer>(
    _ method: String, _ path: String, _ name: String, _ summary: String, problems: [ProblemKind] = [],
    access: Access = .anyone, isCharged: Bool = false,
    _ handler: @escaping @Sendable (API) -> (Anyone, In) async throws(Problem) -> Out
  ) -> Endpoint {
    let operation = Operation(
      method, path, name, summary, access: access, problems: problems, reads: In.self, answers: Out.self)
    return Endpoint(operation) { api, call in await api.answer(call, isCharged: isCharged, handler) }
  }
}

extension API {
  /// The stages of a request without authentication: rate limit, media type and syntax, then the handler.
  fileprivate func answer<In: Input, Out: Answer>(
    _ call: Call, isCharged: Bool, _ handler: (API) -> (Anyone, In) async throws(Problem) -> Out
  ) async -> Response {
    let caller = Anyone(call.request)
    var outcome: Outcome
    do throws(Problem) {
      if isCharged { caller.standing = try charge(call.request.caller) }
      try await call.request.receiveWholeContent()
      outcome = Outcome(try await handler(self)(caller, call.input(In.self)))
    } catch {
      outcome = self.outcome(error, of: call.request)
    }
    outcome.caller = caller.proved
    return report(outcome, of: call)
  }

  private func charge(_ address: CallerAddress) throws(Problem) -> RateLimit.Standing? {
    do throws(RegistryError) { return try services.limits.charge(address) } catch { throw Problem(error) }
  }
}
