internal import Endpoints
internal import Registry

extension API {
  /// The OpenAPI 3.1 document, derived from the table of endpoints; JSON with a line break at its end.
  /// - Parameter publicURL: the origin that clients use; if nil, the document names the origin that served it.
  public static func openAPIDocument(publicURL: String?) -> [UInt8] {
    OpenAPIDocument(of: endpoints.operations, server: publicURL ?? "/", description).text
  }

  static let description = Description(
    info: [
      "title": "Device registry",
      "version": "1",
      "summary": "Registers, authenticates and revokes trading terminals.",
    ],
    tags: [
      Tag("devices", of: "/api/v1/devices", "The devices of an owner."),
      Tag("enrolments", of: "/api/v1/enrolments", "Codes with which terminals get the secrets of devices."),
      Tag("groups", of: "/api/v1/groups", "The groups of an owner's devices."),
      Tag("signals", of: "/api/v1/signals", "The signals of an owner."),
      Tag("events", of: "/api/v1/events", "What changed."),
      Tag("webhooks", of: "/api/v1/webhooks", "Where events are posted."),
      Tag("statistics", of: "/api/v1/stats", "What an owner's devices did, counted."),
      Tag("device", of: "/api/v1/device", "What a device calls."),
      Tag("clients", of: "/api/v1/clients", "The clients, for administrators."),
      Tag("service", of: "/", "The state of the service."),
    ],
    securitySchemes: [
      "owner": [
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description":
          "A JSON Web Token: `sub` is the client's id, or who acts for the client of `client_id`; `exp` is required, `scope` may include registry:admin.",
      ],
      "deviceSignature": [
        "type": "apiKey", "in": "header", "name": "Signature",
        "description":
          "An HTTP message signature (RFC 9421) with `Signature-Input`; `keyid` is the device's id. It is the proof of SCRAM (RFC 5802): ClientKey XOR HMAC-SHA-256(StoredKey, signature base).",
      ],
      "deviceToken": [
        "type": "oauth2",
        "description": "A token of the device, which starts with `drt_`.",
        "flows": ["clientCredentials": ["tokenUrl": "/api/v1/device/token", "scopes": .object([])]],
      ],
    ],
    headers: HeaderDescription.rateLimit + HeaderDescription.signed,
    problemHeaders: HeaderDescription.rateLimit,
    problemTypeBase: "https://device-registry.example/problems/",
    problemMembers: [
      (
        "server_time",
        [
          "type": "string", "format": "date-time",
          "description": "The registry's time, with clock-skew, and with unavailable after a start.",
        ]
      ),
      ("reason", String?.schema.adding(["description": "Why, with device-suspended and client-suspended."])),
      ("matched", Int64.schema.adding(["description": "The number of devices, with expectation-failed."])),
      ("until", Timestamp?.schema.adding(["description": "When the suspension ends, with device-suspended."])),
      ("expires_at", Timestamp.schema.adding(["description": "When the device expired, with device-expired."])),
      ("device_id", DeviceID.schema.adding(["description": "The device, with secret-already-shown."])),
      (
        "since",
        Timestamp.schema.adding(["description": "When the other instance took the lease, with device-in-use."])
      ),
      ("last_poll", Timestamp.schema.adding(["description": "When it last polled, with device-in-use."])),
      ("enrolment_id", EnrolmentID.schema.adding(["description": "The enrolment, with secret-already-shown."])),
      ("webhook_id", WebhookID.schema.adding(["description": "The webhook, with secret-already-shown."])),
    ],
    everywhere: everywhere,
    common: everywhere + [
      .invalidValue, .tokenMissing, .tokenInvalid, .tooManyRequests, .pathNotFound,
    ])

  /// The problems that any request can have.
  private static let everywhere: [ProblemKind] = [
    .malformedRequest, .requestTimeout, .contentTooLarge, .unsupportedMediaType, .headerTooLarge,
    .internalError, .overloaded, .unavailable, .versionNotSupported, .methodNotAllowed,
  ]
}

extension Access {
  static let anyone = Access(security: [])

  /// Needs no authentication; usually called by monitoring.
  static let probe = Access(security: [], isRoutine: true)

  /// Answers errors in the form of OAuth.
  static let oauth = Access(security: [], isOAuth: true)

  static let owner = Access(
    security: [["owner": []]],
    problems: [
      .tokenMissing, .tokenInvalid, .clientSuspended, .clientNotFound, .tooManyRequests, .tooManyWaiting,
    ],
    successHeaders: HeaderDescription.rateLimit)

  static let administrator = Access(
    security: [["owner": [.string(Administrator.scope)]]],
    problems: [.tokenMissing, .tokenInvalid, .insufficientScope, .tooManyRequests, .tooManyWaiting],
    successHeaders: HeaderDescription.rateLimit)

  static let device = Access(
    security: [["deviceSignature": []], ["deviceToken": []]],
    problems: [
      .signatureMissing, .signatureMalformed, .clockSkew, .signatureInvalid, .replayed, .tokenInvalid,
      .revokedDevice, .suspendedDevice, .expiredDevice, .clientSuspended, .tooManyRequests, .tooManyWaiting,
    ],
    successHeaders: HeaderDescription.rateLimit + HeaderDescription.signed,
    problemHeaders: HeaderDescription.signed, isRoutine: true)
}

extension HeaderDescription {
  static let retryAfterParking = HeaderDescription(
    name: "Retry-After",
    meaning: "Seconds after which to poll again, if too many polls of the client were waiting.",
    isRequired: false, isCommon: false, schema: ["type": "integer", "minimum": 0])

  /// The state of the rate limits that applied.
  static let rateLimit = [
    HeaderDescription(
      name: "RateLimit-Policy",
      meaning:
        "If a limit applied: its subject (`client`, `device` or `address`), `q` requests in `w` seconds (draft-ietf-httpapi-ratelimit-headers).",
      isRequired: false),
    HeaderDescription(
      name: "RateLimit",
      meaning:
        "If a limit applied: `r` requests are left, and all are available again in `t` seconds (draft-ietf-httpapi-ratelimit-headers). A request costs 1; a registration or rotation \(RequestCost.hash) more; 1 more for each \(RequestCost.deliveriesPerUnit) deliveries of a new signal, \(RequestCost.rowsPerUnit) elements of a listed page, and \(RequestCost.bytesPerUnit / 1024) KiB of an answer.",
      isRequired: false),
  ]

  /// The fields of a signed answer. An answer is signed once the request's nonce is stored.
  static let signed = [
    HeaderDescription(
      name: "Content-Digest", meaning: "The body's digest, in a signed answer (RFC 9530).", isRequired: false),
    HeaderDescription(
      name: "Signature-Input",
      meaning: "The components that the signature covers, in a signed answer (RFC 9421).",
      isRequired: false),
    HeaderDescription(
      name: "Signature",
      meaning:
        "HMAC-SHA-256 of the signature base with the secret's ServerKey, in a signed answer (RFC 9421).",
      isRequired: false),
  ]
}
