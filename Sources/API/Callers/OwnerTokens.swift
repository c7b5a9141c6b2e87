package import Endpoints
internal import HTTP
public import Registry

/// Verifies the tokens of owners and administrators. Server joins the one that knows the keys.
public protocol OwnerTokenVerifier: Sendable {
  /// Another number whenever the keys have changed.
  var keyGeneration: Int { get }
  /// Verifies what followed `Bearer`, which may be anything.
  func verify(_ token: String, at now: Timestamp) async throws(OwnerTokenError) -> OwnerToken
}

/// What a token that verified says.
public struct OwnerToken: Hashable, Sendable {
  /// The client's id.
  public let subject: ClientID
  /// The words of `scope`.
  public let scopes: Set<String>
  public let expiresAt: Timestamp

  public init(subject: ClientID, scopes: Set<String>, expiresAt: Timestamp) {
    self.subject = subject
    self.scopes = scopes
    self.expiresAt = expiresAt
  }
}

/// Why a token did not verify.
public enum OwnerTokenError: Error, Hashable, Sendable {
  /// The token is not valid. The reason is for people: it begins in lower case and has no full stop, as in
  /// `the token has expired`.
  case invalid(reason: String)
  /// The keys cannot be fetched now. The cause is for the log.
  case unavailable(cause: String)
}

/// The tokens of owners and administrators that verified, until they expire or the keys change: to verify one takes
/// longer than all else that a request does here. One for each event loop.
///
/// `@unchecked Sendable`: `verified` is accessed only while a request of its API is answered, on the API's loop.
package final class OwnerTokens: @unchecked Sendable {
  private let verifier: any OwnerTokenVerifier
  private let limits: RateLimits
  private let clock: any Clock
  private var verified = BoundedCache<String, OwnerToken>(capacity: maximumRemembered)
  private var keyGeneration = 0

  /// Tokens that are remembered.
  static let maximumRemembered = 4096

  package init(verifier: any OwnerTokenVerifier, limits: RateLimits, clock: any Clock) {
    self.verifier = verifier
    self.limits = limits
    self.clock = clock
  }

  /// Verifies a token. Where that fails and the token is not remembered, the address is charged.
  package func verify(_ token: String, from address: CallerAddress) async throws(Problem) -> OwnerToken {
    let now = clock.now()
    let generation = verifier.keyGeneration
    if generation != keyGeneration {
      verified.removeAll()
      keyGeneration = generation
    }
    // Strings are equal that differ in their bytes (K and the Kelvin sign), but not where both are ASCII.
    var bytes = token
    guard bytes.withUTF8({ $0.reduce(0, |) < 0x80 }) else { throw .tokenInvalid("the token is not ASCII") }
    if let known = verified.use(token) {
      if now < known.expiresAt { return known }
      verified[token] = nil
    }
    let owner = try await verifyAnew(token, at: now, from: address)
    // Keys that arrived while this token waited for them may have changed the result.
    if generation == verifier.keyGeneration { verified[token] = owner }
    return owner
  }

  /// Charges the address first, so that many tokens at once cannot overdraw it.
  private func verifyAnew(
    _ token: String, at now: Timestamp, from address: CallerAddress
  ) async throws(Problem) -> OwnerToken {
    do throws(RegistryError) { try limits.charge(address) } catch { throw Problem(error) }
    do throws(OwnerTokenError) {
      let owner = try await verifier.verify(token, at: now)
      limits.refund(address)
      return owner
    } catch {
      switch error {
      case .invalid where token.hasPrefix(AccessToken.prefix):
        throw .tokenInvalid("it is a device's access token; this path needs the JWT of an owner")
      case .invalid(let reason): throw .tokenInvalid(reason)
      case .unavailable(let cause):
        limits.refund(address)
        throw .authenticatorUnavailable(cause: cause)
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
