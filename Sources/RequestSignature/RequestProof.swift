/// The claims of a well-formed signed request that covers what it must: who signed it, when, and with which nonce.
/// `verify(storedKey:)` decides whether they are true.
///
/// Check in this order: initialiser, `timeliness`, `hasDigest(of:)`, `verify`, nonce.
public final class RequestProof: Sendable {
  /// The device's id, a UUID in the case in which it was received: the answer's signature repeats it.
  public let keyID: String
  /// 8 to 64 characters of `A-Z a-z 0-9 - _`.
  public let nonce: String
  /// When the request was signed, in seconds since 1970.
  public let created: Int64
  /// When the signature expires, in seconds since 1970.
  public let expires: Int64?
  public let tag: String?
  /// The covered components, in the order in which they are signed.
  public let covered: [Component]
  /// The member's name in `Signature-Input` and `Signature`.
  public let label: String
  private let base: [UInt8]
  private let signature: [UInt8]
  private let digest: [UInt8]?

  /// Reads the signature of the first member of `Signature-Input` whose `keyid` is a UUID. Nil if the request has neither `Signature` nor `Signature-Input`. Throws if they are malformed or cover too little, or if
  /// `Content-Digest` is present without `sha-256`.
  public init?(_ request: RequestView) throws(Malformation) {
    guard let message = try MessageSignature(value: request.value, where: { KeyID.isWellFormed($0) }) else {
      return nil
    }
    let parameters = message.parameters
    guard let keyID = parameters.keyID else { throw .parameterMissing("keyid") }
    self.keyID = keyID
    created = try parameters.requireCreated()
    nonce = try parameters.requireNonce()
    expires = parameters.expires
    tag = parameters.tag
    covered = parameters.covered
    label = message.label
    signature = message.signature
    try parameters.requireCovered(.method, .path)
    if request.hasQuery { try parameters.requireCovered(.query) }
    if !request.body.isEmpty { try parameters.requireCovered(.contentDigest) }
    digest = try ContentDigest.sha256(request.value(FieldName.contentDigest))
    base = try SignatureBase.bytes(of: request, parameters: parameters)
  }

  /// Whether the body has the digest in `Content-Digest`, or there is no such field. (`init` has refused a body of at
  /// least one byte without the field.)
  public func hasDigest(of body: [UInt8]) -> Bool {
    digest.map { ContentDigest.isDigest($0, of: body) } ?? true
  }

  /// Whether the request was signed with the secret of this stored key. For an unknown device, call it with any key,
  /// so that it takes the same time.
  public func verify(storedKey: [UInt8]) -> Bool {
    ScramProof.verify(signature, base: base, storedKey: storedKey)
  }
}

extension RequestProof: CustomStringConvertible, CustomReflectable {
  /// Omits the signature: together with the stored key it reveals the client's key (RFC 5802, section 9).
  public var description: String { "signature of \(keyID), created \(created), nonce \(nonce)" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
