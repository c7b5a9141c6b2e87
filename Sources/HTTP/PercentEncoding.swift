/// Percent-encoding (RFC 3986, section 2.1).
public enum PercentEncoding {
  /// Decodes once. Nil where a `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
  public static func decode(_ text: Substring) -> String? {
    var text = text
    return text.withUTF8 { decode($0) }
  }

  static func decode(_ text: UnsafeBufferPointer<UInt8>) -> String? {
    guard text.contains(UInt8(ascii: "%")) else { return String(validating: text, as: UTF8.self) }
    var bytes: [UInt8] = []
    var rest = text.makeIterator()
    while let byte = rest.next() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.next().flatMap(nibble), let low = rest.next().flatMap(nibble) else { return nil }
      bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  /// Encodes all but the unreserved characters (RFC 3986, section 2.3).
  public static func encode(_ text: String) -> String {
    var encoded = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        encoded.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        encoded += digits.utf8.count == 1 ? "%0" : "%"
        encoded += digits
      }
    }
    return encoded
  }

  private static func nibble(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

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
    // A name that cannot be decoded is no name that anyone asks for.
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
