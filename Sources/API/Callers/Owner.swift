internal import HTTP
internal import Registry

/// A caller of whom nothing is asked.
struct Anyone: API.Caller {
  static let access = Access.anyone
  init(of request: Request, at api: API) {}
}

/// A client that proved who it is.
struct Owner: API.Caller {
  static let access = Access.owner

  let clientID: ClientID
  var proved: ProvedCaller? { .client(clientID) }

  init(of request: Request, at api: API) async throws(Problem) {
    clientID = try await OwnerToken(of: request, verifiedBy: api.authenticator).subject
  }

  func count(at api: API) -> RateLimit.Standing? { api.services.limits.count(clientID) }
}

/// A caller that proved who it is, and that it may manage clients if it passes `testScope`. It owns no devices.
struct Administrator: API.Caller {
  static let access = Access.administrator

  /// Among a token's scopes, what makes its bearer an administrator.
  static let scope = "registry:admin"

  private let token: OwnerToken
  var proved: ProvedCaller? { .client(token.subject) }

  init(of request: Request, at api: API) async throws(Problem) {
    token = try await OwnerToken(of: request, verifiedBy: api.authenticator)
  }

  func count(at api: API) -> RateLimit.Standing? { api.services.limits.count(token.subject) }

  func testScope() throws(Problem) {
    guard token.scopes.contains(Self.scope) else { throw .insufficientScope(Self.scope) }
  }
}

extension OwnerToken {
  /// Reads and verifies the bearer token.
  fileprivate init(
    of request: Request, verifiedBy authenticator: any OwnerAuthenticator
  ) async throws(Problem) {
    guard let token = try request.bearerToken() else { throw .tokenMissing }
    do throws(OwnerTokenError) {
      self = try await authenticator.verify(token, from: request.caller)
    } catch {
      switch error {
      case .invalid where token.hasPrefix(AccessToken.prefix):
        throw .tokenInvalid("it is a device's access token; this path needs the JWT of an owner")
      case .invalid(let reason): throw .tokenInvalid(reason)
      case .rateLimited(let standing): throw Problem(.rateLimited(standing))
      case .unavailable(let cause): throw .authenticatorUnavailable(cause: cause)
      }
    }
  }
}

extension Request {
  /// Whom limits on addresses are on.
  var caller: CallerAddress { CallerAddress(high: client.high, low: client.low) }

  /// The bearer token of `Authorization` (RFC 6750, section 2.1); nil where there is none.
  func bearerToken() throws(Problem) -> String? { try credentials(of: "bearer") }

  /// What follows the scheme in `Authorization`; nil where the field is absent or of another scheme. Schemes are
  /// case-insensitive (RFC 9110, section 11.1).
  func credentials(of wantedScheme: String) throws(Problem) -> String? {
    let fields = values(of: "authorization")
    guard let field = fields.first else { return nil }
    // Of two, which one counts is not for us to choose.
    guard fields.count == 1 else { throw .tokenInvalid("there is more than one Authorization field") }
    let scheme = field.utf8.prefix { $0 != UInt8(ascii: " ") }
    guard Substring(scheme).lowercased() == wantedScheme else { return nil }
    let credentials = field.utf8.dropFirst(scheme.count).drop { $0 == UInt8(ascii: " ") }
    return credentials.isEmpty ? nil : String(Substring(credentials))
  }
}
