/// A setting of the service: a flag, or the environment variable of the same name. The flag wins.
public enum Setting: String, CaseIterable, Sendable {
  case listen = "LISTEN"
  case adminListen = "ADMIN_LISTEN"
  case databaseURL = "DATABASE_URL"
  case replayStore = "REPLAY_STORE"
  case signatureSkewSeconds = "SIGNATURE_SKEW_SECONDS"
  case jwtSecret = "JWT_SECRET"
  case jwtSecretFile = "JWT_SECRET_FILE"
  case jwtJWKSFile = "JWT_JWKS_FILE"
  case jwtJWKSURL = "JWT_JWKS_URL"
  case jwtIssuer = "JWT_ISSUER"
  case jwtAudience = "JWT_AUDIENCE"
  case tlsCertFile = "TLS_CERT_FILE"
  case tlsKeyFile = "TLS_KEY_FILE"
  case publicURL = "PUBLIC_URL"
  case trustedProxies = "TRUSTED_PROXIES"
  case argon2MemoryKiB = "ARGON2_MEMORY_KIB"
  case argon2Time = "ARGON2_TIME"
  case eventLoops = "EVENT_LOOPS"
  case maxDevicesPerClient = "MAX_DEVICES_PER_CLIENT"
  case maxParkedPolls = "MAX_PARKED_POLLS"
  case rateLimitClient = "RATE_LIMIT_CLIENT"
  case rateLimitDevice = "RATE_LIMIT_DEVICE"
  case rateLimitAddress = "RATE_LIMIT_ADDRESS"
  case logLevel = "LOG_LEVEL"
  case logFormat = "LOG_FORMAT"

  /// `DATABASE_URL` is `--database-url`.
  var flag: String { "--" + rawValue.lowercased().map { $0 == "_" ? "-" : String($0) }.joined() }

  /// The text that counts where neither the flag nor the variable is there.
  var defaultText: String? {
    switch self {
    case .listen: "127.0.0.1:8000"
    case .adminListen: "127.0.0.1:8001"
    case .databaseURL: "sqlite:data/registry.db"
    case .replayStore: "memory"
    case .signatureSkewSeconds: "300"
    case .argon2MemoryKiB: "19456"
    case .argon2Time: "2"
    case .maxDevicesPerClient: "10000"
    case .maxParkedPolls: "20000"
    case .rateLimitClient: "6000/60"
    case .rateLimitDevice: "600/60"
    case .rateLimitAddress: "600/60"
    case .logLevel: "info"
    case .logFormat: "json"
    case .jwtSecret, .jwtSecretFile, .jwtJWKSFile, .jwtJWKSURL, .jwtIssuer, .jwtAudience, .tlsCertFile,
      .tlsKeyFile, .publicURL, .trustedProxies, .eventLoops:
      nil
    }
  }

  /// Whether an empty value says something else than none at all.
  var emptyCounts: Bool { self == .adminListen }

  var help: String {
    switch self {
    case .listen: "address and port; port 0 picks a free one"
    case .adminListen: "address and port of /metrics; empty turns it off"
    case .databaseURL: "sqlite:PATH or postgresql://USER@HOST/DATABASE"
    case .replayStore:
      "memory, or redis://HOST:PORT/DB shared by all processes on one database"
    case .signatureSkewSeconds: "how far the created of a signature may lie back"
    case .jwtSecret: "HS256 key of the owners' tokens, 32 bytes or more; better in a file than in a flag"
    case .jwtSecretFile: "file that holds JWT_SECRET; one line end after it is ignored"
    case .jwtJWKSFile: "file with a JWK set for RS, PS and ES tokens"
    case .jwtJWKSURL: "https URL of a JWK set, fetched at start and kept fresh"
    case .jwtIssuer: "the iss that tokens must have"
    case .jwtAudience: "the aud that tokens must have"
    case .tlsCertFile: "certificate chain, PEM: serve HTTPS"
    case .tlsKeyFile: "private key of the certificate, PEM"
    case .publicURL: "origin that clients use, where a proxy stands in front"
    case .trustedProxies:
      "addresses and prefixes of proxies whose X-Forwarded-For names the client, as 10.0.0.0/8,2001:db8::1"
    case .argon2MemoryKiB: "memory of one argon2id hash"
    case .argon2Time: "passes of one argon2id hash"
    case .eventLoops: "event loops (default: number of cores)"
    case .maxDevicesPerClient: "devices of one client, revoked ones included"
    case .maxParkedPolls: "polls that wait for a signal at the same time; one more is answered at once"
    case .rateLimitClient:
      "requests of one client, as REQUESTS/SECONDS; off for no limit"
    case .rateLimitDevice: "requests of one device, in the same form"
    case .rateLimitAddress:
      "failed authentications and token requests of one address (IPv6: /64), in the same form"
    case .logLevel: "debug, info, notice, warning or error"
    case .logFormat: "json or text"
    }
  }
}

/// A wrong or missing setting or argument: what is wrong, and what to do. Exit status 2.
public struct UsageError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }

  init(_ setting: Setting, _ problem: String) {
    description = "\(setting.rawValue) (\(setting.flag)): \(problem)"
  }
}
