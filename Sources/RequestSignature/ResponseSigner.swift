internal import Crypto
internal import Encoding

/// Signs the registry's answer to a signed request, with the server key of the secret that verified.
public enum ResponseSigner {
  /// The signature's name in `Signature-Input` and `Signature`.
  static let label = "sig"

  /// The fields of a signed answer, which cover `@status` and the body's digest. `created` is in seconds since 1970;
  /// `keyID` and `nonce` are those of the request's `RequestProof`.
  ///
  /// The components never change, so the base is written directly: this runs for each poll, and took more than twice
  /// as long with `SignatureBase`. Tests compare both ways: `ResponseVerifier` uses `SignatureBase`.
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

  /// Capacity for the fixed text of the parameters, or of the rest of the base, with a number.
  private static let usualLength = 128
}
