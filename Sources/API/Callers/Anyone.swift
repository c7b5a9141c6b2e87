internal import Endpoints
internal import HTTP
internal import Registry

/// A caller that need not authenticate.
final class Anyone {
  let address: CallerAddress
  let requestID: String
  /// The caller that the handler authenticated, for the log.
  var proved: ProvedCaller?

  fileprivate init(_ request: Request) { (address, requestID) = (request.caller, request.id) }
}

extension Endpoint<API> {
  /// An endpoint that needs no authentication.
  static func anyone<In: Input, Out: Answer>(
    _ method: String, _ path: String, _ name: String, _ summary: String, problems: [ProblemKind] = [],
    access: Access = .anyone,
    _ handler: @escaping @Sendable (API) -> (Anyone, In) async throws(Problem) -> Out
  ) -> Endpoint {
    let operation = Operation(
      method, path, name, summary, access: access, problems: problems, reads: In.self, answers: Out.self)
    return Endpoint(operation) { api, call in await api.answer(call, handler) }
  }
}

extension API {
  /// The stages of a request without authentication: media type and syntax, then the handler.
  fileprivate func answer<In: Input, Out: Answer>(
    _ call: Call, _ handler: (API) -> (Anyone, In) async throws(Problem) -> Out
  ) async -> Response {
    let caller = Anyone(call.request)
    var outcome: Outcome
    do throws(Problem) {
      try await call.request.receiveWholeContent()
      outcome = Outcome(response: try await handler(self)(caller, call.input(In.self)).response())
    } catch {
      outcome = self.outcome(error, of: call.request)
    }
    outcome.caller = caller.proved
    return report(outcome, of: call)
  }
}
