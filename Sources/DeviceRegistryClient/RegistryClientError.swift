/// Why a call failed. The description says what to do.
public enum RegistryClientError: Error, Hashable, Sendable {
  /// The registry's URL cannot be used.
  case invalidURL(String)
  /// An argument is malformed; nothing was sent.
  case invalidArgument(name: String, message: String)
  /// The file of a device's secret or an owner's token cannot be read.
  case secretFile(path: String, message: String)
  /// The closure that returns the owner's token threw.
  case tokenUnavailable(String)
  /// No connection, or a broken one. The request may have taken effect.
  case unreachable(String)
  /// The server's certificate is not trusted.
  case untrusted(String)
  /// No answer in time. The request may have taken effect.
  case timedOut(seconds: Double)
  /// The task was cancelled.
  case cancelled
  /// The registry refused the request.
  case problem(Problem)
  /// Events after the cursor were deleted by the retention, or the database was replaced by an older one. Read the
  /// present state, and begin again without the cursor.
  case cursorExpired(Problem)
  /// The answer is not the registry's: for example, a proxy answered.
  case unexpectedAnswer(status: Int, retryAfterSeconds: Int64?)
  /// A redirect. It is not followed, because that would send a signature or a token elsewhere.
  case redirected(status: Int)
  /// The answer's signature does not prove that it is the registry's answer to this request. Do not use it.
  case notAuthentic(String)
  /// The answer exceeds the limit.
  case answerTooLarge(limitBytes: Int)
  /// The answer's JSON is not of the expected form.
  case malformedAnswer(String)
}

extension RegistryClientError {
  /// Whether the same request may succeed later, with a new signature.
  public var isTransient: Bool {
    switch self {
    case .unreachable, .timedOut: true
    case .problem(let problem):
      // Our nonces are new. If the registry has seen one, something on the network sent the request twice.
      Self.transientStatuses.contains(problem.status) || problem.kind == "replayed"
    case .unexpectedAnswer(let status, _): Self.transientStatuses.contains(status)
    case .invalidURL, .invalidArgument, .secretFile, .tokenUnavailable, .untrusted, .cancelled, .cursorExpired,
      .redirected, .notAuthentic, .answerTooLarge, .malformedAnswer:
      false
    }
  }

  /// Whether the registry certainly did nothing, and may do it later.
  var isRefusalForNow: Bool {
    switch self {
    case .problem(let problem): problem.status == 429 || problem.kind == "overloaded"
    default: false
    }
  }

  /// Whether a request with the same idempotency key has not ended.
  var isInProgress: Bool {
    if case .problem(let problem) = self { problem.kind == "idempotency-in-progress" } else { false }
  }

  /// Whether the device is suspended until a time.
  var isSuspensionWithEnd: Bool {
    if case .problem(let problem) = self {
      problem.kind == "device-suspended" && problem.until != nil
    } else {
      false
    }
  }

  private static let transientStatuses: Set<Int> = [429, 500, 502, 503, 504]

  /// The seconds to wait before the next request.
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
    case .secretFile(let path, let message): "cannot read \(path): \(message)"
    case .tokenUnavailable(let message): "no token is available: \(message)"
    case .unreachable(let message): "cannot reach the registry: \(message)"
    case .untrusted(let message):
      "the server's certificate is not trusted (\(message)); check the URL, and the certificates to trust "
        + "(--ca-file or SSL_CERT_FILE; in Swift: caFile)"
    case .timedOut(let seconds): "no answer in \(seconds) s; try again"
    case .cancelled: "cancelled"
    case .problem(let problem), .cursorExpired(let problem): problem.description
    case .unexpectedAnswer(let status, _):
      "status \(status) without a problem document: is this the registry's URL, or did a proxy answer?"
    case .redirected(let status):
      "status \(status), is a redirect, which is not followed; use the registry's own URL"
    case .notAuthentic(let message):
      "\(message); the answer is ignored: check that the secret is this device's and that no proxy changes answers"
    case .answerTooLarge(let limit): "the answer has more than \(limit) bytes and is ignored"
    case .malformedAnswer(let message): "the answer is not what the registry sends: \(message)"
    }
  }
}
