/// An answer to a request.
///
/// Not Sendable: it is made and sent on one event loop. A class, because it is passed on several times.
public final class Response {
  public var status: Int
  /// Field names in their usual spelling and their values, in addition to those that the server adds to every answer:
  /// `Date`, `Content-Length`, `Connection`, `X-Request-Id` and `Cache-Control`.
  public var fields: [(name: StaticString, value: String)]
  public var contentType: StaticString?
  public var body: ByteBuffer?
  /// The value of `Cache-Control`.
  public var cacheControl: StaticString = "no-store"
  /// The party whose bound of unread bytes the answer counts for (`HTTPLimits.maximumUnreadBytesPerParty`), any number
  /// that the responder chooses; nil for the client's address.
  public var party: Int?
  /// Whether the connection ends with this answer.
  public var closesConnection = false

  public init(
    status: Int, fields: [(name: StaticString, value: String)] = [], contentType: StaticString? = nil,
    body: ByteBuffer? = nil
  ) {
    self.status = status
    self.fields = fields
    self.contentType = contentType
    self.body = body
  }
}

/// Answers requests.
public protocol Responder: Sendable {
  /// Runs on the event loop that received the request, and must answer in bounded time. Its task is cancelled when the
  /// client hangs up.
  func respond(to request: Request) async -> Response

  /// The answer to a request that the HTTP room refuses. The connection closes after it.
  func refuse(_ refusal: Refusal, requestID: String) -> Response
}
