/// Every way in which a request can fail: the last part of a problem's `type` (RFC 9457, section 3.1.1).
enum ProblemKind: String, CaseIterable, Sendable {
  case malformedRequest = "malformed-request"
  case malformedJSON = "malformed-json"
  case invalidValue = "invalid-value"
  case tokenMissing = "token-missing"
  case tokenInvalid = "token-invalid"
  case signatureMissing = "signature-missing"
  case signatureMalformed = "signature-malformed"
  case clockSkew = "clock-skew"
  case signatureInvalid = "signature-invalid"
  case replayed = "replayed"
  case invalidClient = "invalid_client"
  case invalidRequest = "invalid_request"
  case unsupportedGrantType = "unsupported_grant_type"
  case insufficientScope = "insufficient-scope"
  case notOwner = "not-owner"
  case pathNotFound = "path-not-found"
  case clientNotFound = "client-not-found"
  case deviceNotFound = "device-not-found"
  case signalNotFound = "signal-not-found"
  case methodNotAllowed = "method-not-allowed"
  case requestTimeout = "request-timeout"
  case clientIDTaken = "client-id-taken"
  case clientEmailTaken = "client-email-taken"
  case deviceNameTaken = "device-name-taken"
  case deviceRevoked = "device-revoked"
  case tooManyDevices = "too-many-devices"
  case tooManySignals = "too-many-signals"
  case contentTooLarge = "content-too-large"
  case unsupportedMediaType = "unsupported-media-type"
  case headerTooLarge = "header-too-large"
  case tooManyRequests = "too-many-requests"
  case internalError = "internal-error"
  case overloaded = "overloaded"
  case unavailable = "unavailable"
  case versionNotSupported = "version-not-supported"

  /// What all the types begin with. They are names, and need not lead anywhere.
  static let typeBase = "https://device-registry.example/problems/"

  var type: String { Self.typeBase + rawValue }

  /// What any route can answer, whatever it is asked.
  static let everywhere: [ProblemKind] = [
    .malformedRequest, .requestTimeout, .contentTooLarge, .unsupportedMediaType, .headerTooLarge,
    .internalError,
    .overloaded, .unavailable, .versionNotSupported,
  ]

  /// Whether it is said as OAuth has it (RFC 6749, section 5.2), and not as a problem of RFC 9457.
  var isOAuth: Bool {
    switch self {
    case .invalidClient, .invalidRequest, .unsupportedGrantType: true
    default: false
    }
  }

  /// Whether it is counted against the caller's address.
  var isCharged: Bool {
    switch self {
    case .signatureInvalid, .replayed, .tokenInvalid, .invalidClient: true
    default: false
    }
  }

  var status: Int {
    switch self {
    case .malformedRequest, .malformedJSON, .invalidValue, .invalidRequest, .unsupportedGrantType: 400
    case .tokenMissing, .tokenInvalid, .signatureMissing, .signatureMalformed, .clockSkew, .signatureInvalid,
      .replayed, .invalidClient:
      401
    case .insufficientScope, .notOwner: 403
    case .pathNotFound, .clientNotFound, .deviceNotFound, .signalNotFound: 404
    case .methodNotAllowed: 405
    case .requestTimeout: 408
    case .clientIDTaken, .clientEmailTaken, .deviceNameTaken, .deviceRevoked, .tooManyDevices, .tooManySignals:
      409
    case .contentTooLarge: 413
    case .unsupportedMediaType: 415
    case .tooManyRequests: 429
    case .headerTooLarge: 431
    case .internalError: 500
    case .overloaded, .unavailable: 503
    case .versionNotSupported: 505
    }
  }

  /// The same for every problem of the kind.
  var title: String {
    switch self {
    case .malformedRequest: "The request breaks the rules of HTTP"
    case .malformedJSON: "The body is not the JSON that is expected"
    case .invalidValue: "A value is missing or wrong"
    case .tokenMissing: "A token is needed"
    case .tokenInvalid: "The token is not valid"
    case .signatureMissing: "A signature or a token is needed"
    case .signatureMalformed: "The signature is malformed"
    case .clockSkew: "The signature is too old or from the future"
    case .signatureInvalid: "The signature is not valid"
    case .replayed: "The nonce was used before"
    case .invalidClient: "Unknown client or wrong secret"
    case .invalidRequest: "The token request is malformed"
    case .unsupportedGrantType: "The grant type is not client_credentials"
    case .insufficientScope: "The token lacks a scope"
    case .notOwner: "It belongs to another client"
    case .pathNotFound: "There is nothing at this path"
    case .clientNotFound: "There is no such client"
    case .deviceNotFound: "There is no such device"
    case .signalNotFound: "There is no such signal"
    case .methodNotAllowed: "The path does not support the method"
    case .requestTimeout: "The request did not arrive in time"
    case .clientIDTaken: "The client id is taken"
    case .clientEmailTaken: "The e-mail address is taken"
    case .deviceNameTaken: "The device name is taken"
    case .deviceRevoked: "The device is revoked"
    case .tooManyDevices: "The client has too many devices"
    case .tooManySignals: "The client has too many signals"
    case .contentTooLarge: "The body is too large"
    case .unsupportedMediaType: "The body has an unsupported media type"
    case .headerTooLarge: "The header is too large"
    case .tooManyRequests: "There were too many requests"
    case .internalError: "The registry failed"
    case .overloaded: "The registry is overloaded"
    case .unavailable: "The registry is not ready"
    case .versionNotSupported: "The version of HTTP is not supported"
    }
  }
}
