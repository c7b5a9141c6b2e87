internal import HTTP

/// What happened on the wire, for the log and the metrics: told on the loop where it happened, which waits for
/// whoever listens. Nothing here is a secret, and labels are of small closed sets.
public enum APIEvent: Sendable {
  /// A request has its answer.
  case answered(AnsweredRequest)
  /// A failure of ours was answered.
  case failed(InternalFailure)
  /// A device is registered.
  case deviceRegistered
  /// A device that was good is cut off; not told of one that was revoked before.
  case deviceRevoked
  /// So many of the acks in one request came to this.
  case acknowledged(result: AckResult, count: Int)
}

/// What an ack came to.
public enum AckResult: String, CaseIterable, Hashable, Sendable {
  case placed, failed, skipped
  /// It named no signal of the device.
  case unknown
}

/// A request and its answer, as far as they are of a kind with others.
public struct AnsweredRequest: Hashable, Sendable {
  /// The request's `X-Request-Id`.
  public let requestID: String
  /// The path of the route, with parameters in braces, and never the path that was sent; `none` where no route
  /// was found.
  public let route: String
  /// The method where it is one of RFC 9110 or 5789, else `other`.
  public let method: String
  /// The answer's HTTP status.
  public let status: Int
  /// From the request's arrival, as a whole, until its answer was made; not the time that bytes travelled.
  public let durationNanoseconds: UInt64
}

extension AnsweredRequest {
  static let noRoute = "none"
  static let otherMethod = "other"
  private static let methods = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
  ]

  /// - Parameter route: nil where none was found.
  init(_ request: Request, route: String?, status: Int, duration: Duration) {
    self.init(
      requestID: request.id, route: route ?? Self.noRoute,
      method: Self.methods.first { $0 == request.method } ?? Self.otherMethod, status: status,
      durationNanoseconds: duration.nanoseconds)
  }

  /// What was refused before anything looked at it: its method may be none, and answering it takes no time.
  init(refusedAs requestID: String, status: Int) {
    self.init(
      requestID: requestID, route: Self.noRoute, method: Self.otherMethod, status: status,
      durationNanoseconds: 0)
  }
}

extension Duration {
  /// Whole nanoseconds; 0 for what is negative, which a clock that nobody sets does not tell.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
  }
}

/// What went wrong inside while a request was answered: for the log, and never in the answer.
public struct InternalFailure: Hashable, Sendable {
  /// The request's `X-Request-Id`.
  public let requestID: String
  /// The name of the problem that was answered, as `internal-error`.
  public let problem: String
  public let cause: String
}
