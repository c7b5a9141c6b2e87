internal import Encoding

/// Signs a device's requests.
public struct RequestSigner: Sendable {
  /// The device's id.
  public let keyID: String
  private let keys: DeviceKeys

  /// The signature's name in `Signature-Input` and `Signature`.
  private static let label = "sig1"
  /// The largest integer of a structured field (RFC 9651, section 3.3.1).
  private static let timeBounds: ClosedRange<Int64> = 0...999_999_999_999_999

  /// Throws `parameterMisshapen` if the key id is not a UUID.
  public init(keyID: String, keys: DeviceKeys) throws(Malformation) {
    guard KeyID.isWellFormed(keyID.utf8) else { throw .parameterMisshapen("keyid") }
    self.keyID = keyID
    self.keys = keys
  }

  /// The fields to send with a request: `Content-Digest` if it has a body, `Signature-Input`, `Signature`. They
  /// replace existing ones.
  ///
  /// Always covers method, path, query and body, then `additions`. Times are in seconds since 1970; the nonce must be
  /// new for each request. Throws for a malformed nonce, time or tag, and for additions that are repeated or not in
  /// the request.
  public func sign(
    _ request: RequestView, nonce: String, created: Int64, expires: Int64? = nil, tag: String? = nil,
    covering additions: [Component] = []
  ) throws(Malformation) -> SignatureFields {
    let digest = request.body.isEmpty ? nil : ContentDigest.value(of: request.body)
    var required: [Component] = [.method, .path]
    if request.hasQuery { required.append(.query) }
    if digest != nil { required.append(.contentDigest) }
    let parameters = SignatureParameters(
      covered: required + additions.filter { !required.contains($0) }, created: created, keyID: keyID,
      nonce: nonce, expires: expires, tag: tag)
    try Self.check(parameters)

    var request = request
    let value = request.value
    request.value = { name in
      name == FieldName.contentDigest ? digest.map { Array($0.utf8) } : value(name)
    }
    let base = try SignatureBase.bytes(of: request, parameters: parameters)
    return SignatureFields(
      contentDigest: digest, label: Self.label, parameters: parameters, signature: keys.proof(of: base))
  }

  private static func check(_ parameters: SignatureParameters) throws(Malformation) {
    _ = try parameters.requireNonce()
    guard timeBounds.contains(try parameters.requireCreated()) else { throw .parameterMisshapen("created") }
    guard parameters.expires.map(timeBounds.contains) ?? true else { throw .parameterMisshapen("expires") }
    guard parameters.tag?.utf8.allSatisfy(\.isPrintable) ?? true else { throw .parameterMisshapen("tag") }
    var seen: Set<Component> = []
    for component in parameters.covered {
      guard Component(name: component.name) == component else { throw .componentUnknown(component.name) }
      guard seen.insert(component).inserted else { throw .componentRepeated(component.name) }
    }
  }

  /// Verifies the answer to the request that was signed with this nonce.
  public func responseVerifier(nonce: String) -> ResponseVerifier {
    ResponseVerifier(keyID: keyID, nonce: nonce, keys: keys)
  }
}
