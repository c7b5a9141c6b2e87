internal import Encoding

/// The signature of a message that is used, from `Signature-Input` and `Signature` (RFC 9421, sections 4.1 and 4.2).
struct MessageSignature {
  let label: String
  let parameters: SignatureParameters
  /// `ScramProof.length` bytes.
  let signature: [UInt8]

  /// Finds the first member of `Signature-Input` with a valid `keyid`, and its signature. Nil if both fields are
  /// absent; throws if they are malformed or do not match. Other members are ignored.
  init?(
    value: (_ name: String) -> [UInt8]?, where keyIDCounts: (ArraySlice<UInt8>) -> Bool
  ) throws(Malformation) {
    let input = value(FieldName.signatureInput)
    let signatures = value(FieldName.signature)
    if input == nil, signatures == nil { return nil }
    guard let input else { throw .fieldMissing("Signature-Input") }
    guard let signatures else { throw .fieldMissing("Signature") }

    let inputs = try Self.dictionary(input, of: "Signature-Input")
    let member = inputs.members.first { $0.keyID(of: inputs).map(keyIDCounts) ?? false }
    guard let member else { throw .keyIDUnknown }
    label = inputs.text(member.key)
    parameters = try SignatureParameters(member, of: inputs)
    signature = try Self.signature(
      label: inputs.bytes[member.key], in: try Self.dictionary(signatures, of: "Signature"))
  }

  static func dictionary(
    _ bytes: [UInt8], of name: String
  ) throws(Malformation) -> StructuredDictionary {
    do { return try StructuredDictionary(bytes) } catch { throw .field(name, error) }
  }

  private static func signature(
    label: ArraySlice<UInt8>, in dictionary: StructuredDictionary
  ) throws(Malformation) -> [UInt8] {
    guard let member = dictionary.member(label) else {
      throw .signatureMissing(label: String(decoding: label, as: UTF8.self))
    }
    guard case .item(.byteSequence(let range)) = member.value, member.parameters.isEmpty,
      range.count == Base64.encodedLength(ScramProof.length)
    else { throw .signatureMisshapen(label: dictionary.text(member.key)) }
    let signature = dictionary.decoded(range)
    guard signature.count == ScramProof.length else {
      throw .signatureMisshapen(label: dictionary.text(member.key))
    }
    return signature
  }
}

extension StructuredDictionary.Member {
  /// The text of the `keyid`, if it is a string.
  func keyID(of dictionary: StructuredDictionary) -> ArraySlice<UInt8>? {
    let parameter = parameters.first { dictionary.isEqual($0.key, "keyid") }
    guard case .string(let range) = parameter?.value else { return nil }
    return dictionary.bytes[range]
  }
}

// MARK: - Requirements of requests and responses

extension SignatureParameters {
  /// Throws unless all these components are covered.
  func requireCovered(_ components: Component...) throws(Malformation) {
    for component in components where !covered.contains(component) {
      throw .componentNotCovered(component.name)
    }
  }

  /// `created`, which is required.
  func requireCreated() throws(Malformation) -> Int64 {
    guard let created else { throw .parameterMissing("created") }
    return created
  }

  /// `nonce`, which is required and must be well-formed.
  func requireNonce() throws(Malformation) -> String {
    guard let nonce else { throw .parameterMissing("nonce") }
    guard Nonce.isWellFormed(nonce) else { throw .parameterMisshapen("nonce") }
    return nonce
  }
}
