internal import Endpoints
public import HTTP
public import Registry

/// Who sent a request, where that was proved.
public enum ProvedCaller: Hashable, Sendable {
  /// The bearer of a token with this subject: an owner, or an administrator.
  case client(ClientID)
  case device(DeviceID)
}

/// A request and its answer, for the log and the metrics. Nothing here is a secret, and nothing but ids and a cause comes
/// from a sender.
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
  /// Whether requests like this one are repeated by machines: devices and probes.
  public let isRoutine: Bool
  /// Nil where the caller was not authenticated.
  public let caller: ProvedCaller?
  /// Where the request comes from; nil where it was refused before anybody looked.
  public let address: IPAddress?
  /// Nil where the request had no `traceparent`, or none that is valid.
  public let traceID: TraceID?
  /// The name of the problem that was answered, as `device-not-found`; nil where there was none.
  public let problem: String?
  /// Of a request that was refused because a limit was reached, whom that is on; else nil.
  public let limit: RateLimit.Subject?
  /// What went wrong inside: for the log, and never in an answer.
  public let cause: String?
}

extension AnsweredRequest {
  static let noRoute = "none"
  static let otherMethod = "other"
  private static let methods = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
  ]

  /// - Parameter operation: nil where none was found.
  init(_ request: Request, at operation: Operation?, _ outcome: Outcome, duration: Duration) {
    self.init(
      requestID: request.id, route: operation?.path ?? Self.noRoute,
      method: Self.methods.first { $0 == request.method } ?? Self.otherMethod,
      status: outcome.response.status, durationNanoseconds: duration.nanoseconds,
      isRoutine: operation?.access.isRoutine ?? false, caller: outcome.caller, address: request.client,
      traceID: TraceID(of: request),
      problem: outcome.problem?.kind.slug,
      limit: outcome.problem?.limit.flatMap(RateLimit.Subject.init), cause: outcome.problem?.cause)
  }

  /// What was refused before anything looked at it: its method may be none, and answering it takes no time.
  init(refusedAs requestID: String, _ outcome: Outcome) {
    self.init(
      requestID: requestID, route: Self.noRoute, method: Self.otherMethod, status: outcome.response.status,
      durationNanoseconds: 0, isRoutine: false, caller: nil, address: nil, traceID: nil,
      problem: outcome.problem?.kind.slug,
      limit: outcome.problem?.limit.flatMap(RateLimit.Subject.init), cause: outcome.problem?.cause)
  }
}

extension Duration {
  /// Whole nanoseconds; 0 for a negative duration, which a monotonic clock does not measure.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
  }
}
