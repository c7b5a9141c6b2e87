/// Why a call of the registry failed. The description says what to do.
public enum RegistryClientError: Error, Hashable, Sendable {
  /// The registry's URL is none that can be used.
  case invalidURL(String)
  /// A value of the caller's is not of its form; nothing was sent.
  case invalidArgument(name: String, message: String)
  /// The file of a device's secret cannot be read.
  case secretFile(path: String, message: String)
  /// The closure that gives the owner's token threw.
  case tokenUnavailable(String)
  /// No connection, or one that broke, TLS included. What was asked may have been done.
  case unreachable(String)
  /// The server's certificate is not trusted, or there is no TLS with it.
  case untrusted(String)
  /// No answer in time. What was asked may have been done.
  case timedOut(seconds: Double)
  /// The task was cancelled.
  case cancelled
  /// The registry refused, and says why.
  case problem(Problem)
  /// An answer that the registry does not give: something else, a proxy for instance, answered.
  case unexpectedAnswer(status: Int, retryAfterSeconds: Int64?)
  /// A redirect, which is not followed: that would send a signature or a token elsewhere.
  case redirected(status: Int)
  /// The answer is not proven to be the registry's, and to this request. It must not be acted on.
  case notAuthentic(String)
  /// The answer is longer than an answer may be.
  case answerTooLarge(limitBytes: Int)
  /// The answer's JSON is not what the registry sends.
  case malformedAnswer(String)
}

extension RegistryClientError {
  /// Whether the same request may well succeed later, unchanged but for a new signature.
  public var isTransient: Bool {
    switch self {
    case .unreachable, .timedOut: true
    case .problem(let problem):
      // A nonce of ours is new. If the registry has seen it, then something on the way sent the request twice.
      Self.transientStatuses.contains(problem.status) || problem.kind == "replayed"
    case .unexpectedAnswer(let status, _): Self.transientStatuses.contains(status)
    case .invalidURL, .invalidArgument, .secretFile, .tokenUnavailable, .untrusted, .cancelled, .redirected,
      .notAuthentic, .answerTooLarge, .malformedAnswer:
      false
    }
  }

  /// Whether the registry certainly did not do what was asked, and may well do it later.
  var isRefusalForNow: Bool {
    switch self {
    case .problem(let problem): problem.status == 429 || problem.kind == "overloaded"
    default: false
    }
  }

  private static let transientStatuses: Set<Int> = [429, 500, 502, 503, 504]

  /// How long the registry asks to be left alone, in seconds.
  public var retryAfterSeconds: Int64? {
    switch self {
    case .problem(let problem): problem.retryAfterSeconds
    case .unexpectedAnswer(_, let seconds): seconds
    default: nil
    }
  }
}

extension RegistryClientError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidURL(let message): "the registry's URL cannot be used: \(message)"
    case .invalidArgument(let name, let message): "\(name) \(message)"
    case .secretFile(let path, let message): "the secret cannot be read from \(path): \(message)"
    case .tokenUnavailable(let message): "there is no token to show: \(message)"
    case .unreachable(let message): "the registry cannot be reached: \(message)"
    case .untrusted(let message): "the server is not trusted (\(message)); check the URL and the certificate"
    case .timedOut(let seconds): "no answer in \(seconds) s; try again"
    case .cancelled: "cancelled"
    case .problem(let problem): problem.description
    case .unexpectedAnswer(let status, _):
      "status \(status) without a problem document: is this the registry's URL, or did a proxy answer?"
    case .redirected(let status): "status \(status), a redirect, is not followed; give the registry's own URL"
    case .notAuthentic(let message):
      "\(message); it is ignored: check that the secret is this device's and that nothing changes answers"
    case .answerTooLarge(let limit): "the answer has more than \(limit) bytes, and is ignored"
    case .malformedAnswer(let message): "the answer is not what the registry sends: \(message)"
    }
  }
}
