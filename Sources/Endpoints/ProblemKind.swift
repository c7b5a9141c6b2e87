/// A kind of problem. An application declares each of its kinds once; `docs/problems.md` and the OpenAPI document are
/// generated from the declarations.
public struct ProblemKind: Hashable, Sendable {
  /// The last part of a problem's `type` (RFC 9457, section 3.1.1), or an OAuth error's `error`.
  public let slug: String
  public let status: Int
  /// The same for every problem of the kind.
  public let title: String
  /// What is wrong and what to do, for a problem without a more specific text.
  public let detail: String
  /// Whether the answer has the form of OAuth (RFC 6749, section 5.2), not of RFC 9457.
  public let isOAuth: Bool
  /// Whether it counts towards the rate limit of the caller's address.
  public let isCharged: Bool
  /// Whether the answer has `WWW-Authenticate`. Every 401 has it.
  public let isChallenge: Bool

  public init(
    _ slug: String, _ status: Int, _ title: String, _ detail: String, isOAuth: Bool = false,
    isCharged: Bool = false,
    isChallenge: Bool = false
  ) {
    (self.slug, self.status, self.title, self.detail) = (slug, status, title, detail)
    (self.isOAuth, self.isCharged, self.isChallenge) = (isOAuth, isCharged, isChallenge || status == 401)
  }
}

extension ProblemKind {
  /// `error` in the form of OAuth (RFC 6749, sections 4.1.2.1 and 5.2).
  var oauthError: String {
    switch status {
    case _ where isOAuth: slug
    case 429, 503: "temporarily_unavailable"
    case 500...: "server_error"
    default: "invalid_request"
    }
  }
}

// The kinds of the framework itself.
extension ProblemKind {
  public static let malformedRequest = ProblemKind(
    "malformed-request", 400, "The request breaks the rules of HTTP",
    "The request violates a rule of HTTP (RFC 9110, RFC 9112), which `detail` names; correct the "
      + "client or the proxy that sent it.")
  public static let malformedJSON = ProblemKind(
    "malformed-json", 400, "The body is not the JSON that is expected",
    "The body must be one JSON object in UTF-8, without repeated members; `detail` says where it is "
      + "not.")
  public static let invalidValue = ProblemKind(
    "invalid-value", 400, "A value is missing or wrong",
    "A member or parameter is missing, wrong, unknown or given twice; `errors` names each, and what "
      + "is allowed.")
  public static let pathNotFound = ProblemKind(
    "path-not-found", 404, "There is nothing at this path",
    "There is no such path; /openapi.json lists all paths.")
  public static let methodNotAllowed = ProblemKind(
    "method-not-allowed", 405, "The path does not support the method",
    "The path does not support the method; `Allow` lists those that it supports.")
  public static let contentTooLarge = ProblemKind(
    "content-too-large", 413, "The body is too large",
    "The body has more bytes than `detail` allows; send fewer signals, devices or acknowledgements at "
      + "a time.")
  public static let unsupportedMediaType = ProblemKind(
    "unsupported-media-type", 415, "The body has an unsupported media type",
    "Send the body as `Content-Type: application/json`, in UTF-8.")
}

extension Problem {
  // Path, method, size.

  static let pathNotFound = Problem(.pathNotFound)

  static let pathWithSlash = Problem(
    .pathNotFound, "There is no such path; send the request without the slash at the end.")

  static func methodNotAllowed(_ method: String, allow: String) -> Problem {
    Problem(
      .methodNotAllowed, "This path does not support \(method); it supports \(allow).",
      fields: [("Allow", allow)])
  }

  static func contentTooLarge(maximumBytes: Int) -> Problem {
    Problem(.contentTooLarge, "The body has more than \(maximumBytes) bytes; send at most that many.")
  }

  /// The client has usually disconnected.
  static let contentLost = Problem(
    .malformedRequest, "The request was refused: its content did not arrive as a whole.")

  // Media type and syntax.

  public static let unsupportedMediaType = Problem(.unsupportedMediaType)

  public static let unsupportedContentEncoding = Problem(
    .unsupportedMediaType, "Send the body as it is, without a Content-Encoding.")

  public static func malformedJSON(_ detail: String) -> Problem { Problem(.malformedJSON, detail) }

  public static func invalidValue(of field: String, _ message: String) -> Problem {
    invalidValues([FieldError(field: field, message: message)])
  }

  public static func notWithin(_ bounds: ClosedRange<Int>, _ field: String) -> Problem {
    invalidValue(of: field, "must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
  }

  public static func invalidValues(_ errors: [FieldError]) -> Problem {
    Problem(
      .invalidValue, errors.map { "`\($0.field)` \($0.message)" }.joined(separator: "; ") + ".",
      errors: errors)
  }
}
