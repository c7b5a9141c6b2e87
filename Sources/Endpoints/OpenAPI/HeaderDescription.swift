/// The description of a header field of answers in the OpenAPI document.
public struct HeaderDescription: Sendable {
  let name: String
  private let meaning: String
  private let isRequired: Bool
  private let isCommon: Bool
  private let schema: JSONValue

  /// - Parameter isCommon: whether the document describes it once, because it means the same everywhere.
  public init(
    name: String, meaning: String, isRequired: Bool, isCommon: Bool = true,
    schema: JSONValue = ["type": "string"]
  ) {
    (self.name, self.meaning, self.isRequired) = (name, meaning, isRequired)
    (self.isCommon, self.schema) = (isCommon, schema)
  }

  /// A reference to the description, or the description itself.
  var reference: JSONValue { isCommon ? ["$ref": .string("#/components/headers/" + name)] : json }

  var json: JSONValue {
    ["description": .string(meaning), "required": .boolean(isRequired), "schema": schema]
  }

  static let requestID = HeaderDescription(
    name: "X-Request-Id", meaning: "The request's own, or a new one.", isRequired: true,
    schema: ["type": "string", "minLength": 1, "maxLength": 128])
  static let cacheControl = HeaderDescription(
    name: "Cache-Control", meaning: "Do not store the answer.", isRequired: true,
    schema: ["type": "string", "enum": ["no-store", "no-store, no-transform"]])
  static let location = HeaderDescription(
    name: "Location", meaning: "The path of the new resource.", isRequired: true)
  static let link = HeaderDescription(
    name: "Link", meaning: "`rel=\"next\"`: the next page, while there is one (RFC 8288).", isRequired: false)
  static let vary = HeaderDescription(
    name: "Vary", meaning: "`Accept` decides on the media type of the answer.", isRequired: true)
  static let replayed = HeaderDescription(
    name: "Idempotency-Replayed", meaning: "`true`: an earlier request with the same key did this.",
    isRequired: false, schema: ["type": "string", "const": "true"])
  static let allow = HeaderDescription(
    name: "Allow", meaning: "The methods that the path supports.", isRequired: true)
  static let authenticate = HeaderDescription(
    name: "WWW-Authenticate", meaning: "How to authenticate, and what was wrong (RFC 6750).", isRequired: true)
  static let retryAfter = HeaderDescription(
    name: "Retry-After", meaning: "Seconds after which to try again.", isRequired: true,
    schema: ["type": "integer", "minimum": 0])
  public static let pragma = HeaderDescription(
    name: "Pragma", meaning: "For caches of HTTP/1.0 (RFC 6749, section 5.1).", isRequired: true,
    schema: ["type": "string", "const": "no-cache"])

  static let everywhere = [requestID, cacheControl]
  static let all = everywhere + [location, link, vary, replayed, allow, authenticate, retryAfter, pragma]

  /// The required fields of answers to kinds of one status.
  static func required(by kinds: [ProblemKind]) -> [HeaderDescription] {
    switch kinds.first?.status {
    case 405: [allow]
    case 429, 503: [retryAfter]
    default: kinds.allSatisfy(\.isChallenge) ? [authenticate] : []
    }
  }
}
