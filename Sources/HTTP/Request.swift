/// A request that has arrived as a whole, and whose framing (RFC 9112) was tested.
///
/// `@unchecked Sendable`: it is made, read and let go on one event loop; the task that answers it prefers that
/// loop and runs nowhere else.
public final class Request: @unchecked Sendable {
  /// The request's own `X-Request-Id` where it is 1 to 128 visible ASCII characters, else a new one.
  public let id: String
  /// As it was received; methods are case-sensitive (RFC 9110, section 9.1).
  public let method: String
  /// The request target as it was received, not decoded; visible ASCII.
  public let target: String
  public let body: Body
  private let fields: [Field]

  /// The content, once all of it is here.
  public enum Body: Sendable {
    case complete([UInt8])
    /// There was more than the server takes. None of it was kept.
    case tooLarge
  }

  /// A header field: its name in lower case, and its value.
  struct Field: Sendable {
    let name: String
    let value: String
  }

  init(id: String, method: String, target: String, fields: [Field], body: Body) {
    self.id = id
    self.method = method
    self.target = target
    self.fields = fields
    self.body = body
  }

  /// The target before the first `?`.
  public var path: Substring { target.prefix { $0 != "?" } }

  /// The target behind the first `?`; nil where there is none, empty where nothing follows it.
  public var query: Substring? {
    target.firstIndex(of: "?").map { target[target.index(after: $0)...] }
  }

  /// The values of a field in the order of its lines, each as it was received. The name is in lower case.
  public func values(of name: String) -> [String] {
    fields.filter { $0.name == name }.map(\.value)
  }

  /// The value of a field that has one line; nil where it is absent. Where there are several, they are joined
  /// with `, ` (RFC 9110, section 5.2).
  public func value(of name: String) -> String? {
    let values = values(of: name)
    return values.count > 1 ? values.joined(separator: ", ") : values.first
  }
}
