/// What the server waits for and how much it takes. Every bound of the HTTP room is here.
public struct HTTPLimits: Sendable {
  /// Bytes of a request's target and header fields; more is 431. The same bound is on a trailer section.
  public var maximumHeaderBytes = 16 * 1024
  /// Lines of a header or trailer section; more is 431.
  public var maximumFieldLines = 64
  /// Bytes of a request's content; more is 413.
  public var maximumBodyBytes = 64 * 1024
  /// Bytes of content that are read and thrown away after an early answer, so that the connection can go on. Where more
  /// would come, it ends; then as many bytes again are thrown away, and the rest is not read.
  public var maximumDiscardedBytes = 1024 * 1024
  /// Bytes of chunk-size lines and chunk extensions (RFC 9112, section 7.1) beside 8 for each byte of content; more is
  /// 400.
  public var maximumChunkOverheadBytes = 4096
  /// Bytes that are kept of the requests after the one that is being answered (pipelining). With more, the connection
  /// is not read until the answer is sent.
  public var maximumPipelinedBytes = 64 * 1024
  /// Bytes of answers to pipelined requests that are gathered before they are sent.
  public var maximumGatheredBytes = 64 * 1024
  /// Time a request has to arrive, from its first byte. Then 408.
  public var arrivalTimeoutMilliseconds = 30_000
  /// Time a client has to take its answer.
  public var answerTimeoutMilliseconds = 120_000
  /// Time a connection may be silent between requests.
  public var idleTimeoutMilliseconds = 75_000
  /// Time a TLS handshake has.
  public var handshakeTimeoutMilliseconds = 10_000
  /// TLS handshakes under way on one event loop. One more ends the oldest.
  public var maximumHandshakesPerLoop = 512
  /// Time in which what a client still sends is thrown away after the last answer of its connection. To close the
  /// connection at once could destroy that answer (RFC 9112, section 9.6).
  public var lingerTimeoutMilliseconds = 2_000
  /// The times above are kept to within this.
  public var deadlineTickMilliseconds = 250
  /// When the server shuts down, time that a new connection still has to begin its first request.
  public var firstRequestGraceMilliseconds = 500
  /// Open connections of one event loop; further ones wait in the backlog until one ends.
  public var maximumConnectionsPerLoop = 65_536
  /// Connections that one event loop accepts before it turns to its other work.
  public var maximumAcceptsPerPass = 64
  /// Time without accepting, where the system has no descriptor or memory left for a connection.
  public var acceptPauseMilliseconds = 100
  /// Connections that the system keeps until the loop takes them.
  public var listenBacklog = 1024

  public init() {}
}
