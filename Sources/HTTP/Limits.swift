/// Every bound of the HTTP room: sizes, counts and times.
public struct HTTPLimits: Sendable {
  /// Bytes of a request's target and header fields; more is 431. The same bound is on a trailer section.
  public var maximumHeaderBytes = 16 * 1024
  /// Lines of a header or trailer section; more is 431.
  public var maximumFieldLines = 64
  /// Bytes of a request's content; more is 413.
  public var maximumBodyBytes = 64 * 1024
  /// Bytes of content that are read and discarded after an early answer, so that the connection can be used again. If
  /// more would follow, the connection ends: as many bytes again are discarded, and the rest is not read.
  public var maximumDiscardedBytes = 1024 * 1024
  /// Bytes of chunk-size lines and chunk extensions (RFC 9112, section 7.1), in addition to 8 for each byte of
  /// content; more is 400.
  public var maximumChunkOverheadBytes = 4096
  /// Bytes that are kept of pipelined requests after the one in progress. With more, the connection is not read until
  /// the answer is sent.
  public var maximumPipelinedBytes = 64 * 1024
  /// Bytes of answers to pipelined requests that are gathered before they are sent.
  public var maximumGatheredBytes = 64 * 1024
  /// Time for a request to arrive, from its first byte. Then 408.
  public var arrivalTimeoutMilliseconds = 30_000
  /// Time for a client to take its answer.
  public var answerTimeoutMilliseconds = 120_000
  /// Time a connection may be silent between requests.
  public var idleTimeoutMilliseconds = 75_000
  /// Time for a TLS handshake.
  public var handshakeTimeoutMilliseconds = 10_000
  /// TLS handshakes in progress on one event loop. A new one ends the oldest.
  public var maximumHandshakesPerLoop = 512
  /// Time in which further input is discarded after the last answer of a connection. Closing the connection at once
  /// could destroy that answer (RFC 9112, section 9.6).
  public var lingerTimeoutMilliseconds = 2_000
  /// Accuracy of the times above.
  public var deadlineTickMilliseconds = 250
  /// Time for a new connection to start its first request while the server shuts down.
  public var firstRequestGraceMilliseconds = 500
  /// Open connections of one event loop. A new one then replaces the one that has been idle longest, and waits in the
  /// backlog while none is idle.
  public var maximumConnectionsPerLoop = 65_536
  /// Open connections of one IPv4 address, or one /64 of IPv6, over all loops; more are closed at once. Trusted proxies
  /// are exempt.
  public var maximumConnectionsPerAddress = 32_768
  /// Connections with an unread request that are passed over in the search for an idle one to close.
  public var maximumSparedConnections = 8
  /// Bytes of answers that wait for the clients of one party to read. Beyond, its connections are closed on which nothing
  /// was read for `unreadCheckMilliseconds`. A party's only unread answer may be larger.
  public var maximumUnreadBytesPerParty = 8 * 1024 * 1024
  /// Time between two looks at whether a client reads its answer.
  public var unreadCheckMilliseconds = 5_000
  /// Bytes of answers that wait for clients to read; beyond, the party that has most loses its oldest connections.
  public var maximumUnreadBytes = 64 * 1024 * 1024
  /// Bytes of answers that the system keeps for a connection before they are sent, in addition to what was sent and not
  /// acknowledged.
  public var maximumUnsentBytes = 64 * 1024
  /// Connections that one event loop accepts before it does other work.
  public var maximumAcceptsPerPass = 64
  /// Pause of accepting when the system has no descriptor or memory for a connection.
  public var acceptPauseMilliseconds = 100
  /// Completed connections that wait in the system until the loop accepts them.
  public var listenBacklog = 1024

  public init() {}
}
