/// The components that a signature covers, and its parameters (RFC 9421, section 2.3).
public struct SignatureParameters: Hashable, Sendable {
  /// In the order in which they are signed.
  public var covered: [Component]
  /// When the signature was made, in seconds since 1970.
  public var created: Int64?
  /// When it expires, in seconds since 1970.
  public var expires: Int64?
  public var keyID: String?
  public var nonce: String?
  public var tag: String?
  /// The parameters in the order in which they are signed.
  private var order: [Name] = []

  /// The supported parameters.
  enum Name: Hashable {
    case created, expires, keyID, nonce, tag

    static let all: [Name] = [.created, .expires, .keyID, .nonce, .tag]
  }

  /// Parameters in the order `created`, `keyid`, `nonce`, `expires`, `tag`.
  public init(
    covered: [Component], created: Int64?, keyID: String?, nonce: String?, expires: Int64? = nil,
    tag: String? = nil
  ) {
    self.covered = covered
    self.created = created
    self.expires = expires
    self.keyID = keyID
    self.nonce = nonce
    self.tag = tag
    order = [.created, .keyID, .nonce, .expires, .tag]
  }

  /// Reads the components and parameters of a member of `Signature-Input`. Throws for unsupported ones, and for
  /// repeated components (section 2).
  init(_ member: StructuredDictionary.Member, of dictionary: StructuredDictionary) throws(Malformation) {
    covered = try Self.covered(of: member, in: dictionary)
    order.reserveCapacity(member.parameters.count)
    for parameter in member.parameters { try take(parameter, of: dictionary) }
  }

  /// The components that a member covers.
  static func covered(
    of member: StructuredDictionary.Member, in dictionary: StructuredDictionary
  ) throws(Malformation) -> [Component] {
    guard case .innerList(let items) = member.value else {
      throw .notAList(label: dictionary.text(member.key))
    }
    var covered: [Component] = []
    covered.reserveCapacity(items.count)
    for item in items {
      let component = try component(item, of: dictionary)
      // There are at most 32, and usually three: a set would cost more.
      guard !covered.contains(component) else { throw .componentRepeated(component.name) }
      covered.append(component)
    }
    return covered
  }

  private static func component(
    _ item: StructuredDictionary.Item, of dictionary: StructuredDictionary
  ) throws(Malformation) -> Component {
    guard case .string(let range) = item.value else { throw .componentNotString }
    let name = dictionary.text(range)
    guard item.parameters.isEmpty else { throw .componentParameters(name) }
    guard let component = Component(name: name) else { throw .componentUnknown(name) }
    return component
  }

  private mutating func take(
    _ parameter: StructuredDictionary.Parameter, of dictionary: StructuredDictionary
  ) throws(Malformation) {
    guard let name = Name.all.first(where: { dictionary.isEqual(parameter.key, $0.text) }) else {
      throw .parameterRefused(dictionary.text(parameter.key))
    }
    switch (name, parameter.value) {
    case (.created, .integer(let seconds)): created = seconds
    case (.expires, .integer(let seconds)): expires = seconds
    case (.keyID, .string(let range)): keyID = dictionary.unescaped(range)
    case (.nonce, .string(let range)): nonce = dictionary.unescaped(range)
    case (.tag, .string(let range)): tag = dictionary.unescaped(range)
    default: throw .parameterMisshapen(dictionary.text(parameter.key))
    }
    order.append(name)
  }
}

// MARK: - Writing

extension SignatureParameters {
  /// Appends the canonical form (RFC 9651, section 4.1.1.1), which is signed and is also the member of
  /// `Signature-Input`.
  func append(to output: inout [UInt8]) {
    output.append(UInt8(ascii: "("))
    for (index, component) in covered.enumerated() {
      output.append(literal: index == 0 ? "\"" : " \"")
      output.append(text: component.name)
      output.append(UInt8(ascii: "\""))
    }
    output.append(UInt8(ascii: ")"))
    for name in order {
      switch name {
      case .created: append(name, created, to: &output)
      case .expires: append(name, expires, to: &output)
      case .keyID: append(name, keyID, to: &output)
      case .nonce: append(name, nonce, to: &output)
      case .tag: append(name, tag, to: &output)
      }
    }
  }

  private func append(_ name: Name, _ number: Int64?, to output: inout [UInt8]) {
    guard let number else { return }
    append(name, to: &output)
    output.append(text: String(number))
  }

  private func append(_ name: Name, _ text: String?, to output: inout [UInt8]) {
    guard var text else { return }
    append(name, to: &output)
    output.append(UInt8(ascii: "\""))
    text.withUTF8 { text in
      guard text.contains(where: { Self.isProtected($0) }) else { return output.append(contentsOf: text) }
      for byte in text {
        if Self.isProtected(byte) { output.append(UInt8(ascii: "\\")) }
        output.append(byte)
      }
    }
    output.append(UInt8(ascii: "\""))
  }

  /// Whether a string escapes this character with a backslash (RFC 9651, section 3.3.3).
  private static func isProtected(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  private func append(_ name: Name, to output: inout [UInt8]) {
    output.append(UInt8(ascii: ";"))
    output.append(literal: name.text)
    output.append(UInt8(ascii: "="))
  }
}

extension SignatureParameters.Name {
  var text: StaticString {
    switch self {
    case .created: "created"
    case .expires: "expires"
    case .keyID: "keyid"
    case .nonce: "nonce"
    case .tag: "tag"
    }
  }
}
