public import Encoding
internal import Endpoints
internal import HTTP
public import Registry

/// An authenticated caller.
public enum ProvedCaller: Hashable, Sendable {
  /// The bearer of a token with this subject: an owner, or an administrator.
  case client(ClientID)
  case device(DeviceID)
}

/// A request and its answer, for the log and the metrics. It contains no secret; only the ids and the cause can
/// contain text of the sender.
public struct AnsweredRequest: Hashable, Sendable {
  /// The request's `X-Request-Id`.
  public let requestID: String
  /// The route's path with parameters in braces, never the request's path; `/console/` for its pages;
  /// `none` if no route matches.
  public let route: String
  /// The method if RFC 9110 or RFC 5789 defines it, otherwise `other`.
  public let method: String
  /// The answer's HTTP status.
  public let status: Int
  /// From the moment the server passes the request to the API until the answer is complete, without sending it.
  public let durationNanoseconds: UInt64
  /// Whether requests like this one are repeated by machines: devices and probes.
  public let isRoutine: Bool
  /// Nil if the caller is not authenticated.
  public let caller: ProvedCaller?
  /// The client's address; nil if the request was refused before it was parsed.
  public let address: IPAddress?
  /// Nil if the request has no valid `traceparent`.
  public let traceID: TraceID?
  /// The slug of the answer's problem, for example `device-not-found`.
  public let problem: String?
  /// The subject of the rate limit that refused the request.
  public let limit: RateLimit.Subject?
  /// The internal cause of a failure, for the log. Answers never contain it.
  public let cause: String?
  /// Whether the failure is no fault, and passes: after a start, requests are refused that may have been used before.
  public let isExpected: Bool
}

extension AnsweredRequest {
  static let noRoute = "none"
  static let otherMethod = "other"
  private static let methods = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
  ]

  /// - Parameter operation: nil if no route matches.
  init(_ request: Request, at operation: Operation?, _ outcome: Outcome, duration: Duration) {
    self.init(
      requestID: request.id, route: operation?.path ?? outcome.page ?? Self.noRoute,
      method: Self.methods.first { $0 == request.method } ?? Self.otherMethod,
      status: outcome.response.status, durationNanoseconds: duration.nanoseconds,
      isRoutine: operation?.access.isRoutine ?? (outcome.page != nil), caller: outcome.caller,
      address: request.client,
      traceID: TraceID(of: request),
      problem: outcome.problem?.kind.slug,
      limit: outcome.problem?.limit.flatMap(RateLimit.Subject.init), cause: outcome.problem?.cause,
      isExpected: outcome.problem?.isExpected ?? false)
  }

  /// A request that was refused before it was parsed: its method is unknown, and its duration negligible.
  init(refusedAs requestID: String, _ outcome: Outcome) {
    self.init(
      requestID: requestID, route: Self.noRoute, method: Self.otherMethod, status: outcome.response.status,
      durationNanoseconds: 0, isRoutine: false, caller: nil, address: nil, traceID: nil,
      problem: outcome.problem?.kind.slug,
      limit: outcome.problem?.limit.flatMap(RateLimit.Subject.init), cause: outcome.problem?.cause,
      isExpected: outcome.problem?.isExpected ?? false)
  }
}

extension Duration {
  /// Whole nanoseconds; 0 for a negative duration.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
  }
}
