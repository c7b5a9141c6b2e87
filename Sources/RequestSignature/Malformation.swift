/// Why a signature is malformed, or does not cover what it must. Found before any key is looked up. The text is for
/// the sender of the message.
public enum Malformation: Error, Hashable, Sendable {
  /// A field is not a structured field.
  case field(String, StructuredFieldError)
  /// Only one of `Signature` and `Signature-Input` is present.
  case fieldMissing(String)
  /// No member of `Signature-Input` has a valid `keyid`.
  case keyIDUnknown
  /// The chosen member is not a list of components.
  case notAList(label: String)
  /// `Signature` has no member with this label.
  case signatureMissing(label: String)
  /// The member of `Signature` is not a byte sequence of `ScramProof.length` bytes.
  case signatureMisshapen(label: String)
  /// The name of a component is not a string.
  case componentNotString
  /// A component has parameters.
  case componentParameters(String)
  /// Messages of this kind have no component with this name.
  case componentUnknown(String)
  case componentRepeated(String)
  /// A covered header field is not in the message.
  case componentAbsent(String)
  /// A required component is not covered.
  case componentNotCovered(String)
  /// A covered value has a line break, which would make it look like several components.
  case lineBreak(String)
  case parameterMissing(String)
  /// A parameter is malformed.
  case parameterMisshapen(String)
  /// A parameter without meaning here, such as `alg`: the key decides the algorithm.
  case parameterRefused(String)
  /// `Content-Digest` has no `sha-256` that is a byte sequence.
  case digestMissing
}

extension Malformation: CustomStringConvertible {
  public var description: String {
    switch self {
    case .field(let name, let error): "\(name) cannot be read: \(error)"
    case .fieldMissing(let name): "\(name) is missing: Signature and Signature-Input go together"
    case .keyIDUnknown: "no member of Signature-Input has a keyid that is a device's id, a UUID"
    case .notAList(let label): "\(label) in Signature-Input is no list of components"
    case .signatureMissing(let label): "Signature has no member \(label), which Signature-Input has"
    case .signatureMisshapen(let label):
      "\(label) in Signature is no byte sequence of \(ScramProof.length) bytes in base64, without parameters"
    case .componentNotString: "a covered component is not named by a string"
    case .componentParameters(let name): "the covered component \(name) has parameters, which are not supported"
    case .componentUnknown(let name):
      "\(name) is no component that can be covered; field names are in lower case"
    case .componentRepeated(let name): "\(name) is covered more than once"
    case .componentAbsent(let name): "\(name) is covered and not in the message"
    case .componentNotCovered(let name): "\(name) must be covered"
    case .lineBreak(let name): "the value of \(name) has a line break"
    case .parameterMissing(let name): "the parameter \(name) is missing"
    case .parameterMisshapen(let name): "the parameter \(name) must be \(Self.form(of: name))"
    case .parameterRefused(let name): "the parameter \(name) is not supported"
    case .digestMissing: "Content-Digest has no sha-256"
    }
  }

  private static func form(of parameter: String) -> String {
    switch parameter {
    case "nonce":
      "a string of \(Nonce.lengths.lowerBound) to \(Nonce.lengths.upperBound) characters, each one of A-Z a-z 0-9 - _"
    case "created", "expires": "a whole number of seconds since 1970, without quotes"
    case "keyid": "a device's id, a UUID, as a string"
    default: "a string"
    }
  }
}
