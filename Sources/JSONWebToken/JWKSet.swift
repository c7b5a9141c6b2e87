internal import JSON

/// A JSON Web Key Set (RFC 7517): the public keys that verify tokens.
public struct JWKSet: Sendable {
  let keys: [VerificationKey]
  /// Why keys of the set are not used, one line each, for the log: symmetric, short and encryption keys. A
  /// token that names such a key does not verify.
  public let refusals: [String]

  /// The maximum number of keys in a set.
  public static let maximumKeys = 100
  /// The maximum length of a set in bytes.
  public static let maximumLength = 256 * 1024

  /// The number of usable keys.
  public var count: Int { keys.count }

  /// Reads a set. Throws if it is invalid or has no usable key.
  public init(json: [UInt8]) throws(JWKSetError) {
    guard json.count <= Self.maximumLength else { throw .tooLarge }
    guard case .object(let set)? = try? ParsedJSON(json), case .array(let elements) = set["keys"]
    else { throw .notAKeySet }
    guard elements.count <= Self.maximumKeys else { throw .tooManyKeys(elements.count) }
    var keys: [VerificationKey] = []
    var refusals: [String] = []
    for (index, element) in elements.enumerated() {
      do throws(KeyRefusal) {
        guard case .object(let members) = element else { throw .init("it is not an object") }
        keys.append(try VerificationKey(members))
      } catch {
        refusals.append("key \(index + 1) is not used: \(error.reason)")
      }
    }
    guard !keys.isEmpty else { throw .noUsableKey(refusals: refusals) }
    self.keys = keys
    self.refusals = refusals
  }
}

/// Why a key set cannot be used.
public enum JWKSetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// It has more than `JWKSet.maximumLength` bytes.
  case tooLarge
  /// It is not a JSON object with an array `keys`, or it has a duplicate member.
  case notAKeySet
  case tooManyKeys(Int)
  case noUsableKey(refusals: [String])
  /// The URL does not begin with `https://`.
  case notHTTPS
  /// Fetching it failed. The reason is for the log.
  case notFetched(reason: String)

  public var description: String {
    switch self {
    case .tooLarge: "the key set has more than \(JWKSet.maximumLength) bytes"
    case .notAKeySet: "the key set is not a JSON object with an array \"keys\""
    case .tooManyKeys(let count): "the key set has \(count) keys, more than \(JWKSet.maximumKeys)"
    case .noUsableKey(let refusals):
      (["the key set has no key that can be used"] + refusals).joined(separator: "; ")
    case .notHTTPS: "the URL of a key set must begin with https://"
    case .notFetched(let reason): "the key set could not be fetched: \(reason)"
    }
  }
}
