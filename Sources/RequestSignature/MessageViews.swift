internal import Encoding

/// The parts of a request that a signature can cover. The receiver or the sender of the request fills it in.
public struct RequestView {
  /// As sent: methods are case-sensitive.
  public var method: String
  /// The request target as sent, not decoded.
  public var target: String
  /// `http` or `https`.
  public var scheme: String
  /// The host that clients address, with its port if it has one. Case and a default port do not matter.
  public var authority: String
  public var body: [UInt8]
  /// A field's value: its lines without white space around them, joined with `, ` (RFC 9421, section 2.1); nil if
  /// there are none. The name is in lower case.
  public var value: (_ name: String) -> [UInt8]?

  public init(
    method: String, target: String, scheme: String, authority: String, body: [UInt8] = [],
    value: @escaping (_ name: String) -> [UInt8]?
  ) {
    self.method = method
    self.target = target
    self.scheme = scheme
    self.authority = authority
    self.body = body
    self.value = value
  }

  /// - Parameter lines: the values of a field in the order of its lines, unchanged; empty if it is absent.
  public init(
    method: String, target: String, scheme: String, authority: String, body: [UInt8] = [],
    lines: @escaping (_ name: String) -> [String]
  ) {
    self.init(method: method, target: target, scheme: scheme, authority: authority, body: body) {
      joinedBytes(lines($0))
    }
  }
}

/// The parts of a response that a signature can cover.
public struct ResponseView {
  /// The status code.
  public var status: Int
  public var body: [UInt8]
  /// A field's value, as in `RequestView`.
  public var value: (_ name: String) -> [UInt8]?

  /// - Parameter lines: the values of a field in the order of its lines, unchanged; empty if it is absent. The name is
  ///   in lower case.
  public init(status: Int, body: [UInt8], lines: @escaping (_ name: String) -> [String]) {
    self.status = status
    self.body = body
    value = { joinedBytes(lines($0)) }
  }
}

extension RequestView {
  /// The target's path and query. A target in absolute form starts with a scheme and an authority (RFC 9112, section
  /// 3.2.2).
  var pathAndQuery: Substring.UTF8View {
    let target = target[...].utf8
    guard target.first != UInt8(ascii: "/") else { return target }
    guard let colon = target.firstIndex(where: { !$0.isLetter && !$0.isDigit }),
      target[colon...].starts(with: "://".utf8)
    else { return target }
    let authority = target[colon...].dropFirst("://".utf8.count)
    let end = authority.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
    return authority[(end ?? authority.endIndex)...]
  }

  /// Where the query starts, at the first `?`.
  var hasQuery: Bool { target.utf8.contains(UInt8(ascii: "?")) }
}

/// A field's value: its lines without white space around them, joined with `, ` (RFC 9421, section 2.1). Nil if there
/// are none.
private func joinedBytes(_ lines: [String]) -> [UInt8]? {
  guard let first = lines.first else { return nil }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(lines.reduce(0) { $0 + $1.utf8.count + 2 })
  bytes.append(text: trimmed(first))
  for line in lines.dropFirst() {
    bytes.append(literal: ", ")
    bytes.append(text: trimmed(line))
  }
  return bytes
}

/// The line without white space around it.
private func trimmed(_ line: String) -> Substring.UTF8View {
  var bytes = line[...].utf8
  while bytes.first?.isBlank == true { bytes.removeFirst() }
  while bytes.last?.isBlank == true { bytes.removeLast() }
  return bytes
}

extension [UInt8] {
  /// Appends a literal at once. The standard library appends a `utf8` view almost byte by byte.
  mutating func append(literal text: StaticString) {
    text.withUTF8Buffer { append(contentsOf: $0) }
  }

  mutating func append(text: String) {
    var text = text
    text.withUTF8 { append(contentsOf: $0) }
  }

  /// Appends part of a string at once. The standard library does so only for whole strings.
  mutating func append(text: Substring.UTF8View) {
    guard text.withContiguousStorageIfAvailable({ append(contentsOf: $0) }) != nil else {
      return append(contentsOf: text)
    }
  }
}
