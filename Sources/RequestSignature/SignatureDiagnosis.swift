internal import Crypto
internal import Encoding

/// Why the signature of a request does not verify: what is malformed in the request, and the usual mistake with which
/// its signature would verify.
///
/// Nothing here makes a signature: a stored key only tests one. Nonces are not tested, and of the times only the unit.
public struct SignatureDiagnosis: Sendable {
  /// Something that is wrong with the request.
  public struct Finding: Hashable, Sendable {
    /// The part of the request that is wrong: a field, a parameter or component of the signature, or `base` for what
    /// was signed.
    public let part: String
    /// What is wrong, and what to do.
    public let message: String
    /// Whether the secret of the stored key signed the request, if it was signed in this way.
    public let verifiesIfChanged: Bool

    public init(part: String, message: String, verifiesIfChanged: Bool) {
      self.part = part
      self.message = message
      self.verifiesIfChanged = verifiesIfChanged
    }
  }

  /// Whether form, digest and signature of the request are accepted.
  public let verifies: Bool
  /// What the device has to sign, for the components and parameters that it sent; nil if they cannot be read.
  public let signatureBase: String?
  /// Those first with which the signature would verify.
  public let findings: [Finding]

  /// - Parameters:
  ///   - deviceID: the device of the stored key.
  ///   - storedKey: of the secret that should have signed the request.
  public init(of request: RequestView, deviceID: String, storedKey: [UInt8]) {
    let proof = try? RequestProof(request)
    verifies =
      proof.map {
        $0.keyID.lowercased() == deviceID && $0.created <= Mistake.firstMilliseconds
          && $0.hasDigest(of: request.body) && $0.verify(storedKey: storedKey)
      } ?? false
    do throws(Malformation) {
      let sent = try SentSignature(of: request)
      let signed = try SignedText(of: request, sent)
      signatureBase = signed.text()
      let isSigned = ScramProof.verify(sent.signature, base: signed.bytes, storedKey: storedKey)
      var findings = sent.mistakes(in: request, of: deviceID).map { $0.finding(isSigned) }
      if !isSigned {
        findings = Self.usualMistakes(in: signed, sent.signature, storedKey: storedKey) + findings
        if !findings.contains(where: \.verifiesIfChanged) { findings.append(Mistake.secret.finding(false)) }
      }
      self.findings = findings
    } catch {
      signatureBase = nil
      findings = [Mistake(error).finding(false)]
    }
  }

  private static func usualMistakes(
    in signed: SignedText, _ signature: [UInt8], storedKey: [UInt8]
  ) -> [Finding] {
    let bases = Mistake.inBases.filter { mistake in
      mistake.bases(signed).contains { ScramProof.verify(signature, base: $0, storedKey: storedKey) }
    }
    let keys = Mistake.inKeys.filter { $0.test(signature, signed.bytes, storedKey) }
    return (bases.map(\.mistake) + keys.map(\.mistake)).map { $0.finding(true) }
  }
}

/// A mistake in a part of a signed request.
struct Mistake: Hashable {
  let part: String
  let message: String

  init(_ part: String, _ message: String) { (self.part, self.message) = (part, message) }

  func finding(_ verifiesIfChanged: Bool) -> SignatureDiagnosis.Finding {
    SignatureDiagnosis.Finding(part: part, message: message, verifiesIfChanged: verifiesIfChanged)
  }
}

// MARK: - What was sent

/// The signature of a request, read with forbearance: as far as its form allows to test it.
private struct SentSignature {
  let keyID: String?
  let covered: [Component]
  /// Nil if there are unsupported or malformed ones.
  let parameters: SignatureParameters?
  /// The member of `Signature-Input`, as it was sent.
  let parametersText: String
  /// Empty if it cannot be decoded.
  let signature: [UInt8]
  /// What is wrong with the form of the fields.
  private var malformations: [Mistake] = []

  /// Throws if `Signature-Input` or `Signature` is missing, or has no list of components and no member of its label.
  init(of request: RequestView) throws(Malformation) {
    let input = request.value(FieldName.signatureInput)
    let signatures = request.value(FieldName.signature)
    guard let input else { throw .fieldMissing("Signature-Input") }
    guard let signatures else { throw .fieldMissing("Signature") }
    let inputs = try MessageSignature.dictionary(input, of: "Signature-Input")
    let known = inputs.members.first { $0.keyID(of: inputs).map { KeyID.isWellFormed($0) } ?? false }
    guard let member = known ?? inputs.members.first else { throw .keyIDUnknown }
    keyID = member.keyID(of: inputs).map { String(decoding: $0, as: UTF8.self) }
    covered = try SignatureParameters.covered(of: member, in: inputs)
    parametersText = Self.text(of: member, in: inputs)
    do throws(Malformation) {
      let parameters = try SignatureParameters(member, of: inputs)
      self.parameters = parameters
      do throws(Malformation) {
        _ = try parameters.requireCreated()
        _ = try parameters.requireNonce()
      } catch {
        malformations.append(Mistake(error))
      }
    } catch {
      parameters = nil
      malformations.append(Mistake(error))
    }
    let label = inputs.text(member.key)
    guard let text = Self.text(of: label, in: signatures) else { throw .signatureMissing(label: label) }
    let decoding = Mistake.Notation.all.lazy.compactMap { notation in
      notation.decode(text).map { (bytes: $0, mistake: notation.mistake) }
    }.first
    signature = decoding?.bytes ?? []
    if let mistake = decoding.map(\.mistake) ?? Mistake(.signatureMisshapen(label: label)) {
      malformations.append(mistake)
    }
  }

