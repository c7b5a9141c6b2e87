internal import Endpoints
internal import HTTP
internal import Registry

/// An authenticated client.
struct Owner {
  let clientID: ClientID
  /// The actor, time and id of this request, for writes.
  let change: Change

  fileprivate init(_ token: OwnerToken, at time: Timestamp, requestID: String) {
    clientID = token.clientID
    change = Change(by: .owner(token.subject), at: time, requestID: requestID)
  }
}

/// An authenticated caller that may manage clients. It owns no devices.
struct Administrator {
  /// The scope of an administrator's token.
  static let scope = "registry:admin"

  /// The client of its token, whose rate limit and idempotency keys it uses.
  let clientID: ClientID
  /// The actor, time and id of this request, for writes.
  let change: Change

  fileprivate init(_ token: OwnerToken, at time: Timestamp, requestID: String) throws(Problem) {
    guard token.scopes.contains(Self.scope) else { throw .insufficientScope(Self.scope) }
    clientID = token.clientID
    change = Change(by: .administrator(token.subject), at: time, requestID: requestID)
  }
}

extension Endpoint<API> {
  /// An endpoint for owners.
  static func owner<In: Input, Out: Answer>(
    _ method: String, _ path: String, _ name: String, _ summary: String, problems: [ProblemKind] = [],
    _ handler: @escaping @Sendable (API) -> (Owner, In) async throws(RegistryError) -> Out
  ) -> Endpoint {
    let operation = Operation(
      method, path, name, summary, access: .owner, problems: problems, reads: In.self, answers: Out.self)
    return Endpoint(operation) { api, call in
      await api.answer(call, Owner.init) { api in
        { (owner, input) async throws(RegistryError) in
          try await api.services.clients.testStanding(of: owner.clientID)
          return try await handler(api)(owner, input)
        }
      }
    }
  }

  /// An endpoint for administrators.
  static func administrator<In: Input, Out: Answer>(
    _ method: String, _ path: String, _ name: String, _ summary: String, problems: [ProblemKind] = [],
    _ handler: @escaping @Sendable (API) -> (Administrator, In) async throws(RegistryError) -> Out
  ) -> Endpoint {
    let operation = Operation(
      method, path, name, summary, access: .administrator, problems: problems, reads: In.self,
      answers: Out.self)
    return Endpoint(operation) { api, call in await api.answer(call, Administrator.init, handler) }
  }
}

extension API {
  /// The stages of an owner's or an administrator's request, in the order of the contract. The handler tests existence,
  /// ownership and state.
  fileprivate func answer<Caller, In: Input, Out: Answer>(
    _ call: Call, _ testScope: (OwnerToken, _ time: Timestamp, _ requestID: String) throws(Problem) -> Caller,
    _ handler: (API) -> (Caller, In) async throws(RegistryError) -> Out
  ) async -> Response {
    var client: ClientID?
    var isAdmitted = false
    var outcome: Outcome
    do throws(Problem) {
      let token = try await authenticateOwner(call.request)
      client = token.clientID
      try countRequest(of: token.clientID)
      isAdmitted = true
      let caller = try testScope(token, services.clock.now(), call.request.id)
      try await call.request.receiveWholeContent()
      let input = try call.input(In.self)
      do throws(RegistryError) {
        outcome = Outcome(try await handler(self)(caller, input))
      } catch {
        throw Problem(error)
      }
    } catch {
      outcome = self.outcome(error, of: call.request)
    }
    if isAdmitted, let client { charge(client, for: outcome) }
    outcome.caller = client.map(ProvedCaller.client)
    outcome.response.party = client?.hashValue
    return report(outcome, of: call)
  }

  private func authenticateOwner(_ request: Request) async throws(Problem) -> OwnerToken {
    guard let token = try request.bearerToken() else { throw .tokenMissing }
    return try await ownerTokens.verify(token, from: request.caller)
  }

  private func countRequest(of client: ClientID) throws(Problem) {
    guard let standing = services.limits.count(client), standing.retryAfterSeconds != nil else { return }
    throw Problem(.rateLimited(standing))
  }

  /// Charges the client for its answer, and adds the state of its limit after this and all other charges.
  private func charge(_ client: ClientID, for outcome: Outcome) {
    let cost = RequestCost.answer(rows: outcome.rows, bytes: outcome.bytes)
    if let standing = services.limits.charge(client, cost: cost) { outcome.response.tell(standing) }
  }
}
