internal import HTTP
internal import Registry
internal import RequestSignature

// What leads to which problem, and the words for it.

extension Problem {
  /// The one table from the registry's errors to answers.
  init(_ error: RegistryError) {
    switch error {
    case .invalid(let field, let message):
      self = .invalidValue(of: field, message)
    case .signatureInvalid:
      self.init(
        kind: .signatureInvalid,
        detail:
          "The signature does not verify: unknown device, wrong secret, or a request that was changed after it was "
          + "signed.",
        fields: [Self.bearerChallenge])
    case .replayed:
      self.init(
        kind: .replayed, detail: "The device used this nonce before; sign each request with a new one.",
        fields: [Self.bearerChallenge])
    case .tokenInvalid:
      self = .tokenInvalid(
        "it is unknown, or it has expired or was revoked; request a new one at /api/v1/device/token")
    case .clientNotFound:
      self.init(kind: .clientNotFound, detail: "No client is registered under this id; add it first.")
    case .deviceNotFound:
      self.init(kind: .deviceNotFound, detail: "No device has this id; list your devices to see theirs.")
    case .notOwner:
      self.init(kind: .notOwner, detail: "The device belongs to another client; use a token of that client.")
    case .signalNotFound:
      self.init(kind: .signalNotFound, detail: "No signal has this id, or it expired long ago.")
    case .notSignalOwner:
      self.init(kind: .notOwner, detail: "The signal belongs to another client; use a token of that client.")
    case .clientIDTaken:
      self.init(kind: .clientIDTaken, detail: "Another client has this id; choose another, or leave it out.")
    case .clientEmailTaken:
      self.init(kind: .clientEmailTaken, detail: "Another client has this e-mail address.")
    case .deviceNameTaken:
      self.init(
        kind: .deviceNameTaken,
        detail: "Another of the client's devices has this name; choose another, or revoke that device.")
    case .deviceRevoked:
      self.init(
        kind: .deviceRevoked, detail: "The device is revoked, for good; register a new one in its place.")
    case .tooManyDevices(let limit):
      self.init(
        kind: .tooManyDevices,
        detail: "A client may have \(limit) devices, revoked ones included, and this one has them.")
    case .tooManySignals(let limit):
      self.init(
        kind: .tooManySignals,
        detail: "A client may have \(limit) signals that have not expired, and this one has them.")
    case .rateLimited(let standing):
      self.init(
        kind: .tooManyRequests, detail: Self.detail(of: standing),
        fields: [("Retry-After", String(standing.retryAfterSeconds ?? 1))], standing: standing)
    case .tooManyTokens(let retryAfterSeconds):
      self.init(
        kind: .tooManyRequests,
        detail:
          "The device requested tokens too often. Use the token that it has, or request one after the seconds in "
          + "`Retry-After`.",
        fields: [("Retry-After", String(retryAfterSeconds))])
    case .overloaded(let queue):
      self.init(
        kind: .overloaded, detail: "The registry is overloaded. Nothing was done; try again.",
        fields: [("Retry-After", "1")], cause: "the queue is full: \(queue)")
    case .unavailable(let cause):
      self.init(
        kind: .unavailable,
        detail:
          "The registry cannot reach its database. A change may or may not have been made: check before you repeat it.",
        fields: [("Retry-After", "2")], cause: cause)
    case .replayUnavailable(let cause, let retryAfterSeconds):
      self.init(
        kind: .unavailable,
        detail:
          "The registry cannot check now whether this nonce was used before. Nothing was done; sign the request again, "
          + "with a new nonce, after the seconds in `Retry-After`.",
        fields: [("Retry-After", String(retryAfterSeconds))], cause: cause)
    case .fault(let cause):
      self.init(
        kind: .internalError, detail: "The registry failed unexpectedly. Report this with the request_id.",
        cause: cause)
    }
  }

  private static func detail(of standing: RateLimit.Standing) -> String {
    let (limit, window) = (standing.limit.requests, "\(standing.limit.windowSeconds) s")
    let wait = "Nothing was done; try again after the seconds in `Retry-After`."
    return switch standing.subject {
    case .client: "The client has reached its limit of \(limit) requests in \(window). \(wait)"
    case .device: "The device has reached its limit of \(limit) requests in \(window). \(wait)"
    case .address:
      "This address has reached its limit of \(limit) failed authentications and token requests in \(window). \(wait)"
    }
  }

  /// A request that was refused before anything looked at what it asks for.
  /// - Parameter methods: those of all routes.
  init(_ refusal: Refusal, methods: String) {
    let kind: ProblemKind =
      switch refusal {
      case .missingHost, .repeatedHost, .invalidHost, .otherAuthority, .invalidContentLength,
        .conflictingLengths,
        .invalidTransferEncoding, .invalidChunk, .invalidRequestLine, .invalidMethod, .invalidTarget,
        .invalidField:
        .malformedRequest
      case .timedOut: .requestTimeout
      case .unknownMethod: .methodNotAllowed
      case .headerTooLarge: .headerTooLarge
      case .versionNotSupported: .versionNotSupported
      case .unavailable: .unavailable
      }
    let fields: [(name: StaticString, value: String)] =
      switch refusal {
      case .unavailable: [("Retry-After", "2")]
      case .unknownMethod: [("Allow", methods)]
      default: []
      }
    self.init(kind: kind, detail: "The request was refused: \(refusal.rawValue).", fields: fields)
  }
}

