internal import Encoding

/// The signed bytes (RFC 9421, section 2.5): one line for each covered component, and the signature's parameters in
/// their canonical form (section 2.3).
public enum SignatureBase {
  /// Capacity for most bases.
  private static let usualLength = 512

  /// The base of a request's signature. Throws if a component does not exist in requests, is missing in the message,
  /// or has a line break in its value.
  public static func bytes(
    of request: RequestView, parameters: SignatureParameters
  ) throws(Malformation) -> [UInt8] {
    try bytes(parameters: parameters) { (component, base) throws(Malformation) in
      switch component {
      case .method: base.append(text: request.method)
      case .targetURI:
        base.append(contentsOf: request.scheme.utf8.lazy.map(\.lowerCased))
        base.append(literal: "://")
        appendAuthority(of: request, to: &base)
        appendPath(of: request, to: &base)
        if request.hasQuery { appendQuery(of: request, to: &base) }
      case .authority: appendAuthority(of: request, to: &base)
      case .scheme: base.append(contentsOf: request.scheme.utf8.lazy.map(\.lowerCased))
      case .requestTarget: base.append(text: request.target)
      case .path: appendPath(of: request, to: &base)
      case .query: appendQuery(of: request, to: &base)
      case .status: throw .componentUnknown(component.name)
      case .field(let name): try append(field: name, request.value(name), to: &base)
      }
    }
  }

  /// The base of a response's signature. Throws if a component does not exist in responses, is missing in the message,
  /// or has a line break in its value.
  public static func bytes(
    of response: ResponseView, parameters: SignatureParameters
  ) throws(Malformation) -> [UInt8] {
    try bytes(parameters: parameters) { (component, base) throws(Malformation) in
      switch component {
      case .status: base.append(text: String(response.status))
      case .field(let name): try append(field: name, response.value(name), to: &base)
      case .method, .targetURI, .authority, .scheme, .requestTarget, .path, .query:
        throw .componentUnknown(component.name)
      }
    }
  }

  private static func bytes(
    parameters: SignatureParameters,
    appendValue: (Component, inout [UInt8]) throws(Malformation) -> Void
  ) throws(Malformation) -> [UInt8] {
    var base: [UInt8] = []
    base.reserveCapacity(usualLength)
    for component in parameters.covered {
      base.append(UInt8(ascii: "\""))
      base.append(text: component.name)
      base.append(literal: "\": ")
      let start = base.count
      try appendValue(component, &base)
      let hasLineBreak = base.withUnsafeBufferPointer { base in
        base.extracting(start...).contains { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
      }
      guard !hasLineBreak else { throw .lineBreak(component.name) }
      base.append(UInt8(ascii: "\n"))
    }
    base.append(literal: "\"@signature-params\": ")
    parameters.append(to: &base)
    return base
  }

  private static func append(
    field name: String, _ value: [UInt8]?, to base: inout [UInt8]
  ) throws(Malformation) {
    guard let value else { throw .componentAbsent(name) }
    base.append(contentsOf: value)
  }

  /// In lower case, without the port that the scheme implies (RFC 9421, section 2.2.3).
  private static func appendAuthority(of request: RequestView, to base: inout [UInt8]) {
    let authority = request.authority.utf8.map(\.lowerCased)
    let defaultPort = request.scheme.utf8.map(\.lowerCased).elementsEqual("https".utf8) ? ":443" : ":80"
    for port in [defaultPort, ":"] where authority.hasSuffix(port) {
      base.append(contentsOf: authority.dropLast(port.utf8.count))
      return
    }
    base.append(contentsOf: authority)
  }

  /// Up to the first `?`; an empty path is `/` (RFC 9421, section 2.2.6).
  private static func appendPath(of request: RequestView, to base: inout [UInt8]) {
    let path = request.pathAndQuery.prefix { $0 != UInt8(ascii: "?") }
    base.append(text: path)
    if path.isEmpty { base.append(UInt8(ascii: "/")) }
  }

  /// From the first `?`; an absent query is `?` (RFC 9421, section 2.2.7).
  private static func appendQuery(of request: RequestView, to base: inout [UInt8]) {
    let target = request.target.utf8
    guard let start = target.firstIndex(of: UInt8(ascii: "?")) else {
      return base.append(UInt8(ascii: "?"))
    }
    base.append(text: target[start...])
  }
}

extension [UInt8] {
  fileprivate func hasSuffix(_ text: String) -> Bool { suffix(text.utf8.count).elementsEqual(text.utf8) }
}
