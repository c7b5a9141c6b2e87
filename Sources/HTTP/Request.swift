/// A request whose header section has arrived and was tested (RFC 9112).
///
/// `@unchecked Sendable`: all but `body` is constant, and `body` changes on the loop of its connection alone, where its
/// handler runs.
public final class Request: @unchecked Sendable {
  /// The request's own `X-Request-Id` where it is 1 to 128 visible ASCII characters, else a new one.
  public let id: String
  let head: RequestHead
  /// Where it comes from: the connection's peer, or the client that a trusted proxy names (`TrustedProxies`).
  public let client: IPAddress
  /// The content, as far as it is known.
  public private(set) var body: Body
  private let connection: (any ContentSource)?

  /// As it was received; methods are case-sensitive (RFC 9110, section 9.1).
  public var method: String { head.method }
  /// The request target as it was received, not decoded; visible ASCII. A path and a query, with OPTIONS also `*`, or
  /// the same after our own scheme and authority (RFC 9112, section 3.2).
  public var target: String { head.target }
  /// The target's path.
  public var path: Substring { head.path }
  /// What follows the target's first `?`; nil without a `?`, empty where nothing follows it.
  public var query: Substring? { head.query }
  public var fields: HeaderFields { head.fields }

  /// The content of a request.
  public enum Body: Hashable, Sendable {
    case complete([UInt8])
    /// There was more than the server takes. None of it was kept.
    case tooLarge(maximumBytes: Int)
    /// The client waits for 100 (Continue) before it sends it (RFC 9110, section 10.1.1): ask for it with
    /// `receiveContent`.
    case expected
    /// The connection ended, or the content was malformed, before all of it was here. No answer will reach the client.
    case lost
  }

  /// A request that nobody sent.
  package init(
    id: String, method: String, target: String, fields: HeaderFields, body: Body, client: IPAddress
  ) {
    (self.id, self.body, self.client) = (id, body, client)
    head = RequestHead(method: method, target: target, fields: fields)
    connection = nil
  }

  /// - Parameter connection: sends for the content where the client waits for 100.
  init(
    id: String, head: RequestHead, body: Body, client: IPAddress, connection: any ContentSource
  ) {
    (self.id, self.head, self.body, self.client) = (id, head, body, client)
    if case .expected = body { self.connection = connection } else { self.connection = nil }
  }

  /// Waits until the content is here. Sends 100 (Continue) to a client that waits for it, so make an answer that needs
  /// no content before. Call it on the loop of the request.
  public func receiveContent() async {
    guard case .expected = body, let connection else { return }
    await connection.receiveContent()
    // It is not expected any more.
    if case .expected = body { body = .lost }
  }

  /// The content that was expected is here, or lost.
  func receive(_ content: Body) {
    if case .expected = body { body = content }
  }

  /// The values of a field in the order of its lines, each as it was received. The name is in lower case.
  public func values(of name: StaticString) -> [String] { fields.values(of: name) }

  /// The value of a field that has one line; nil where it is absent. Where there are several, they are joined
  /// with `, ` (RFC 9110, section 5.2).
  public func value(of name: StaticString) -> String? {
    fields.combinedValue(of: name).map { String(decoding: $0, as: UTF8.self) }
  }
}

/// Where the content comes from of which a client wants to be told that it is wanted.
protocol ContentSource: AnyObject {
  /// Tells the client to go on, and waits until its content is here or lost.
  func receiveContent() async
}
