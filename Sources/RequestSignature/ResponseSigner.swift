internal import Crypto

/// Signs what the registry answers to a signed request, with the server's key of the secret that verified.
public enum ResponseSigner {
  /// The signature's name in `Signature-Input` and `Signature`.
  static let label = "sig"

  /// The fields of a signed answer: `@status` and the body's digest are covered. `created` is in seconds since
  /// 1970; `keyID` and `nonce` are those of the request's `RequestProof`.
  ///
  /// What is covered is always the same, so the base is written as it stands: this runs for each poll, and through
  /// `SignatureBase` it took more than twice as long. The tests hold the two against each other: `ResponseVerifier`
  /// goes that way.
  public static func sign(
    status: Int, body: [UInt8], created: Int64, keyID: String, nonce: String, serverKey: [UInt8]
  ) -> SignatureFields {
    let digest = ContentDigest.value(of: body)
    var input: [UInt8] = []
    input.reserveCapacity(usualLength)
    input.append(contentsOf: label.utf8)
    input.append(literal: "=")
    let parametersStart = input.count
    input.append(literal: #"("@status" "content-digest");created="#)
    input.append(contentsOf: String(created).utf8)
    input.append(literal: #";keyid=""#)
    input.append(contentsOf: keyID.utf8)
    input.append(literal: #"";nonce=""#)
    input.append(contentsOf: nonce.utf8)
    input.append(literal: #"""#)

    var base: [UInt8] = []
    base.reserveCapacity(2 * usualLength)
    base.append(literal: #""@status": "#)
    base.append(contentsOf: String(status).utf8)
    base.append(literal: "\n\"content-digest\": ")
    base.append(contentsOf: digest.utf8)
    base.append(literal: "\n\"@signature-params\": ")
    base.append(contentsOf: input[parametersStart...])
    return SignatureFields(
      contentDigest: digest, signatureInput: String(decoding: input, as: UTF8.self), label: label,
      signature: HMACSHA256.authenticate(key: serverKey, message: base))
  }

  /// What the parameters of most answers fit into.
  private static let usualLength = 192
}

extension [UInt8] {
  fileprivate mutating func append(literal text: StaticString) {
    text.withUTF8Buffer { append(contentsOf: $0) }
  }
}