  /// A member of `Signature-Input`: what follows its name, up to the next member.
  private static func text(
    of member: StructuredDictionary.Member, in inputs: StructuredDictionary
  ) -> String {
    let start = member.key.upperBound + 1
    let end = inputs.members.map(\.key.lowerBound).filter { $0 > start }.min() ?? inputs.bytes.count
    return inputs.text(start..<end).trimmed(of: " \t,")
  }

  /// A member of `Signature`, whatever its form.
  private static func text(of label: String, in signatures: [UInt8]) -> String? {
    String(decoding: signatures, as: UTF8.self).split(separator: ",").lazy
      .map { String($0).trimmed(of: " \t") }
      .first { $0.hasPrefix(label + "=") }.map { String($0.dropFirst(label.count + 1)) }
  }

  /// What is wrong with the request, apart from what was signed.
  func mistakes(in request: RequestView, of deviceID: String) -> [Mistake] {
    var mistakes = malformations
    if keyID?.lowercased() != deviceID { mistakes.append(.otherDevice) }
    if let created = parameters?.created, created > Mistake.firstMilliseconds { mistakes.append(.milliseconds) }
    var required: [Component] = [.method, .path]
    if request.hasQuery { required.append(.query) }
    if !request.body.isEmpty { required.append(.contentDigest) }
    mistakes += required.filter { !covered.contains($0) }.map { Mistake(.componentNotCovered($0.name)) }
    return mistakes + digestMistakes(in: request)
  }

  private func digestMistakes(in request: RequestView) -> [Mistake] {
    do throws(Malformation) {
      guard let digest = try ContentDigest.sha256(request.value(FieldName.contentDigest)) else { return [] }
      guard !ContentDigest.isDigest(digest, of: request.body) else { return [] }
      let body = Mistake.OtherBytes.all.first { $0.isDigest(digest, request.body) }
      return [body?.mistake ?? .otherBody]
    } catch {
      return [Mistake(error)]
    }
  }
}

/// The text that a request's signature covers, in its parts.
struct SignedText {
  struct Line: Hashable {
    var name: String
    var value: String
  }

  /// For each covered component.
  var lines: [Line]
  /// The value of the last line, `@signature-params`, in its canonical form.
  var parameters: String
  /// The same as it was sent.
  let parametersAsSent: String
  /// The target of the request.
  let target: String
  /// Scheme and authority, as in a URL.
  let origin: String

  /// Throws if a component does not exist in requests or is missing in this one.
  fileprivate init(of request: RequestView, _ sent: SentSignature) throws(Malformation) {
    let known =
      sent.parameters ?? SignatureParameters(covered: sent.covered, created: nil, keyID: nil, nonce: nil)
    let base = try SignatureBase.bytes(of: request, parameters: known)
    // Values have no line breaks. They are cut as bytes: a value may begin with a combining character.
    let rows = base.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    func value(_ row: ArraySlice<UInt8>, of name: String) -> String {
      String(decoding: row.dropFirst("\"\(name)\": ".utf8.count), as: UTF8.self)
    }
    lines = zip(known.covered, rows).map { Line(name: $0.name, value: value($1, of: $0.name)) }
    parametersAsSent = sent.parametersText
    parameters =
      sent.parameters == nil ? sent.parametersText : value(rows[rows.count - 1], of: "@signature-params")
    target = request.target
    origin = "\(request.scheme)://\(request.authority)"
  }

  /// The text.
  /// - Parameters:
  ///   - separator: what is between the lines.
  ///   - quote: what is before and after the names.
  func text(separator: String = "\n", quote: String = "\"") -> String {
    (lines + [Line(name: "@signature-params", value: parameters)])
      .map { "\(quote)\($0.name)\(quote): \($0.value)" }.joined(separator: separator)
  }

  var bytes: [UInt8] { Array(text().utf8) }

  /// The same with other values of the lines of a component.
  func replacing(_ name: String, _ value: (String) -> String) -> SignedText {
    var other = self
    for index in lines.indices where lines[index].name == name {
      other.lines[index].value = value(lines[index].value)
    }
    return other
  }
}

extension String {
  /// Without these characters at its ends.
  fileprivate func trimmed(of characters: String) -> String {
    String(drop { characters.contains($0) }.reversed().drop { characters.contains($0) }.reversed())
  }
}
