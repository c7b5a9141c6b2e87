internal import Encoding

/// The fields of a signed message.
public struct SignatureFields: Hashable, Sendable {
  /// The value of `Content-Digest`; nil for a request without a body.
  public let contentDigest: String?
  /// The value of `Signature-Input`.
  public let signatureInput: String
  /// The value of `Signature`.
  public let signature: String

  init(contentDigest: String?, label: String, parameters: SignatureParameters, signature: [UInt8]) {
    var input = Array(label.utf8)
    input.append(UInt8(ascii: "="))
    parameters.append(to: &input)
    self = signature.withUnsafeBufferPointer {
      SignatureFields(
        contentDigest: contentDigest, signatureInput: String(decoding: input, as: UTF8.self), label: label,
        signature: $0)
    }
  }

  init(contentDigest: String?, signatureInput: String, label: String, signature: UnsafeBufferPointer<UInt8>) {
    self.contentDigest = contentDigest
    self.signatureInput = signatureInput
    let length = label.utf8.count + "=::".utf8.count + Base64.encodedLength(signature.count)
    self.signature = TextWriter.string(capacity: length) { member in
      member.append(label)
      member.append("=:")
      member.append(base64: signature)
      member.append(":")
    }
  }

  /// The fields with their names, in the order to send them.
  public var lines: [(name: String, value: String)] {
    var lines = [("Signature-Input", signatureInput), ("Signature", signature)]
    if let contentDigest { lines.insert(("Content-Digest", contentDigest), at: 0) }
    return lines
  }
}

extension SignatureFields: CustomStringConvertible, CustomReflectable {
  /// Omits the signature, which is never logged.
  public var description: String { signatureInput }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
