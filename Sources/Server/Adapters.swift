package import API
package import EventLoop
package import JSONWebToken
package import Registry

/// JSON Web Tokens as proof of who an owner is. One for each event loop: a token that verified is remembered
/// until it expires or the keys change, for verifying it takes longer than all else that a request does here.
///
/// `@unchecked Sendable`: `verified` is touched on the loop alone.
package final class JWTAuthenticator: OwnerAuthenticator, @unchecked Sendable {
  private let verifier: TokenVerifier
  private let limits: RateLimits
  private let clock: any Clock
  private let loop: EventLoop
  private var verified: [String: (token: OwnerToken, expiresAt: Timestamp)] = [:]
  private var keyGeneration = 0

  /// Tokens that are remembered. All are forgotten when there is one more.
  static let maximumRemembered = 4096

  package init(verifier: TokenVerifier, limits: RateLimits, clock: any Clock, loop: EventLoop) {
    self.verifier = verifier
    self.limits = limits
    self.clock = clock
    self.loop = loop
  }

  package func verify(_ token: String, from address: CallerAddress) async throws(OwnerTokenError) -> OwnerToken
  {
    loop.assertCurrent()
    let now = clock.now()
    let generation = verifier.keyGeneration
    if generation != keyGeneration {
      verified.removeAll()
      keyGeneration = generation
    }
    // Swift calls strings equal that differ in their bytes, but not in ASCII, of which tokens are.
    guard token.utf8.allSatisfy({ $0 < 0x80 }) else { throw .invalid(reason: "the token is not ASCII") }
    if let known = verified[token] {
      if now < known.expiresAt { return known.token }
      verified[token] = nil
    }

    let (owner, expiresAt) = try await verifyAnew(token, now: now, from: address)
    // Keys that came while this token waited for them may have changed its fate.
    if generation == verifier.keyGeneration {
      if verified.count >= Self.maximumRemembered { verified.removeAll() }
      verified[token] = (owner, expiresAt)
    }
    return owner
  }

  /// Verifies a token at the expense of the address, unless it is good or nobody can know.
  private func verifyAnew(
    _ token: String, now: Timestamp, from address: CallerAddress
  ) async throws(OwnerTokenError) -> (OwnerToken, expiresAt: Timestamp) {
    do throws(RegistryError) {
      try limits.charge(address)
    } catch {
      guard case .rateLimited(let standing) = error else { throw .unavailable(cause: "\(error)") }
      throw .rateLimited(standing)
    }
    do throws(OwnerTokenError) {
      let verified = try await verifyAnew(token, now: now)
      limits.refund(address)
      return verified
    } catch {
      if case .unavailable = error { limits.refund(address) }
      throw error
    }
  }

  private func verifyAnew(
    _ token: String, now: Timestamp
  ) async throws(OwnerTokenError) -> (OwnerToken, expiresAt: Timestamp) {
    let verified: VerifiedToken
    do throws(TokenError) {
      verified = try await verifier.verify(token, nowMilliseconds: now.millisecondsSince1970)
    } catch .keysUnavailable {
      throw .unavailable(cause: TokenError.keysUnavailable.description)
    } catch {
      throw .invalid(reason: error.description)
    }
    guard let subject = ClientID(verified.subject) else {
      throw .invalid(reason: "the token's sub is not a client id")
    }
    return (
      OwnerToken(subject: subject, scopes: verified.scopes),
      Timestamp(millisecondsSince1970: verified.expiresAtMilliseconds)
    )
  }
}

/// Fetching a JWK set, on the threads of a pool.
struct FetchThreads: BlockingWork {
  let pool: WorkerPool

  func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws -> Value {
    try await pool.run(body)
  }
}
