internal import Endpoints
internal import HTTP
internal import Registry
internal import RequestSignature

// The table of problems: every kind, declared once, then the errors that cause it and their texts. `Endpoints` has
// the kinds that do not depend on the registry.

extension ProblemKind {
  static let tokenMissing = ProblemKind(
    "token-missing", 401, "A token is needed",
    "Send the header field `Authorization: Bearer` followed by a JSON Web Token.")
  static let tokenInvalid = ProblemKind(
    "token-invalid", 401, "The token is not valid",
    "The token was refused, for the reason in `detail`; get a new one.", isCharged: true)
  static let signatureMissing = ProblemKind(
    "signature-missing", 401, "A signature or a token is needed",
    "Sign the request (RFC 9421), or send `Authorization: Bearer` with an access token of the device.")
  static let signatureMalformed = ProblemKind(
    "signature-malformed", 401, "The signature is malformed",
    "`Signature-Input`, `Signature` or `Content-Digest` is malformed or covers too little, as "
      + "`detail` says; correct the client.")
  static let clockSkew = ProblemKind(
    "clock-skew", 401, "The signature is too old or from the future",
    "The times of the signature are too far from the registry's; set the device's clock to "
      + "`server_time`.")
  static let signatureInvalid = ProblemKind(
    "signature-invalid", 401, "The signature is not valid",
    "The signature does not verify: unknown device, wrong secret, or a request that was changed after "
      + "it was signed.", isCharged: true)
  static let replayed = ProblemKind(
    "replayed", 401, "The nonce was used before",
    "The device used this nonce before; sign each request with a new one.", isCharged: true)
  static let invalidClient = ProblemKind(
    "invalid_client", 401, "Unknown client or wrong secret",
    "Unknown device, or wrong secret: client_id is the device's id and client_secret its secret.",
    isOAuth: true, isCharged: true)
  static let invalidRequest = ProblemKind(
    "invalid_request", 400, "The token request is malformed",
    "A parameter of the token request is missing, malformed or given twice, as `error_description` "
      + "says.", isOAuth: true)
  static let unsupportedGrantType = ProblemKind(
    "unsupported_grant_type", 400, "The grant type is not client_credentials",
    "The grant_type must be client_credentials.", isOAuth: true)
  static let revokedDevice = ProblemKind(
    "device-revoked", 403, "The device is revoked",
    "The device is revoked, for good. Its owner can register a new one in its place.")
  static let suspendedDevice = ProblemKind(
    "device-suspended", 403, "The device is suspended",
    "The device is suspended until `until`, or, if that is null, until its owner resumes it. `reason` says why, if the "
      + "owner gave a reason. Try again later.")
  static let expiredDevice = ProblemKind(
    "device-expired", 403, "The device has expired",
    "The device could be used until `expires_at`, which has passed. Its owner can set a later time.")
  static let clientSuspended = ProblemKind(
    "client-suspended", 403, "The client is suspended",
    "The client, and with it all its devices, is suspended. `reason` says why, if the operator gave a reason. Ask the "
      + "registry's operator.")
  static let insufficientScope = ProblemKind(
    "insufficient-scope", 403, "The token lacks a scope",
    "The token's scope must include the one that `detail` names; get a token with it.", isChallenge: true)
  static let notOwner = ProblemKind(
    "not-owner", 403, "It belongs to another client",
    "The device, signal, enrolment, webhook or linked chat belongs to another client; use a token of that client."
  )
  static let clientNotFound = ProblemKind(
    "client-not-found", 404, "There is no such client",
    "No client has this id; check the id, or add the client.")
  static let deviceNotFound = ProblemKind(
    "device-not-found", 404, "There is no such device",
    "No device has this id; list your devices to see theirs.")
  static let signalNotFound = ProblemKind(
    "signal-not-found", 404, "There is no such signal",
    "No signal has this id, or it expired long ago.")
  static let deviceInUse = ProblemKind(
    "device-in-use", 409, "Another terminal polls for the device",
    "Another instance has the lease on this device: a terminal that runs elsewhere, or a copied secret. Stop it, or poll "
      + "with `takeover=1`, after which it is refused. A lease ends `INSTANCE_LEASE_SECONDS` after its last poll."
  )
  static let accountNotBound = ProblemKind(
    "account-not-bound", 403, "The device may not trade on this account",
    "The owner bound the device to one account, and it runs on another or did not say on which; send "
      + "`PUT /api/v1/device/context`, or ask the owner.")
  static let enrolmentInvalid = ProblemKind(
    "enrolment-invalid", 401, "The code is not valid",
    "The code is unknown, was used, or has expired; ask the owner of the device for a new one.", isCharged: true
  )
  static let enrolmentNotFound = ProblemKind(
    "enrolment-not-found", 404, "There is no such enrolment",
    "No enrolment has this id, or it was used or expired long ago; list your enrolments to see theirs.")
  static let tooManyEnrolments = ProblemKind(
    "too-many-enrolments", 409, "The client has too many enrolments",
    "The client has as many enrolments as one may have, used and expired ones included; delete some, or wait until they "
      + "are deleted.")
  static let groupNotFound = ProblemKind(
    "group-not-found", 404, "There is no such group",
    "The client has no group with this name; list its groups, or create the group first.")
  static let webhookNotFound = ProblemKind(
    "webhook-not-found", 404, "There is no such webhook",
    "No webhook has this id; list your webhooks to see theirs.")
  static let telegramLinkNotFound = ProblemKind(
    "telegram-link-not-found", 404, "There is no such linked chat",
    "No link to a Telegram chat has this id; list your links to see theirs.")
  static let requestTimeout = ProblemKind(
    "request-timeout", 408, "The request did not arrive in time",
    "The request did not arrive completely in time; send it again, faster.")
  static let clientIDTaken = ProblemKind(
    "client-id-taken", 409, "The client id is taken",
    "Another client has this id; choose another, or leave it out.")
  static let clientEmailTaken = ProblemKind(
    "client-email-taken", 409, "The e-mail address is taken",
    "Another client has this e-mail address.")
  static let deviceNameTaken = ProblemKind(
    "device-name-taken", 409, "The device name is taken",
    "Another of the client's devices has this name; choose another, or revoke that device.")
  static let expectationFailed = ProblemKind(
    "expectation-failed", 409, "Another number of devices matches",
    "`expect` is not the number of devices that the selector means, which is in `matched`. Nothing was done.")
  static let tooManyLabels = ProblemKind(
    "too-many-labels", 409, "The device has too many labels",
    "A device may have \(Labels.maximumCount) labels; remove some.")
  static let deviceRevoked = ProblemKind(
    "device-revoked", 409, "The device is revoked",
    "The device is revoked, for good; register a new one in its place.")
  static let deviceNotRevoked = ProblemKind(
    "device-not-revoked", 409, "The device is not revoked",
    "Only a revoked device can be deleted; revoke it first.")
  static let tooManyDevices = ProblemKind(
    "too-many-devices", 409, "The client has too many devices",
    "The client has as many devices as its `max_devices`, or else `MAX_DEVICES_PER_CLIENT`, allows, revoked ones "
      + "included; delete some that are revoked.")
  static let tooManySignals = ProblemKind(
    "too-many-signals", 409, "The client has too many signals",
    "The client has as many signals as one may have, as `detail` says; wait until some expire, or until they are "
      + "deleted.")
  static let tooManyDeliveries = ProblemKind(
    "too-many-deliveries", 409, "The client has too many deliveries",
    "The client's signals, expired ones included, have as many deliveries as `MAX_DELIVERIES_PER_CLIENT` allows. They "
      + "are deleted `SIGNAL_RETENTION_DAYS` after the signal expires.")
  static let tooManyGroups = ProblemKind(
    "too-many-groups", 409, "There are too many groups",
    "The client has as many groups as one may have, or the device is in as many as one may be, as `detail` says; delete a "
      + "group, or take the device out of one.")
  static let tooManyWebhooks = ProblemKind(
    "too-many-webhooks", 409, "The client has too many webhooks",
    "The client has as many webhooks as one may have; delete one first.")
  static let sealingKeyMissing = ProblemKind(
    "sealing-key-missing", 409, "The registry has no sealing key",
    "The secrets of webhooks are only stored sealed, and the registry has no key for that. Its operator must set "
      + "`SEALING_KEY_FILE`.")
  static let tooManyTelegramLinks = ProblemKind(
    "too-many-telegram-links", 409, "The client has too many linked chats",
    "As many Telegram chats are linked to the client as may be; unlink one first.")
  static let telegramNotConfigured = ProblemKind(
    "telegram-not-configured", 409, "The registry has no Telegram bot",
    "Chats are linked by a Telegram bot, and the registry has none. Its operator must set `TELEGRAM_BOT_TOKEN_FILE`."
  )
  static let idempotencyInProgress = ProblemKind(
    "idempotency-in-progress", 409, "A request with this key runs",
    "A request with the same `Idempotency-Key` has not ended; wait for its answer, or repeat the request later."
  )
  static let idempotencyMismatch = ProblemKind(
    "idempotency-mismatch", 422, "The key was used for another request",
    "The `Idempotency-Key` was used for a request with another method, path or body; use a new key for each new request."
  )
  static let tooManyIdempotencyKeys = ProblemKind(
    "too-many-idempotency-keys", 409, "The client has too many idempotency keys",
    "The client used as many keys in \(IdempotencyKey.keptHours) hours as one may. Nothing was done; leave out "
      + "`Idempotency-Key`, or wait.")
  static let secretAlreadyShown = ProblemKind(
    "secret-already-shown", 409, "The secret was shown before",
    "A request with the same `Idempotency-Key` succeeded, and its answer was the only one with the secret. If that answer was "
      + "lost, rotate the secret of `device_id`, with a new key.")
  static let cursorExpired = ProblemKind(
    "cursor-expired", 410, "The cursor has expired",
    "Events after this position were deleted, `EVENT_RETENTION_DAYS` after they happened, or the database was replaced by an "
      + "older one. Begin again without `after`, and read the present state by the other routes.")
  static let tooManyWaiting = ProblemKind(
    "too-many-waiting", 429, "Too many requests wait",
    "As many requests of the client wait for their turn as may. Nothing was done; wait for their answers before you send "
      + "more.")
  static let headerTooLarge = ProblemKind(
    "header-too-large", 431, "The header is too large",
    "The target and the header fields, tokens included, have more than 16 KiB or 64 lines; send fewer or shorter fields."
  )
  static let tooManyRequests = ProblemKind(
    "too-many-requests", 429, "There were too many requests",
    "A client, device or address reached its limit. Nothing was done; try again after the seconds in "
      + "`Retry-After`.")
  static let internalError = ProblemKind(
    "internal-error", 500, "The registry failed",
    "The registry failed unexpectedly. Report this with the request_id.")
  static let overloaded = ProblemKind(
    "overloaded", 503, "The registry is overloaded",
    "The registry is overloaded. Nothing was done; try again.")
  static let unavailable = ProblemKind(
    "unavailable", 503, "The registry is not ready",
    "The registry cannot reach its database. A change may or may not have been made: check before you "
      + "repeat it.")
  static let versionNotSupported = ProblemKind(
    "version-not-supported", 505, "The version of HTTP is not supported",
    "Send the request with HTTP/1.1 or HTTP/1.0.")
}

