/// The fields that a signed message is sent with.
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
    self.init(
      contentDigest: contentDigest, signatureInput: String(decoding: input, as: UTF8.self), label: label,
      signature: signature)
  }

  init(contentDigest: String?, signatureInput: String, label: String, signature: [UInt8]) {
    self.contentDigest = contentDigest
    self.signatureInput = signatureInput
    var member: [UInt8] = []
    member.reserveCapacity(label.utf8.count + Base64.encodedLength(signature.count) + 3)
    member.append(contentsOf: label.utf8)
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
