/// What the OpenAPI document says of a header field of answers.
struct HeaderDescription: Sendable {
  let name: String
  let meaning: String
  let isRequired: Bool
  /// Whether it means the same wherever it is, and so is described once for all.
  var isCommon = true
  var schema: JSONValue = ["type": "string"]

  /// Where it is described.
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
    name: "Location", meaning: "The path of what was created.", isRequired: true)
  static let link = HeaderDescription(
    name: "Link", meaning: "`rel=\"next\"`: the next page, while there is one (RFC 8288).", isRequired: false)
  static let allow = HeaderDescription(
    name: "Allow", meaning: "The methods that the path takes.", isRequired: true)
  static let authenticate = HeaderDescription(
    name: "WWW-Authenticate", meaning: "How to authenticate, and what was wrong (RFC 6750).", isRequired: true)
  static let retryAfter = HeaderDescription(
    name: "Retry-After", meaning: "Seconds after which to try again.", isRequired: true,
    schema: ["type": "integer", "minimum": 0])

  static let retryAfterParking = HeaderDescription(
    name: "Retry-After", meaning: "Seconds after which to try again, where too many polls waited already.",
    isRequired: false, isCommon: false, schema: ["type": "integer", "minimum": 0])
  static let pragma = HeaderDescription(
    name: "Pragma", meaning: "For caches of HTTP/1.0 (RFC 6749, section 5.1).", isRequired: true,
    schema: ["type": "string", "const": "no-cache"])
  static let contentDigest = HeaderDescription(
    name: "Content-Digest", meaning: "Of a signed answer, the body's digest (RFC 9530).", isRequired: false)
  static let signatureInput = HeaderDescription(
    name: "Signature-Input", meaning: "Of a signed answer, what the signature covers (RFC 9421).",
    isRequired: false)
  static let signature = HeaderDescription(
    name: "Signature",
    meaning: "Of a signed answer, HMAC-SHA-256 of the signature base under the secret's ServerKey (RFC 9421).",
    isRequired: false)

  /// What the answer to a signed request has, once its nonce is stored.
  static let signed = [contentDigest, signatureInput, signature]

  static let rateLimitPolicy = HeaderDescription(
    name: "RateLimit-Policy",
    meaning:
      "Where a limit applied: whom it is on (`client`, `device` or `address`), `q` requests in `w` seconds (draft-ietf-httpapi-ratelimit-headers).",
    isRequired: false)
  static let rateLimitStanding = HeaderDescription(
    name: "RateLimit",
    meaning:
      "Where a limit applied: `r` requests are left, and in `t` seconds all are there again (draft-ietf-httpapi-ratelimit-headers).",
    isRequired: false)

  /// What answers have to whom a limit applied.
  static let rateLimit = [rateLimitPolicy, rateLimitStanding]

  static let everywhere = [requestID, cacheControl]
  static let all = everywhere + [location, link, allow, authenticate, retryAfter, pragma] + rateLimit + signed

  /// What answers of a status must have. A 403 has a challenge only where a scope is missing.
  static func required(with status: Int, by kinds: [ProblemKind]) -> [HeaderDescription] {
    switch status {
    case 401: [authenticate]
    case 403: kinds == [.insufficientScope] ? [authenticate] : []
    case 405: [allow]
    case 429, 503: [retryAfter]
    default: []
    }
  }
}