extension RegistryError {
  /// What is wrong and what to do, with the cause: for a terminal.
  package var explanation: String {
    let problem = Problem(self)
    return problem.cause.map { "\(problem.detail) (\($0))" } ?? problem.detail
  }
}

extension Problem {
  /// The only mapping from the registry's errors to answers.
  init(_ error: RegistryError) {
    switch error {
    case .invalid(let field, let message):
      self = .invalidValue(of: field, message)
    case .signatureInvalid:
      self.init(.signatureInvalid, fields: [Self.bearerChallenge])
    case .refused(let refusal):
      self.init(refusal)
    case .replayed:
      self.init(.replayed, fields: [Self.bearerChallenge])
    case .tokenInvalid:
      self = .tokenInvalid(
        "it is unknown, or it has expired or was revoked; request a new one at /api/v1/device/token")
    case .clientNotFound:
      self.init(ProblemKind.clientNotFound)
    case .deviceNotFound:
      self.init(ProblemKind.deviceNotFound)
    case .notOwner:
      self.init(.notOwner, "The device belongs to another client; use a token of that client.")
    case .signalNotFound:
      self.init(ProblemKind.signalNotFound)
    case .notSignalOwner:
      self.init(.notOwner, "The signal belongs to another client; use a token of that client.")
    case .deviceInUse(let since, let lastPoll):
      self.init(.deviceInUse, members: [("since", since.description), ("last_poll", lastPoll.description)])
    case .accountNotBound:
      self.init(ProblemKind.accountNotBound)
    case .enrolmentNotFound:
      self.init(ProblemKind.enrolmentNotFound)
    case .notEnrolmentOwner:
      self.init(.notOwner, "The enrolment belongs to another client; use a token of that client.")
    case .enrolmentInvalid:
      self.init(.enrolmentInvalid, fields: [("WWW-Authenticate", "EnrolmentCode realm=\"device-registry\"")])
    case .tooManyEnrolments(let limit):
      self.init(
        .tooManyEnrolments,
        "A client may have \(limit) enrolments, used and expired ones included. Those are deleted after "
          + "\(Enrolment.keptDays) days; delete some, or wait.")
    case .groupNotFound:
      self.init(ProblemKind.groupNotFound)
    case .tooManyGroups(let limit):
      self.init(
        .tooManyGroups, "A client may have \(limit) groups, and this one has them; delete one first.")
    case .tooManyGroupsOfDevice(let limit):
      self.init(
        .tooManyGroups, "A device may be in \(limit) groups, and this one is; take it out of one first.")
    case .webhookNotFound:
      self.init(ProblemKind.webhookNotFound)
    case .notWebhookOwner:
      self.init(.notOwner, "The webhook belongs to another client; use a token of that client.")
    case .sealingKeyMissing:
      self.init(ProblemKind.sealingKeyMissing)
    case .tooManyWebhooks(let limit):
      self.init(
        .tooManyWebhooks, "A client may have \(limit) webhooks, and this one has them; delete one first.")
    case .telegramNotConfigured:
      self.init(ProblemKind.telegramNotConfigured)
    case .telegramLinkNotFound:
      self.init(ProblemKind.telegramLinkNotFound)
    case .notTelegramLinkOwner:
      self.init(.notOwner, "The chat is linked to another client; use a token of that client.")
    case .tooManyTelegramLinks(let limit):
      self.init(
        .tooManyTelegramLinks,
        "A client may have \(limit) linked chats, and this one has them; unlink one first.")
    case .clientIDTaken:
      self.init(ProblemKind.clientIDTaken)
    case .clientEmailTaken:
      self.init(ProblemKind.clientEmailTaken)
    case .deviceNameTaken:
      self.init(ProblemKind.deviceNameTaken)
    case .expectationFailed(let matched):
      self.init(
        .expectationFailed,
        "The selector means \(matched) devices, and `expect` is another number. Nothing was done; look at the devices, and "
          + "send the number that you mean.", numbers: [("matched", matched)])
    case .deviceRevoked:
      self.init(ProblemKind.deviceRevoked)
    case .deviceNotRevoked:
      self.init(ProblemKind.deviceNotRevoked)
    case .tooManyDevices(let limit):
      self.init(
        .tooManyDevices,
        "The client may have \(limit) devices, revoked ones included, and has them. Delete some that are revoked."
      )
    case .tooManySignals(let limit):
      self.init(
        .tooManySignals,
        "A client may have \(limit) signals that have not expired, and this one has them.")
    case .tooManyKeptSignals(let limit):
      self.init(
        .tooManySignals,
        "A client may have \(limit) signals, expired ones included, and this one has them. They are deleted "
          + "SIGNAL_RETENTION_DAYS after they expire.")
    case .tooManyDeliveries(let limit):
      self.init(
        .tooManyDeliveries,
        "A client's signals, expired ones included, may have \(limit) deliveries, and this one would have more. They are "
          + "deleted SIGNAL_RETENTION_DAYS after the signal expires.")
    case .idempotencyKeyUsed, .idempotencyInProgress:
      self.init(ProblemKind.idempotencyInProgress)
    case .idempotencyMismatch:
      self.init(ProblemKind.idempotencyMismatch)
    case .tooManyIdempotencyKeys(let limit):
      self.init(
        .tooManyIdempotencyKeys,
        "A client may use \(limit) keys in \(IdempotencyKey.keptHours) hours, and this one has. Nothing was done; leave out "
          + "`Idempotency-Key`, or wait.")
    case .secretAlreadyShown(.device, let id):
      self.init(.secretAlreadyShown, members: [("device_id", id)])
    case .secretAlreadyShown(.enrolment, let id):
      self.init(
        .secretAlreadyShown,
        "A request with the same `Idempotency-Key` succeeded, and its answer was the only one with the codes, of which the "
          + "first is that of `enrolment_id`. If that answer was lost, delete these enrolments and create others, with a new "
          + "key.",
        members: [("enrolment_id", id)])
    case .secretAlreadyShown(.webhook, let id):
      self.init(
        .secretAlreadyShown,
        "A request with the same `Idempotency-Key` succeeded, and its answer was the only one with the secret. If that answer "
          + "was lost, delete the webhook `webhook_id` and create another one, with a new key.",
        members: [("webhook_id", id)])
    case .secretAlreadyShown(.telegramCode, _):
      self.init(
        .secretAlreadyShown,
        "A request with the same `Idempotency-Key` succeeded, and its answer was the only one with the code. If that answer "
          + "was lost, create another code, with a new key.")
    case .eventsExpired:
      self.init(ProblemKind.cursorExpired)
    case .tooManyWaiting(let limit):
      self.init(
        .tooManyWaiting,
        "\(limit) requests of the client wait for their turn. Nothing was done; wait for their answers before you send "
          + "more.", fields: [("Retry-After", "1")])
    case .rateLimited(let standing):
      self.init(
        .tooManyRequests, Self.detail(of: standing),
        fields: [("Retry-After", String(standing.retryAfterSeconds ?? 1))] + standing.fields,
        limit: standing.subject.rawValue)
    case .tooManyTokens(let retryAfterSeconds):
      self.init(
        .tooManyRequests,
        "The device requested tokens too often. Use the token that it has, or request one after the seconds in "
          + "`Retry-After`.",
        fields: [("Retry-After", String(retryAfterSeconds))])
    case .overloaded(let queue):
      self.init(.overloaded, fields: [("Retry-After", "1")], cause: "the queue is full: \(queue)")
    case .unavailable(let cause):
      self.init(.unavailable, fields: [("Retry-After", "2")], cause: cause)
    case .replayUnavailable(let cause, let retryAfterSeconds):
      self.init(
        .unavailable,
        "The registry cannot check now whether this nonce was used before. Nothing was done; sign the request again, "
          + "with a new nonce, after the seconds in `Retry-After`.",
        fields: [("Retry-After", String(retryAfterSeconds))], cause: cause)
    case .signedBeforeStart(let cause, let retryAfterSeconds, let serverTime):
      self.init(
        .unavailable,
        "The request was signed before the registry remembered nonces, so it may have been accepted before. Nothing was "
          + "done; set the device's clock to `server_time`, and sign the request again after the seconds in `Retry-After`.",
        fields: [("Retry-After", String(retryAfterSeconds))],
        members: [("server_time", serverTime.description)], cause: cause, isExpected: true)
    case .fault(let cause):
      self.init(.internalError, cause: cause)
    }
  }

