/// The fields that a signed message is sent with.
public struct SignatureFields: Hashable, Sendable {
  /// The value of `Content-Digest`; nil for a request without a body.
  public let contentDigest: String?
  /// The value of `Signature-Input`.
  public let signatureInput: String
  /// The value of `Signature`.
  public let signature: String

  init(contentDigest: String?, label: String, parameters: SignatureParameters, signature: [UInt8]) {
    self.contentDigest = contentDigest
    var input = Array(label.utf8)
    input.append(UInt8(ascii: "="))
    parameters.append(to: &input)
    signatureInput = String(decoding: input, as: UTF8.self)
    var member = Array(label.utf8)
    member.append(contentsOf: "=:".utf8)
    Base64.append(signature, to: &member)
    member.append(UInt8(ascii: ":"))
    self.signature = String(decoding: member, as: UTF8.self)
  }

  /// The fields with their names, in the order in which they are best sent.
  public var lines: [(name: String, value: String)] {
    var lines = [("Signature-Input", signatureInput), ("Signature", signature)]
    if let contentDigest { lines.insert(("Content-Digest", contentDigest), at: 0) }
    return lines
  }
}

extension SignatureFields: CustomStringConvertible, CustomReflectable {
  /// Without the signature, which is never logged.
  public var description: String { signatureInput }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