// Path, method, size.
extension Problem {
  static let pathNotFound = Problem(
    kind: .pathNotFound, detail: "There is no such path; /openapi.json lists all paths.")

  static let pathWithSlash = Problem(
    kind: .pathNotFound, detail: "There is no such path; send the request without the slash at the end.")

  static func methodNotAllowed(_ method: String, allow: String) -> Problem {
    Problem(
      kind: .methodNotAllowed, detail: "This path does not support \(method); it supports \(allow).",
      fields: [("Allow", allow)])
  }

  static func contentTooLarge(maximumBytes: Int) -> Problem {
    Problem(
      kind: .contentTooLarge, detail: "The body has more than \(maximumBytes) bytes; send at most that many.")
  }
}

extension Problem {
  /// Nobody is left to read this, as a rule.
  static let contentLost = Problem(
    kind: .malformedRequest, detail: "The request was refused: its content did not arrive as a whole.")
}

// Authentication, scope (RFC 6750, section 3).
extension Problem {
  /// To whoever brought no token: says no more than how to get in.
  private static let bearerChallenge = (name: "WWW-Authenticate" as StaticString, value: "Bearer")

  static let tokenMissing = Problem(
    kind: .tokenMissing, detail: "Send the header field `Authorization: Bearer` followed by a JSON Web Token.",
    fields: [bearerChallenge])

  static func tokenInvalid(_ reason: String) -> Problem {
    Problem(
      kind: .tokenInvalid, detail: "The token was refused: \(reason).",
      fields: [("WWW-Authenticate", "Bearer error=\"invalid_token\"")])
  }

  static func insufficientScope(_ scope: String) -> Problem {
    Problem(
      kind: .insufficientScope, detail: "The token's scope must include \(scope).",
      fields: [("WWW-Authenticate", "Bearer error=\"insufficient_scope\", scope=\"\(scope)\"")])
  }

  static func authenticatorUnavailable(cause: String) -> Problem {
    Problem(
      kind: .unavailable, detail: "The registry cannot fetch the keys that verify tokens; try again.",
      fields: [("Retry-After", "2")], cause: cause)
  }
}

// A device's proof (RFC 9421, section 3.2; RFC 6749, section 5.2).
extension Problem {
  static let signatureMissing = Problem(
    kind: .signatureMissing,
    detail: "Sign the request (RFC 9421), or send `Authorization: Bearer` with an access token of the device.",
    fields: [bearerChallenge])

  static func signatureMalformed(_ reason: String) -> Problem {
    Problem(
      kind: .signatureMalformed, detail: "The signature cannot be read: \(reason).",
      fields: [bearerChallenge])
  }

  static func clockSkew(_ timeliness: Timeliness, serverTime: Timestamp) -> Problem {
    let reason =
      switch timeliness {
      case .tooOld: "`created` is too old"
      case .tooEarly: "`created` is in the future"
      case .expired: "`expires` has passed"
      case .timely: "its times contradict each other"
      }
    return Problem(
      kind: .clockSkew,
      detail: "The signature was refused: \(reason). Set the device's clock; `server_time` is the registry's.",
      fields: [bearerChallenge], serverTime: serverTime)
  }

  static let invalidClient = Problem(
    kind: .invalidClient,
    detail: "Unknown device, or wrong secret: client_id is the device's id and client_secret its secret.",
    fields: [("WWW-Authenticate", "Basic realm=\"device-registry\"")])

  static func invalidRequest(_ detail: String) -> Problem { Problem(kind: .invalidRequest, detail: detail) }

  static let unsupportedGrantType = Problem(
    kind: .unsupportedGrantType, detail: "The grant_type must be client_credentials.")

  static let notAForm = Problem(
    kind: .unsupportedMediaType, detail: "Send the body as `Content-Type: application/x-www-form-urlencoded`.")
}

// Media type and syntax.
extension Problem {
  static let unsupportedMediaType = Problem(
    kind: .unsupportedMediaType, detail: "Send the body as `Content-Type: application/json`, in UTF-8.")

  static let unsupportedContentEncoding = Problem(
    kind: .unsupportedMediaType, detail: "Send the body as it is, without a Content-Encoding.")

  static func malformedJSON(_ detail: String) -> Problem {
    Problem(kind: .malformedJSON, detail: detail)
  }

  static func invalidValue(of field: String, _ message: String) -> Problem {
    invalidValues([FieldError(field: field, message: message)])
  }

  static func notWithin(_ bounds: ClosedRange<Int>, _ field: String) -> Problem {
    invalidValue(of: field, "must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
  }

  static func invalidValues(_ errors: [FieldError]) -> Problem {
    Problem(
      kind: .invalidValue,
      detail: errors.map { "`\($0.field)` \($0.message)" }.joined(separator: "; ") + ".", errors: errors)
  }
}