  /// The truth, for a device or a client that proved who it is.
  private init(_ refusal: DeviceAccess.Refusal) {
    switch refusal {
    case .revoked:
      self.init(ProblemKind.revokedDevice)
    case .suspended(let reason, let until):
      self.init(
        .suspendedDevice,
        until.map { "The device is suspended until \($0), unless its owner resumes it earlier." }
          ?? "The device is suspended until its owner resumes it.",
        members: [("reason", reason), ("until", until?.description)])
    case .expired(let time):
      self.init(
        .expiredDevice, "The device expired at \(time). Its owner can set a later time.",
        members: [("expires_at", time.description)])
    case .clientSuspended(let reason):
      self.init(
        .clientSuspended, "The client is suspended, and with it all its devices. Ask the registry's operator.",
        members: [("reason", reason)])
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

  /// A request that the server refused before it was routed.
  /// - Parameter methods: the methods of all routes, for `Allow`.
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
    let detail = "The request was refused: \(refusal.rawValue)."
    self.init(kind, kind == .headerTooLarge ? "\(detail) \(kind.detail)" : detail, fields: fields)
  }
}

// Authentication, scope (RFC 6750, section 3).
extension Problem {
  /// For a request without a token: the challenge names no error (RFC 6750, section 3.1).
  private static let bearerChallenge = (name: "WWW-Authenticate" as StaticString, value: "Bearer")

