internal import Encoding
package import Endpoints
internal import HTTP
public import Registry

/// Verifies the tokens of owners and administrators. `Server` implements it with the configured keys.
public protocol OwnerTokenVerifier: Sendable {
  /// A number that changes whenever the keys change.
  var keyGeneration: Int { get }
  /// Verifies the text after `Bearer`, which is untrusted.
  func verify(_ token: String, at now: Timestamp) async throws(OwnerTokenError) -> OwnerToken
}

/// The claims of a verified token.
public struct OwnerToken: Hashable, Sendable {
  /// `sub`: who acts. At most `maximumSubjectLength` bytes, without control characters.
  public let subject: String
  /// The client: `client_id`, or `sub` in a token without one.
  public let clientID: ClientID
  /// The space-separated values of `scope`.
  public let scopes: Set<String>
  public let expiresAt: Timestamp

  /// Bytes of `sub`, which events name.
  public static let maximumSubjectLength = 255

  public init(subject: String, clientID: ClientID, scopes: Set<String>, expiresAt: Timestamp) {
    self.subject = subject
    self.clientID = clientID
    self.scopes = scopes
    self.expiresAt = expiresAt
  }
}

/// Why verification failed.
public enum OwnerTokenError: Error, Hashable, Sendable {
  /// The token is invalid. The answer shows the reason: lower case, no full stop, as in `the token has expired`.
  case invalid(reason: String)
  /// The keys cannot be fetched now. The cause is for the log.
  case unavailable(cause: String)
}

/// Caches verified tokens of owners and administrators until they expire or the keys change, because verification
/// takes longer than the rest of a request. Each event loop has one.
///
/// `@unchecked Sendable`: only requests of its API access `verified`, on the API's loop.
package final class OwnerTokens: @unchecked Sendable {
  private let verifier: any OwnerTokenVerifier
  private let limits: RateLimits
  private let clock: any Clock
  private var verified = BoundedCache<String, OwnerToken>(capacity: maximumRemembered)
  private var keyGeneration = 0

  /// Tokens in the cache.
  static let maximumRemembered = 4096
  /// Bytes of a token in the cache. Longer ones are verified each time, so that the cache stays below 32 MiB.
  static let maximumRememberedLength = 8 * 1024

  package init(verifier: any OwnerTokenVerifier, limits: RateLimits, clock: any Clock) {
    self.verifier = verifier
    self.limits = limits
    self.clock = clock
  }

  /// Verifies a token. A failed verification of an uncached token is charged to the address.
  package func verify(_ token: String, from address: CallerAddress) async throws(Problem) -> OwnerToken {
    let now = clock.now()
    let generation = verifier.keyGeneration
    if generation != keyGeneration {
      verified.removeAll()
      keyGeneration = generation
    }
    // Swift equates some strings of different bytes (K and the Kelvin sign), but no two different ASCII strings.
    var bytes = token
    guard bytes.withUTF8({ $0.reduce(0, |) < 0x80 }) else { throw .tokenInvalid("the token is not ASCII") }
    if let known = verified.use(token) {
      if now < known.expiresAt { return known }
      verified[token] = nil
    }
    let owner = try await verifyUncached(token, at: now, from: address)
    // If the keys changed during verification, the result may be out of date.
    if generation == verifier.keyGeneration, token.utf8.count <= Self.maximumRememberedLength {
      verified[token] = owner
    }
    return owner
  }

  /// Charges the address before verification, so that concurrent tokens cannot exceed its limit.
  private func verifyUncached(
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
  /// The address that rate limits apply to.
  var caller: CallerAddress { CallerAddress(high: client.high, low: client.low) }

  /// The bearer token of `Authorization` (RFC 6750, section 2.1), if there is one.
  func bearerToken() throws(Problem) -> String? { try credentials(of: "bearer") }

  /// The credentials after the scheme in `Authorization`; nil if the field is absent or has another scheme. Schemes
  /// are case-insensitive (RFC 9110, section 11.1).
  func credentials(of wantedScheme: String) throws(Problem) -> String? {
    let fields = values(of: "authorization")
    guard let field = fields.first else { return nil }
    // A choice between two fields might differ from a proxy's choice.
    guard fields.count == 1 else { throw .tokenInvalid("there is more than one Authorization field") }
    let scheme = field.utf8.prefix { $0 != UInt8(ascii: " ") }
    guard Substring(scheme).lowercased() == wantedScheme else { return nil }
    let credentials = field.utf8.dropFirst(scheme.count).drop { $0 == UInt8(ascii: " ") }
    return credentials.isEmpty ? nil : String(Substring(credentials))
  }
}
