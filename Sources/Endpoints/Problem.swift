public import HTTP

/// Why a request failed, as the answer says it (RFC 9457).
///
/// A class, because any stage of a request may throw it, and the frame of each suspended stage reserves space for it.
public struct Problem: Error {
  private let content: Content

  private final class Content: Sendable {
    let kind: ProblemKind
    let detail: String
    let errors: [FieldError]
    let fields: [(name: StaticString, value: String)]
    /// A nil value is null in the answer.
    let members: [(name: StaticString, value: String?)]
    let numbers: [(name: StaticString, value: Int)]
    let limit: String?
    let cause: String?
    let isExpected: Bool

    init(
      _ kind: ProblemKind, _ detail: String, _ errors: [FieldError],
      _ fields: [(name: StaticString, value: String)], _ members: [(name: StaticString, value: String?)],
      _ numbers: [(name: StaticString, value: Int)], _ limit: String?, _ cause: String?,
      _ isExpected: Bool
    ) {
      self.isExpected = isExpected
      self.numbers = numbers
      (self.kind, self.detail, self.errors, self.fields) = (kind, detail, errors, fields)
      (self.members, self.limit, self.cause) = (members, limit, cause)
    }
  }

  /// - Parameters:
  ///   - detail: what is wrong and what to do; nil for the kind's text.
  ///   - errors: the values that are missing or wrong.
  ///   - fields: the header fields that the status requires.
  ///   - members: further members of the answer (RFC 9457, section 3.2); nil for null.
  ///   - numbers: further members that are numbers.
  ///   - limit: the name of the rate limit that was reached.
  ///   - cause: for the log. Answers never contain it.
  ///   - isExpected: whether the failure is no fault, and passes.
  public init(
    _ kind: ProblemKind, _ detail: String? = nil, errors: [FieldError] = [],
    fields: [(name: StaticString, value: String)] = [], members: [(name: StaticString, value: String?)] = [],
    numbers: [(name: StaticString, value: Int)] = [], limit: String? = nil, cause: String? = nil,
    isExpected: Bool = false
  ) {
    content = Content(
      kind, detail ?? kind.detail, errors, fields, members, numbers, limit, cause, isExpected)
  }

  public var kind: ProblemKind { content.kind }
  public var detail: String { content.detail }
  public var errors: [FieldError] { content.errors }
  /// The header fields that the status requires.
  public var fields: [(name: StaticString, value: String)] { content.fields }
  /// The name of the rate limit that was reached.
  public var limit: String? { content.limit }
  /// For the log. Answers never contain it.
  public var cause: String? { content.cause }
  /// Whether the failure is no fault, and passes.
  public var isExpected: Bool { content.isExpected }

  /// A value that is missing or wrong.
  public struct FieldError: Hashable, Sendable {
    /// The name of a parameter or a JSON member; `outer.inner` for a nested member.
    public let field: String
    /// The rest of a sentence that begins with the field.
    public let message: String

    public init(field: String, message: String) { (self.field, self.message) = (field, message) }
  }

  static let contentType: StaticString = "application/problem+json"

  /// - Parameter typeBase: the text before the kind's slug in `type`.
  public func response(requestID: String, typeBase: String) -> Response {
    kind.isOAuth ? oauthResponse() : problemResponse(requestID: requestID, typeBase: typeBase)
  }

  /// The answer in the form of OAuth (RFC 6749, section 5.2), with the status of the problem.
  public func oauthResponse() -> Response {
    var json = JSONWriter(buffer: ByteBuffer(capacity: 256))
    json.object { json in
      json.member("error", kind.oauthError)
      json.member("error_description", detail)
    }
    return Response(
      status: kind.status, fields: content.fields + [("Pragma", "no-cache")], contentType: "application/json",
      body: json.buffer)
  }

  private func problemResponse(requestID: String, typeBase: String) -> Response {
    var json = JSONWriter(buffer: ByteBuffer(capacity: 512))
    json.object { json in
      json.member("type", typeBase + kind.slug)
      json.member("title", kind.title)
      json.member("status", Int64(kind.status))
      json.member("detail", detail)
      json.member("request_id", requestID)
      if !errors.isEmpty { json.member("errors", errors) }
      for member in content.members { json.member(member.name, member.value) }
      for member in content.numbers { json.member(member.name, Int64(member.value)) }
    }
    return Response(
      status: kind.status, fields: content.fields, contentType: Self.contentType, body: json.buffer)
  }
}

extension Problem.FieldError: JSONObject {
  public static func describe(_ members: inout some Members<Self>) {
    members.add("field") { $0.field }
    members.add("message") { $0.message }
  }
}