  static let tokenMissing = Problem(.tokenMissing, fields: [bearerChallenge])

  /// - Parameter reason: in the characters of `error_description` (RFC 6750, section 3), without quotes.
  static func tokenInvalid(_ reason: String) -> Problem {
    Problem(
      .tokenInvalid, "The token was refused: \(reason).",
      fields: [("WWW-Authenticate", "Bearer error=\"invalid_token\", error_description=\"\(reason)\"")])
  }

  static func insufficientScope(_ scope: String) -> Problem {
    Problem(
      .insufficientScope, "The token's scope must include \(scope).",
      fields: [("WWW-Authenticate", "Bearer error=\"insufficient_scope\", scope=\"\(scope)\"")])
  }

  static func authenticatorUnavailable(cause: String) -> Problem {
    Problem(
      .unavailable, "The registry cannot fetch the keys that verify tokens; try again.",
      fields: [("Retry-After", "2")], cause: cause)
  }
}

// Authentication of devices (RFC 9421, section 3.2; RFC 6749, section 5.2).
extension Problem {
  static let signatureMissing = Problem(.signatureMissing, fields: [bearerChallenge])

  static func signatureMalformed(_ reason: String) -> Problem {
    Problem(
      .signatureMalformed, "The signature cannot be read: \(reason).",
      fields: [bearerChallenge])
  }

