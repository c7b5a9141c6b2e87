/// What a signed request says of itself, once it is well formed and covers what it must: who signed it, when,
/// with which nonce. Whether that is true, `verify(storedKey:)` tells.
///
/// The checks belong in this order: initialiser, `timeliness`, `hasDigest(of:)`, `verify`, nonce.
public final class RequestProof: Sendable {
  /// The device's id, a UUID in lower case.
  public let keyID: String
  /// 8 to 64 characters of `A-Z a-z 0-9 - _`.
  public let nonce: String
  /// When the request was signed, in seconds since 1970.
  public let created: Int64
  /// When the signature ends, in seconds since 1970.
  public let expires: Int64?
  public let tag: String?
  /// What the signature covers, in the order in which it is signed.
  public let covered: [Component]
  /// The member's name in `Signature-Input` and `Signature`.
  public let label: String
  private let base: [UInt8]
  private let signature: [UInt8]
  private let digest: [UInt8]?

  /// Reads a request's signature: of the first member of `Signature-Input` whose `keyid` is a UUID in lower case.
  /// Nil where the request has neither `Signature` nor `Signature-Input`. Throws where they are not of their form
  /// or cover too little, and where `Content-Digest` is there and has no `sha-256`.
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

  /// Whether the body is the one that `Content-Digest` names, or there is no such field. (A body of at least one
  /// byte without it does not come this far.)
  public func hasDigest(of body: [UInt8]) -> Bool {
    digest.map { ContentDigest.isDigest($0, of: body) } ?? true
  }

  /// Whether the request was signed with the secret that the stored key was derived of. For a device that is not
  /// known, call it with any key: then it takes the same time.
  public func verify(storedKey: [UInt8]) -> Bool {
    ScramProof.verify(signature, base: base, storedKey: storedKey)
  }
}

extension RequestProof: CustomStringConvertible, CustomReflectable {
  /// Without the signature, of which nobody may keep a copy: with the stored key it gives the client's key away
  /// (RFC 5802, section 9).
  public var description: String { "signature of \(keyID), created \(created), nonce \(nonce)" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
