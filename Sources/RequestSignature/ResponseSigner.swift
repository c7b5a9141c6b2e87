internal import Crypto

/// Signs what the registry answers to a signed request, with the server's key of the secret that verified.
public enum ResponseSigner {
  /// The signature's name in `Signature-Input` and `Signature`.
  static let label = "sig"

  /// The fields of a signed answer: `@status` and the body's digest are covered. `created` is in seconds since
  /// 1970; `keyID` and `nonce` are those of the request's `RequestProof`.
  public static func sign(
    status: Int, body: [UInt8], created: Int64, keyID: String, nonce: String, serverKey: [UInt8]
  ) -> SignatureFields {
    let digest = ContentDigest.value(of: body)
    let parameters = SignatureParameters(
      covered: [.status, .contentDigest], created: created, keyID: keyID, nonce: nonce)
    let response = ResponseView(status: status, body: body) { _ in [digest] }
    guard let base = try? SignatureBase.bytes(of: response, parameters: parameters) else {
      preconditionFailure("status and digest are there, and have no line breaks")
    }
    return SignatureFields(
      contentDigest: digest, label: label, parameters: parameters,
      signature: HMACSHA256.authenticate(key: serverKey, message: base))
  }
}
