internal import Endpoints
internal import HTTP

/// The origins whose pages may call the API from a browser (CORS: https://fetch.spec.whatwg.org/#http-cors-protocol).
///
/// Pages send tokens themselves. The API uses no cookies, so it does not allow credentials.
public struct CrossOrigin: Sendable {
  /// As in the field `Origin`; nil for every origin.
  private let origins: Set<String>?

  /// Seconds for which a browser may remember the answer to a preflight request; Chromium's maximum.
  static let maximumAgeSeconds = 7200
  /// The fields that a page may send, in addition to those that browsers always allow.
  static let requestFields =
    "Authorization, Content-Digest, Content-Type, Idempotency-Key, Signature, Signature-Input, Traceparent, "
    + "X-Request-Id"
  /// The fields that a page may read, in addition to those that browsers always show.
  static let responseFields =
    "Content-Digest, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, Signature, "
    + "Signature-Input, WWW-Authenticate, X-Request-Id"

  /// Allows every origin.
  public static let any = CrossOrigin(origins: nil)

  /// - Parameter origins: as browsers write them: scheme and host in lower case, without the scheme's default port.
  public init(origins: Set<String>) { self.init(origins: Optional(origins)) }

  private init(origins: Set<String>?) { self.origins = origins }

  /// The answer to a preflight request of an allowed origin; nil for other requests.
  func preflight(_ request: Request, methods: String) -> Response? {
    guard request.method == "OPTIONS", request.value(of: "access-control-request-method") != nil,
      allowed(request.value(of: "origin")) != nil
    else { return nil }
    return Response(
      status: 204,
      fields: [
        ("Access-Control-Allow-Methods", methods), ("Access-Control-Allow-Headers", Self.requestFields),
        ("Access-Control-Max-Age", String(Self.maximumAgeSeconds)),
      ])
  }

  /// Lets the page that sent the request read the answer.
  func permit(_ response: Response, to request: Request) {
    if origins != nil { response.fields.append(("Vary", "Origin")) }
    guard let origin = allowed(request.value(of: "origin")) else { return }
    response.fields.append(("Access-Control-Allow-Origin", origin))
    response.fields.append(("Access-Control-Expose-Headers", Self.responseFields))
  }

  /// The value of `Access-Control-Allow-Origin`; nil if the origin is absent or not allowed.
  private func allowed(_ origin: String?) -> String? {
    guard let origin else { return nil }
    guard let origins else { return "*" }
    return origins.contains(origin) ? origin : nil
  }
}
