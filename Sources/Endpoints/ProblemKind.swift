/// A way in which a request can fail. An application declares each of its kinds once, and `docs/problems.md` and the
/// OpenAPI document are made of the declarations.
public struct ProblemKind: Hashable, Sendable {
  /// The last part of a problem's `type` (RFC 9457, section 3.1.1); of an error of OAuth, its `error`.
  public let slug: String
  public let status: Int
  /// The same for every problem of the kind.
  public let title: String
  /// Whether it is answered in the form of OAuth (RFC 6749, section 5.2), and not of RFC 9457.
  public let isOAuth: Bool
  /// Whether it counts against the limit on the caller's address.
  public let isCharged: Bool
  /// Whether the answer has `WWW-Authenticate`, as every 401 has.
  public let isChallenge: Bool

  public init(
    _ slug: String, _ status: Int, _ title: String, isOAuth: Bool = false, isCharged: Bool = false,
    isChallenge: Bool = false
  ) {
    (self.slug, self.status, self.title) = (slug, status, title)
    (self.isOAuth, self.isCharged, self.isChallenge) = (isOAuth, isCharged, isChallenge || status == 401)
  }
}

// What the framework answers without an application.
extension ProblemKind {
  public static let malformedRequest = ProblemKind(
    "malformed-request", 400, "The request breaks the rules of HTTP")
  public static let malformedJSON = ProblemKind(
    "malformed-json", 400, "The body is not the JSON that is expected")
  public static let invalidValue = ProblemKind("invalid-value", 400, "A value is missing or wrong")
  public static let pathNotFound = ProblemKind("path-not-found", 404, "There is nothing at this path")
  public static let methodNotAllowed = ProblemKind(
    "method-not-allowed", 405, "The path does not support the method")
  public static let contentTooLarge = ProblemKind("content-too-large", 413, "The body is too large")
  public static let unsupportedMediaType = ProblemKind(
    "unsupported-media-type", 415, "The body has an unsupported media type")
}

extension Problem {
  // Path, method, size.

  static let pathNotFound = Problem(
    .pathNotFound, "There is no such path; /openapi.json lists all paths.")

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

  /// The client is gone as a rule.
  static let contentLost = Problem(
    .malformedRequest, "The request was refused: its content did not arrive as a whole.")

  // Media type and syntax.

  public static let unsupportedMediaType = Problem(
    .unsupportedMediaType, "Send the body as `Content-Type: application/json`, in UTF-8.")

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