  /// Reveals nothing about the device: no key was looked up.
  static let otherDigest = Problem(
    .signatureInvalid,
    "The body does not have the sha-256 in `Content-Digest`: it was changed after it was signed, or the digest is of "
      + "other bytes, for example with a terminating zero.", fields: [bearerChallenge])

  static func clockSkew(_ timeliness: Timeliness, serverTime: Timestamp) -> Problem {
    let reason =
      switch timeliness {
      case .tooOld: "`created` is too old"
      case .tooEarly: "`created` is in the future"
      case .expired: "`expires` has passed"
      case .timely: "its times contradict each other"
      }
    return Problem(
      .clockSkew,
      "The signature was refused: \(reason). Set the device's clock; `server_time` is the registry's.",
      fields: [bearerChallenge], members: [("server_time", serverTime.description)])
  }

  static let invalidClient = Problem(
    .invalidClient, fields: [("WWW-Authenticate", "Basic realm=\"device-registry\"")])

  /// For the right secret of a device that may not be used.
  static func invalidClient(_ refusal: DeviceAccess.Refusal) -> Problem {
    let reason: String? =
      switch refusal {
      case .suspended(let reason, _), .clientSuspended(let reason): reason
      case .revoked, .expired: nil
      }
    let description = Problem(refusal).detail + (reason.map { " The reason: \($0)" } ?? "")
    return Problem(.invalidClient, asErrorDescription(description), fields: invalidClient.fields)
  }

  /// The text with `?` for each character that `error_description` may not have (RFC 6749, section 5.2).
  private static func asErrorDescription(_ text: String) -> String {
    String(
      text.unicodeScalars.map { scalar in
        switch scalar {
        case "\"", "\\": "?"
        case " "..."~": Character(scalar)
        default: "?"
        }
      })
  }

  static let secretWithLineEnd = Problem(
    .invalidClient,
    "client_secret ends with a line break or a zero byte, which is not a part of it; send its 64 characters only.",
    fields: [("WWW-Authenticate", "Basic realm=\"device-registry\"")])

  static func invalidRequest(_ detail: String) -> Problem { Problem(.invalidRequest, detail) }

  static let unsupportedGrantType = Problem(.unsupportedGrantType)

  static let notAForm = Problem(
    .unsupportedMediaType, "Send the body as `Content-Type: application/x-www-form-urlencoded`.")
}
