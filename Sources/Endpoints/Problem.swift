internal import HTTP
internal import Registry

/// Why a request was not answered as it wished, in words for its sender (RFC 9457).
///
/// A reference, because every step of a request may throw one, and each has room for it for as long as it waits.
struct Problem: Error {
  private let content: Content

  private final class Content: Sendable {
    let kind: ProblemKind
    let detail: String
    let errors: [FieldError]
    let fields: [(name: StaticString, value: String)]
    let serverTime: Timestamp?
    let standing: RateLimit.Standing?
    let cause: String?

    init(
      _ kind: ProblemKind, _ detail: String, _ errors: [FieldError],
      _ fields: [(name: StaticString, value: String)], _ serverTime: Timestamp?,
      _ standing: RateLimit.Standing?,
      _ cause: String?
    ) {
      (self.kind, self.detail, self.errors, self.fields) = (kind, detail, errors, fields)
      (self.serverTime, self.standing, self.cause) = (serverTime, standing, cause)
    }
  }

  init(
    kind: ProblemKind, detail: String, errors: [FieldError] = [],
    fields: [(name: StaticString, value: String)] = [], serverTime: Timestamp? = nil,
    standing: RateLimit.Standing? = nil, cause: String? = nil
  ) {
    content = Content(kind, detail, errors, fields, serverTime, standing, cause)
  }

  var kind: ProblemKind { content.kind }
  /// What was wrong here and what to do about it.
  var detail: String { content.detail }
  var errors: [FieldError] { content.errors }
  /// Header fields that the status asks for.
  var fields: [(name: StaticString, value: String)] { content.fields }
  /// The registry's time, for a device whose clock is wrong.
  var serverTime: Timestamp? { content.serverTime }
  /// Where the caller stands with a limit that was reached.
  var standing: RateLimit.Standing? { content.standing }
  /// For the log, and never in the answer.
  var cause: String? { content.cause }

  /// A value that is missing or wrong.
  struct FieldError: Hashable, Sendable {
    /// The name of a JSON member or a parameter; of a member of a member, `outer.inner`.
    let field: String
    /// Completes the sentence that the field begins.
    let message: String
  }

  static let contentType: StaticString = "application/problem+json"

  func response(requestID: String) -> Response {
    kind.isOAuth ? oauthResponse() : problemResponse(requestID: requestID)
  }

  /// As OAuth has it (RFC 6749, section 5.2).
  private func oauthResponse() -> Response {
    var json = JSONWriter(buffer: ByteBuffer(capacity: 256))
    json.object { json in
      json.member("error", kind.rawValue)
      json.member("error_description", detail)
    }
    return Response(
      status: kind.status, fields: fields + [("Pragma", "no-cache")], contentType: "application/json",
      body: json.buffer)
  }

  private func problemResponse(requestID: String) -> Response {
    var json = JSONWriter(buffer: ByteBuffer(capacity: 512))
    json.object { json in
      json.member("type", kind.type)
      json.member("title", kind.title)
      json.member("status", Int64(kind.status))
      json.member("detail", detail)
      json.member("request_id", requestID)
      if !errors.isEmpty { json.member("errors", errors) }
      if let serverTime { json.member("server_time", serverTime) }
    }
    return Response(
      status: kind.status, fields: fields, contentType: Self.contentType, body: json.buffer)
  }
}

extension Problem.FieldError: JSONWritable {
  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("field", field)
      json.member("message", message)
    }
  }
}

extension Problem {
  static let schema = Schema(
    name: "Problem",
    definition: [
      "type": "object",
      "description": "What went wrong (RFC 9457).",
      "required": ["type", "title", "status", "detail", "request_id"],
      "properties": [
        "type": [
          "type": "string", "format": "uri",
          "enum": .array(ProblemKind.allCases.filter { !$0.isOAuth }.map { .string($0.type) }),
        ],
        "title": ["type": "string"],
        "status": ["type": "integer", "minimum": 400, "maximum": 599],
        "detail": ["type": "string", "description": "What was wrong here, and what to do about it."],
        "request_id": ["type": "string", "minLength": 1, "maxLength": 128],
        "server_time": [
          "type": "string", "format": "date-time",
          "description": "The registry's time, with clock-skew.",
        ],
        "errors": [
          "type": "array",
          "minItems": 1,
          "items": [
            "type": "object",
            "required": ["field", "message"],
            "properties": ["field": ["type": "string"], "message": ["type": "string"]],
          ],
        ],
      ],
    ])
}

extension Problem {
  static let oauthSchema = Schema(
    name: "OAuthError",
    definition: [
      "type": "object",
      "description": "What went wrong, as OAuth has it (RFC 6749, section 5.2).",
      "required": ["error"],
      "properties": [
        "error": [
          "type": "string",
          "enum": .array(ProblemKind.allCases.filter(\.isOAuth).map { .string($0.rawValue) }),
        ],
        "error_description": ["type": "string"],
      ],
    ])
}
