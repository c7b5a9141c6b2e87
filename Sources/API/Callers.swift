internal import HTTP
internal import Registry

/// A caller of whom nothing is asked.
struct Anyone: API.Caller {
  static let access = Access.anyone
  init(of request: Request, verifiedBy authenticator: any OwnerAuthenticator) {}
}

/// A client that proved who it is.
struct Owner: API.Caller {
  static let access = Access.owner

  let clientID: ClientID

  init(of request: Request, verifiedBy authenticator: any OwnerAuthenticator) async throws(Problem) {
    clientID = try await OwnerToken(of: request, verifiedBy: authenticator).subject
  }
}

/// A caller that proved that it may manage clients. It owns no devices.
struct Administrator: API.Caller {
  static let access = Access.administrator

  /// Among a token's scopes, what makes its bearer an administrator.
  static let scope = "registry:admin"

  init(of request: Request, verifiedBy authenticator: any OwnerAuthenticator) async throws(Problem) {
    let token = try await OwnerToken(of: request, verifiedBy: authenticator)
    guard token.scopes.contains(Self.scope) else { throw .insufficientScope(Self.scope) }
  }
}

extension OwnerToken {
  /// Reads and verifies the bearer token of `Authorization` (RFC 6750, section 2.1).
  fileprivate init(
    of request: Request, verifiedBy authenticator: any OwnerAuthenticator
  ) async throws(Problem) {
    let fields = request.values(of: "authorization")
    guard let field = fields.first else { throw .tokenMissing }
    // Of two tokens, which one counts is not for us to choose.
    guard fields.count == 1 else { throw .tokenInvalid("there is more than one Authorization field") }
    let parts = field.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw .tokenMissing }
    let token = parts[1].drop { $0 == " " }
    guard !token.isEmpty else { throw .tokenMissing }
    do throws(OwnerTokenError) {
      self = try await authenticator.verify(String(token))
    } catch {
      switch error {
      case .invalid(let reason): throw .tokenInvalid(reason)
      case .unavailable(let cause): throw .authenticatorUnavailable(cause: cause)
      }
    }
  }
}
