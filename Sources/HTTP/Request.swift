public import Encoding
internal import Glibc

/// A request whose header section has arrived and was checked (RFC 9112).
///
/// `@unchecked Sendable`: everything except `body` is constant, and `body` changes only on the loop of its connection,
/// where its handler runs.
public final class Request: @unchecked Sendable {
  /// The request's own `X-Request-Id` if it is 1 to 128 visible ASCII characters, else a new one.
  public let id: String
  let head: RequestHead
  /// The client's address: the connection's peer, or the client that a trusted proxy names (`TrustedProxies`).
  public let client: IPAddress
  /// The content, as far as it has arrived.
  public private(set) var body: Body
  private let connection: (any ContentSource)?

  /// As it was received; methods are case-sensitive (RFC 9110, section 9.1).
  public var method: String { head.method }
  /// The request target as it was received, not decoded; visible ASCII. A path and a query, with OPTIONS also `*`, or
  /// the same after our own scheme and authority (RFC 9112, section 3.2).
  public var target: String { head.target }
  /// The target's path.
  public var path: Substring { head.path }
  /// The part after the target's first `?`; nil without a `?`.
  public var query: Substring? { head.query }
  public var fields: HeaderFields { head.fields }

  /// The content of a request.
  public enum Body: Hashable, Sendable {
    case complete([UInt8])
    /// It exceeds the limit. None of it was kept.
    case tooLarge(maximumBytes: Int)
    /// The client waits for 100 (Continue) before it sends the content (RFC 9110, section 10.1.1): call
    /// `receiveContent`.
    case expected
    /// The connection ended, or the content was malformed, before all of it arrived. No answer will reach the client.
    case lost
  }

  /// A request that no client sent.
  package init(
    id: String, method: String, target: String, fields: HeaderFields, body: Body, client: IPAddress
  ) {
    (self.id, self.body, self.client) = (id, body, client)
    head = RequestHead(method: method, target: target, fields: fields)
    connection = nil
  }

  /// - Parameter connection: requests the content if the client waits for 100.
  init(
    id: String, head: RequestHead, body: Body, client: IPAddress, connection: any ContentSource
  ) {
    (self.id, self.head, self.body, self.client) = (id, head, body, client)
    if case .expected = body { self.connection = connection } else { self.connection = nil }
  }

  /// Waits until the content has arrived. Sends 100 (Continue) to a client that waits for it, so answers that need no
  /// content must be made before. Call it on the loop of the request.
  public func receiveContent() async {
    guard case .expected = body, let connection else { return }
    await connection.receiveContent()
    // It is no longer expected.
    if case .expected = body { body = .lost }
  }

  /// Overwrites and forgets the content, from which a secret was read. Copies that are still referenced stay.
  public func wipeContent() {
    guard case .complete(var bytes) = body else { return }
    body = .complete([])
    bytes.withUnsafeMutableBytes { if let start = $0.baseAddress { explicit_bzero(start, $0.count) } }
  }

  /// The expected content has arrived, or is lost.
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

/// Requests the content from a client that waits for 100 (Continue).
protocol ContentSource: AnyObject {
  /// Sends 100 (Continue), and waits until the content has arrived or is lost.
  func receiveContent() async
}
