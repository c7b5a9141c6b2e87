internal import CCjose
internal import Encoding
internal import JSON

/// A signed token in compact form (RFC 7515, section 3.1) with a valid header. Its signature is not yet
/// verified.
struct CompactToken {
  private let text: String
  private let signatureLength: Int
  let algorithm: Algorithm
  let keyID: String?

  /// Parses the token, and checks everything that needs no key. Throws `tooLong`, `encrypted`, `malformed`,
  /// `wrongType`, `criticalHeader` or `algorithmNotAllowed`.
  init(_ text: String) throws(TokenError) {
    guard text.utf8.count <= TokenVerifier.maximumTokenLength else { throw .tooLong }
    let parts = text.utf8.split(
      separator: UInt8(ascii: "."), maxSplits: Self.partsOfEncrypted, omittingEmptySubsequences: false)
    if parts.count == Self.partsOfEncrypted { throw .encrypted }
    guard parts.count == 3 else { throw .malformed(.structure) }
    guard let header = Base64URL.decode(Substring(parts[0])), Base64URL.decode(Substring(parts[1])) != nil,
      let signature = Base64URL.decode(Substring(parts[2]))
    else { throw .malformed(.structure) }
    guard case .object(let members)? = try? ParsedJSON(header) else { throw .malformed(.header) }
    (algorithm, keyID) = try Self.test(header: members)
    signatureLength = signature.count
    self.text = text
  }

  /// Verifies the signature, and returns the claims. Throws `wrongSignature` or `malformed`.
  func claims(verifiedBy key: VerificationKey) throws(TokenError) -> ParsedObject {
    // cjose splits an ECDSA signature of any length in two halves, so another length would be a second encoding
    // of it.
    guard algorithm.signatureLength ?? signatureLength == signatureLength else { throw .wrongSignature }
    guard let jws = cjose_jws_import(text, text.utf8.count, nil) else { throw .wrongSignature }
    defer { cjose_jws_release(jws) }
    guard cjose_jws_verify(jws, key.jwk, nil) else { throw .wrongSignature }
    var payload: UnsafeMutablePointer<UInt8>?
    var length = 0
    guard cjose_jws_get_plaintext(jws, &payload, &length, nil),
      case .object(let claims)? = try? ParsedJSON(
        Array(UnsafeBufferPointer(start: payload, count: length)))
    else { throw .malformed(.claims) }
    return claims
  }

  /// The number of parts of an encrypted token (RFC 7516, section 3.1).
  private static let partsOfEncrypted = 5

  /// Ignores keys that the token contains or links to (`jwk`, `jku`, `x5c`, `x5u`).
  private static func test(header: ParsedObject) throws(TokenError) -> (Algorithm, keyID: String?) {
    guard header["crit"] == nil else { throw .criticalHeader }
    switch header["typ"] {
    case nil: break
    case .string(let type): guard isTokenType(type) else { throw .wrongType }
    default: throw .malformed(.header)
    }
    guard case .string(let name) = header["alg"] else { throw .malformed(.header) }
    guard let algorithm = Algorithm(rawValue: name) else { throw .algorithmNotAllowed }
    switch header["kid"] {
    case nil: return (algorithm, nil)
    case .string(let keyID): return (algorithm, keyID)
    default: throw .malformed(.header)
    }
  }

  /// RFC 7519, section 5.1; RFC 9068, section 2.1. The prefix is optional (RFC 7515, section 4.1.9).
  private static func isTokenType(_ type: String) -> Bool {
    ["jwt", "at+jwt", "application/jwt", "application/at+jwt"].contains(type.lowercased())
  }
}
