import Crypto
import Encoding

@testable import RequestSignature

// Signed messages: the first untrusted bytes that are parsed, before authentication.

/// A field's value as a dictionary, as signature parameters and as a digest.
func feedStructuredField(_ input: [UInt8]) {
  if let digest = try? ContentDigest.sha256(input), digest.count == 32 {
    let field = Array("sha-256=:\(Base64.encode(digest)):".utf8)
    demand((try? ContentDigest.sha256(field)) == digest, "a digest is read otherwise once written")
  }
  if let bytes = input.withUnsafeBufferPointer({ Base64.decode($0) }) {
    demand(Base64.encode(bytes).utf8.elementsEqual(input), "base64 has a second spelling")
  }
  guard let dictionary = try? StructuredDictionary(input) else { return }
  demand(dictionary.members.count <= StructuredDictionary.maximumMembers, "more members than may be")
  for member in dictionary.members {
    demand(dictionary.member(input[member.key]) == member, "a member is not found by its key")
    guard let parameters = try? SignatureParameters(member, of: dictionary) else { continue }
    testIsCanonical(parameters)
  }
}

/// The canonical form is signed: it must have the meaning of what was sent, and no second spelling.
private func testIsCanonical(_ parameters: SignatureParameters) {
  var written = Array("sig=".utf8)
  parameters.append(to: &written)
  guard let again = try? StructuredDictionary(written), let member = again.members.first,
    let read = try? SignatureParameters(member, of: again)
  else { fatalError("parameters cannot be read once written") }
  var rewritten = Array("sig=".utf8)
  read.append(to: &rewritten)
  demand(written == rewritten, "parameters are written in two ways")
  demand(read == parameters, "parameters are read otherwise once written")
}

/// A request in the lines method, target, `Signature-Input`, `Signature`, `Content-Digest` (empty means absent), the
/// change, body. The request itself must not verify; then a device signs it, and no change of one byte may verify,
/// unless it is another spelling of the same.
func feedSignedRequest(_ input: [UInt8]) {
  let parts = lines(input, atMost: 7)
  guard parts.count == 7, let method = parts[0].text, let target = parts[1].text, target.hasPrefix("/") else {
    return
  }
  let fields = zip(["signature-input", "signature", "content-digest"], parts[2...4])
    .filter { !$0.1.isEmpty }.map { ($0.0, String(decoding: $0.1, as: UTF8.self)) }
  var message = SignedMessage(
    method: method, target: target, fields: Dictionary(uniqueKeysWithValues: fields), body: parts[6])

  let asSent = try? RequestProof(message.view)
  demand(asSent?.verify(storedKey: FuzzedDevice.storedKey) != true, "a proof was made without the key")
  let unexplained = FuzzedDevice.diagnose(message)
  demand(!unexplained.verifies, "a diagnosis accepts what was made without the key")
  demand(
    !unexplained.findings.contains(where: \.verifiesIfChanged),
    "a mistake explains what was made without the key")

  // The components it covers, and its times and nonce, if they are valid.
  let covered = asSent?.covered ?? []
  let nonce = asSent?.nonce ?? "12345678"
  message.fields = [:]
  guard
    let signature = try? FuzzedDevice.signer.sign(
      message.view, nonce: nonce, created: asSent?.created ?? 1, expires: asSent?.expires, tag: asSent?.tag,
      covering: covered.filter { if case .field = $0 { false } else { true } })
  else { return }
  for (name, value) in signature.lines { message.fields[name.lowercased()] = value }
  guard let signed = try? RequestProof(message.view) else { fatalError("what was signed cannot be read") }
  demand(signed.hasDigest(of: message.body), "the digest is not that of the body")
  demand(signed.verify(storedKey: FuzzedDevice.storedKey), "what was signed does not verify")
  let explained = FuzzedDevice.diagnose(message)
  let isMilliseconds = signed.created > Mistake.firstMilliseconds
  demand(explained.verifies != isMilliseconds, "a diagnosis refuses what was signed")
  demand(
    explained.findings.map(\.message) == (isMilliseconds ? [Mistake.milliseconds.message] : []),
    "a diagnosis finds mistakes in what was signed")
  testChange(Change(parts[5]), of: message, signed)
}

private func testChange(_ change: Change?, of message: SignedMessage, _ signed: RequestProof) {
  guard let change, let changed = change.applied(to: message) else { return }
  guard let proof = try? RequestProof(changed.view), proof.hasDigest(of: changed.body),
    proof.verify(storedKey: FuzzedDevice.storedKey)
  else { return }
  // White space between parameters and the like: the same meaning.
  demand(change.mayRespell, "a changed \(change.part) verifies")
  demand(
    proof.keyID == signed.keyID && proof.nonce == signed.nonce && proof.created == signed.created
      && proof.expires == signed.expires && proof.tag == signed.tag && proof.covered == signed.covered,
    "a changed \(change.part) verifies, and says something else")
}

