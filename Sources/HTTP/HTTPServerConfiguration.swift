/// What the server waits for and how much it takes. Every bound of the HTTP room is here.
public struct HTTPLimits: Sendable {
  /// Bytes of a request's line and header; more is 431 (or 414, where the target alone is longer).
  public var maximumHeaderBytes = 16 * 1024
  /// Lines of a request's header; more is 431. Each costs memory beside its bytes, of every connection.
  public var maximumFieldLines = 64
  /// Bytes of a request's content; more is 413.
  public var maximumBodyBytes = 64 * 1024
  /// Of a body that is too large, bytes that are read and thrown away, so that the answer reaches its sender.
  public var maximumDiscardedBytes = 1024 * 1024
  /// Time a request has to arrive, from its first byte.
  public var arrivalTimeoutMilliseconds = 30_000
  /// Time a client has to take its answer.
  public var answerTimeoutMilliseconds = 120_000
  /// How often connections are looked over for the two above, which are kept to within twice this.
  public var sweepIntervalMilliseconds = 2_000
  /// Time a connection may be silent.
  public var idleTimeoutSeconds = 75
  /// When the server shuts down, time that a new connection still has to begin its first request.
  public var firstRequestGraceMilliseconds = 500
  /// Open connections of one event loop; further ones wait in the backlog until one ends.
  public var maximumConnectionsPerLoop = 16_384
  /// Connections that the system keeps until the loop takes them.
  public var listenBacklog = 1024

  public init() {}
}

/// What answers requests.
public protocol Responder: Sendable {
  /// Runs on the event loop that received the request, and is to answer in bounded time.
  func respond(to request: Request) async -> Response

  /// The answer to what is not a proper request. The connection is closed behind it.
  func refuse(_ refusal: Refusal, requestID: String) -> Response
}
