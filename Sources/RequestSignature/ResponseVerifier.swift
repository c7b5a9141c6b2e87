/// Verifies that an answer comes from the registry and belongs to this request.
public struct ResponseVerifier: Sendable {
  /// The device's id.
  public let keyID: String
  /// The nonce of the request.
  public let nonce: String
  private let keys: DeviceKeys

  public init(keyID: String, nonce: String, keys: DeviceKeys) {
    self.keyID = keyID
    self.nonce = nonce
    self.keys = keys
  }

  /// Throws unless the response is signed with the server key, for this device and nonce, covers its status and body,
  /// and has that body. Returns when it was signed, in seconds since 1970.
  @discardableResult
  public func verify(_ response: ResponseView) throws(ResponseRefusal) -> Int64 {
    let signed: Signed?
    do { signed = try read(response) } catch { throw .malformed(error) }
    guard let signed else { throw .unsigned }
    guard signed.nonce == nonce else { throw .otherNonce }
    guard ContentDigest.isDigest(signed.digest, of: response.body) else { throw .digestMismatch }
    guard keys.isServerSignature(signed.signature, of: signed.base) else { throw .signatureMismatch }
    return signed.created
  }

  /// The claims of a response.
  private struct Signed {
    let nonce: String
    let created: Int64
    let digest: [UInt8]
    let base: [UInt8]
    let signature: [UInt8]
  }

  /// Nil if the response is not signed.
  private func read(_ response: ResponseView) throws(Malformation) -> Signed? {
    let keyID = self.keyID.utf8
    guard let message = try MessageSignature(value: response.value, where: { $0.elementsEqual(keyID) }) else {
      return nil
    }
    try message.parameters.requireCovered(.status, .contentDigest)
    guard let digest = try ContentDigest.sha256(response.value(FieldName.contentDigest)) else {
      throw .componentAbsent(FieldName.contentDigest)
    }
    return Signed(
      nonce: try message.parameters.requireNonce(), created: try message.parameters.requireCreated(),
      digest: digest, base: try SignatureBase.bytes(of: response, parameters: message.parameters),
      signature: message.signature)
  }
}

/// Why a response is rejected.
public enum ResponseRefusal: Error, Hashable, Sendable {
  /// It has neither `Signature` nor `Signature-Input`.
  case unsigned
  /// Its signature is malformed, is for another device, or covers too little.
  case malformed(Malformation)
  /// It answers another request.
  case otherNonce
  /// Its body is not the signed one.
  case digestMismatch
  /// It was not signed with the server's key.
  case signatureMismatch
}

extension ResponseRefusal: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unsigned: "the answer is not signed"
    case .malformed(let malformation): "the answer's signature is not one of the registry's: \(malformation)"
    case .otherNonce: "the answer is signed for another request"
    case .digestMismatch: "the answer's body is not the one that was signed"
    case .signatureMismatch: "the answer was not signed by the registry"
    }
  }
}
