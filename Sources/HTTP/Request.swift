/// A request that has arrived as a whole, and whose framing (RFC 9112) was tested.
public struct Request: Sendable {
  /// The request's own `X-Request-Id` where it is 1 to 128 visible ASCII characters, else a new one.
  public let id: String
  /// As it was received; methods are case-sensitive (RFC 9110, section 9.1).
  public let method: String
  /// The request target as it was received, not decoded; visible ASCII.
  public let target: String
  /// The target before the first `?`.
  public let path: Substring
  /// The target behind the first `?`; nil where there is none, empty where nothing follows it.
  public let query: Substring?
  public let fields: HeaderFields
  public let body: Body
  /// Where it comes from: the connection's peer, or who a trusted proxy says that it is (`TrustedProxies`).
  public let client: IPAddress

  /// The content, once all of it is here.
  public enum Body: Sendable {
    case complete([UInt8])
    /// There was more than the server takes. None of it was kept.
    case tooLarge
  }

  package init(
    id: String, method: String, target: String, fields: HeaderFields, body: Body, client: IPAddress
  ) {
    self.id = id
    self.method = method
    self.target = target
    self.fields = fields
    self.body = body
    self.client = client
    let mark = target.utf8.firstIndex(of: UInt8(ascii: "?"))
    path = target[..<(mark ?? target.endIndex)]
    query = mark.map { target[target.utf8.index(after: $0)...] }
  }

  /// The values of a field in the order of its lines, each as it was received. The name is in lower case.
  public func values(of name: StaticString) -> [String] { fields.values(of: name) }

  /// The value of a field that has one line; nil where it is absent. Where there are several, they are joined
  /// with `, ` (RFC 9110, section 5.2).
  public func value(of name: StaticString) -> String? {
    fields.combinedValue(of: name).map { String(decoding: $0, as: UTF8.self) }
  }
}
