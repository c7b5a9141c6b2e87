internal import Encoding

/// The parameters of a query: `name=value` between `&`, percent-encoded (RFC 3986, section 3.4). A `+` is a `+`. As a
/// sequence, their names and values as they were received; to read them allocates nothing.
public struct QueryParameters: Sequence, IteratorProtocol, Sendable {
  private var rest: Substring.UTF8View

  /// Why a parameter cannot be read.
  public enum Failure: Error, Hashable, Sendable {
    case repeated
    case badEncoding
  }

  public init(_ query: Substring?) { rest = (query ?? "").utf8 }

  public mutating func next() -> (name: Substring.UTF8View, value: Substring.UTF8View)? {
    rest = rest.drop { $0 == UInt8(ascii: "&") }
    guard !rest.isEmpty else { return nil }
    let end = rest.firstIndex(of: UInt8(ascii: "&")) ?? rest.endIndex
    let pair = rest[..<end]
    rest = rest[end...]
    let nameEnd = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
    return (pair[..<nameEnd], pair[nameEnd...].dropFirst())
  }

  /// Whether the name of a parameter, as it was received, decodes to a text.
  public static func isName(_ name: Substring.UTF8View, _ text: String) -> Bool {
    // A name that cannot be decoded equals no text.
    name.contains(UInt8(ascii: "%"))
      ? PercentEncoding.decode(Substring(name)) == text : name.elementsEqual(text.utf8)
  }

  /// The value of a parameter, decoded; nil where it is absent.
  public func value(of name: String) throws(Failure) -> String? {
    var found: Substring.UTF8View?
    for pair in self where Self.isName(pair.name, name) {
      guard found == nil else { throw .repeated }
      found = pair.value
    }
    guard let found else { return nil }
    guard let value = PercentEncoding.decode(Substring(found)) else { throw .badEncoding }
    return value
  }
}
