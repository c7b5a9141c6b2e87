internal import Crypto
internal import Encoding

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
    let inputLength = usualLength + keyID.utf8.count + nonce.utf8.count
    let input = TextWriter.string(capacity: inputLength) { input in
      input.append(label)
      input.append(#"=("@status" "content-digest");created="#)
      input.append(created)
      input.append(#";keyid=""#)
      input.append(keyID)
      input.append(#"";nonce=""#)
      input.append(nonce)
      input.append(#"""#)
    }
    let baseLength = usualLength + digest.utf8.count + input.utf8.count
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: baseLength + HMACSHA256.length) { memory in
      var base = TextWriter(memory.extracting(..<baseLength))
      base.append(#""@status": "#)
      base.append(Int64(status))
      base.append("\n\"content-digest\": ")
      base.append(digest)
      base.append("\n\"@signature-params\": ")
      var parameters = input[input.index(input.startIndex, offsetBy: label.utf8.count + 1)...]
      parameters.withUTF8 { base.append($0) }
      let code = memory.extracting(baseLength...)
      serverKey.withUnsafeBufferPointer {
        HMACSHA256.authenticate(key: $0, message: base.written, into: code)
      }
      return SignatureFields(
        contentDigest: digest, signatureInput: input, label: label, signature: UnsafeBufferPointer(code))
    }
  }

  /// What the fixed text of the parameters, or of the base beside them, fits into, with a number.
  private static let usualLength = 128
}