/// An answer in the lines status, `Signature-Input`, `Signature`, `Content-Digest`, body: it must not verify, and a
/// device accepts an answer of the registry only unchanged.
func feedSignedResponse(_ input: [UInt8]) {
  let parts = lines(input, atMost: 5)
  guard parts.count == 5, let status = parts[0].text.flatMap({ Int($0) }), (100...599).contains(status) else {
    return
  }
  var fields: [String: String] = [:]
  for (name, value) in zip(["signature-input", "signature", "content-digest"], parts[1...3]) {
    fields[name] = String(decoding: value, as: UTF8.self)
  }
  let verifier = FuzzedDevice.signer.responseVerifier(nonce: "12345678")
  func accepts(_ status: Int, _ body: [UInt8]) -> Bool {
    let view = ResponseView(status: status, body: body) { name in fields[name].map { [$0] } ?? [] }
    return (try? verifier.verify(view)) != nil
  }
  demand(!accepts(status, parts[4]), "an answer was signed without the key")

  let signature = ResponseSigner.sign(
    status: status, body: parts[4], created: 1, keyID: FuzzedDevice.id, nonce: "12345678",
    serverKey: FuzzedDevice.serverKey)
  for (name, value) in signature.lines { fields[name.lowercased()] = value }
  demand(accepts(status, parts[4]), "what the registry signed is refused")
  demand(!accepts(status ^ 1, parts[4]), "another status is accepted")
  demand(!accepts(status, parts[4] + [0]), "another body is accepted")
}

/// A device whose keys are known.
private enum FuzzedDevice {
  static let id = "0190a5c2-7d3e-7b1a-8c4d-5e6f70819203"
  /// Derived from 64 zeros, like every test key.
  private static let secret = Array(repeating: UInt8(ascii: "0"), count: 64)
  static let signer = secret.withUnsafeBufferPointer {
    try! RequestSigner(keyID: id, keys: DeviceKeys(secret: $0))
  }
  static let storedKey = SHA256.hash(HMACSHA256.authenticate(key: secret, message: Array("Client Key".utf8)))
  static let serverKey = HMACSHA256.authenticate(key: secret, message: Array("Server Key".utf8))

  static func diagnose(_ message: SignedMessage) -> SignatureDiagnosis {
    SignatureDiagnosis(of: message.view, deviceID: id, storedKey: storedKey)
  }
}

private struct SignedMessage {
  var method: String
  var target: String
  var fields: [String: String]
  var body: [UInt8]

  var view: RequestView {
    let fields = fields
    return RequestView(
      method: method, target: target, scheme: "http", authority: "localhost:8000", body: body
    ) { name in fields[name].map { [$0] } ?? [] }
  }
}

/// A change of one byte in one part of a message: replaced, inserted or removed.
private struct Change {
  enum Part: UInt8, CaseIterable { case method, target, body, signatureInput, signature, contentDigest }
  enum Kind: UInt8, CaseIterable { case replace, insert, remove }

  let part: Part
  let kind: Kind
  let position: Int
  let byte: UInt8

  /// Part, kind, position (two bytes), byte.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= 5 else { return nil }
    part = Part.allCases[Int(bytes[0]) % Part.allCases.count]
    kind = Kind.allCases[Int(bytes[1]) % Kind.allCases.count]
    position = Int(bytes[2]) << 8 | Int(bytes[3])
    byte = bytes[4]
  }

  /// Fields have several spellings; one byte replaced by another never has the same meaning.
  var mayRespell: Bool {
    switch part {
    case .method, .target, .body: false
    case .signatureInput, .signature, .contentDigest: kind != .replace
    }
  }

  /// Nil where nothing changes.
  func applied(to message: SignedMessage) -> SignedMessage? {
    var message = message
    let isChanged =
      switch part {
      case .method: change(&message.method)
      case .target: change(&message.target)
      case .body: change(&message.body)
      case .signatureInput: change(&message.fields["signature-input", default: ""])
      case .signature: change(&message.fields["signature", default: ""])
      case .contentDigest:
        message.fields["content-digest"] != nil && change(&message.fields["content-digest", default: ""])
      }
    // Other targets are refused before a signature is read: an empty one would mean `/`.
    return isChanged && message.target.utf8.first == UInt8(ascii: "/") ? message : nil
  }

  /// Bytes that are no longer UTF-8 are not a change: repaired, they could be the original text.
  private func change(_ text: inout String) -> Bool {
    var bytes = Array(text.utf8)
    guard change(&bytes), let changed = bytes.text else { return false }
    text = changed
    return true
  }

  private func change(_ bytes: inout [UInt8]) -> Bool {
    let original = bytes
    switch kind {
    case .insert: bytes.insert(byte, at: position % (bytes.count + 1))
    case .replace where !bytes.isEmpty: bytes[position % bytes.count] = byte
    case .remove where !bytes.isEmpty: bytes.remove(at: position % bytes.count)
    case .replace, .remove: break
    }
    return bytes != original
  }
}
