internal import Encoding

/// A part of a message that a signature can cover (RFC 9421, section 2): control data, or a header field.
public enum Component: Hashable, Sendable {
  /// `@method`, section 2.2.1.
  case method
  /// `@target-uri`, section 2.2.2.
  case targetURI
  /// `@authority`, section 2.2.3.
  case authority
  /// `@scheme`, section 2.2.4.
  case scheme
  /// `@request-target`, section 2.2.5.
  case requestTarget
  /// `@path`, section 2.2.6.
  case path
  /// `@query`, section 2.2.7.
  case query
  /// `@status`, section 2.2.9: only in responses.
  case status
  /// A header field, by its name in lower case, section 2.1.
  case field(String)

  /// The field with the digest of the body.
  public static let contentDigest = Component.field(FieldName.contentDigest)

  /// The component with this name; nil for unsupported derived components, and for text that is not a field name in
  /// lower case.
  public init?(name: String) {
    switch name {
    case "@method": self = .method
    case "@target-uri": self = .targetURI
    case "@authority": self = .authority
    case "@scheme": self = .scheme
    case "@request-target": self = .requestTarget
    case "@path": self = .path
    case "@query": self = .query
    case "@status": self = .status
    default:
      let isFieldName = name.utf8.allSatisfy { $0.isTokenCharacter && !$0.isUpperCaseLetter } && !name.isEmpty
      guard isFieldName else { return nil }
      self = .field(name)
    }
  }

  public var name: String {
    switch self {
    case .method: "@method"
    case .targetURI: "@target-uri"
    case .authority: "@authority"
    case .scheme: "@scheme"
    case .requestTarget: "@request-target"
    case .path: "@path"
    case .query: "@query"
    case .status: "@status"
    case .field(let name): name
    }
  }
}

/// The fields that carry a signature, in lower case.
enum FieldName {
  static let contentDigest = "content-digest"
  static let signature = "signature"
  static let signatureInput = "signature-input"
}
