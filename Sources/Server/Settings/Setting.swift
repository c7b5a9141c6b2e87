internal import Commands

/// A setting of the service: a flag, or the environment variable of the same name. The flag takes precedence.
public enum Setting: String, CaseIterable, Sendable {
  case listen = "LISTEN"
  case adminListen = "ADMIN_LISTEN"
  case databaseURL = "DATABASE_URL"
  case replayStore = "REPLAY_STORE"
  case signatureSkewSeconds = "SIGNATURE_SKEW_SECONDS"
  case sealingKeyFile = "SEALING_KEY_FILE"
  case jwtSecret = "JWT_SECRET"
  case jwtSecretFile = "JWT_SECRET_FILE"
  case jwtPreviousSecretFile = "JWT_PREVIOUS_SECRET_FILE"
  case jwtJWKSFile = "JWT_JWKS_FILE"
  case jwtJWKSURL = "JWT_JWKS_URL"
  case jwtIssuer = "JWT_ISSUER"
  case jwtAudience = "JWT_AUDIENCE"
  case jwtMaxLifetimeDays = "JWT_MAX_LIFETIME_DAYS"
  case jwksMaxAgeHours = "JWKS_MAX_AGE_HOURS"
  case tlsCertFile = "TLS_CERT_FILE"
  case tlsKeyFile = "TLS_KEY_FILE"
  case publicURL = "PUBLIC_URL"
  case trustedProxies = "TRUSTED_PROXIES"
  case corsAllowedOrigins = "CORS_ALLOWED_ORIGINS"
  case console = "CONSOLE"
  case consoleOIDCIssuer = "CONSOLE_OIDC_ISSUER"
  case consoleOIDCClientID = "CONSOLE_OIDC_CLIENT_ID"
  case argon2MemoryKiB = "ARGON2_MEMORY_KIB"
  case argon2Time = "ARGON2_TIME"
  case eventLoops = "EVENT_LOOPS"
  case maxDevicesPerClient = "MAX_DEVICES_PER_CLIENT"
  case offlineAfterSeconds = "OFFLINE_AFTER_SECONDS"
  case instanceLeaseSeconds = "INSTANCE_LEASE_SECONDS"
  case maxSignalsPerClient = "MAX_SIGNALS_PER_CLIENT"
  case maxDeliveriesPerClient = "MAX_DELIVERIES_PER_CLIENT"
  case signalRetentionDays = "SIGNAL_RETENTION_DAYS"
  case eventRetentionDays = "EVENT_RETENTION_DAYS"
  case statisticsRetentionDays = "STATS_RETENTION_DAYS"
  case webhookAllowPrivate = "WEBHOOK_ALLOW_PRIVATE"
  case telegramBotTokenFile = "TELEGRAM_BOT_TOKEN_FILE"
  case telegramAPIURL = "TELEGRAM_API_URL"
  case pollIntervalMilliseconds = "POLL_INTERVAL_MILLISECONDS"
  case maxParkedPolls = "MAX_PARKED_POLLS"
  case maxConnectionsPerAddress = "MAX_CONNECTIONS_PER_ADDRESS"
  case rateLimitClient = "RATE_LIMIT_CLIENT"
  case rateLimitDevice = "RATE_LIMIT_DEVICE"
  case rateLimitAddress = "RATE_LIMIT_ADDRESS"
  case logLevel = "LOG_LEVEL"
  case logFormat = "LOG_FORMAT"

  /// `DATABASE_URL` is `--database-url`.
  var flag: String { "--" + rawValue.lowercased().map { $0 == "_" ? "-" : String($0) }.joined() }

  /// Whether an empty value differs from no value.
  var emptyCounts: Bool { self == .adminListen }

  /// The description of a setting. `--help`, the package's settings file and docs/settings.md are generated from it.
  struct Declaration {
    let meaning: String
    let example: String
    /// The value without flag and variable.
    var defaultText: String?
    /// Describes a default that is computed.
    var computedDefault: String?
    var unit: String?
    /// The bounds of a whole number.
    var bounds: ClosedRange<Int>?
  }

  var declaration: Declaration {
    switch self {
    case .listen:
      Declaration(
        meaning:
          "address and port; a name means all its addresses, port 0 a free one; the log line `listening` names each",
        example: "0.0.0.0:8443", defaultText: "127.0.0.1:8000")
    case .adminListen:
      Declaration(
        meaning: "address and port of /metrics, like LISTEN; empty turns it off", example: "127.0.0.1:9001",
        defaultText: "127.0.0.1:8001")
    case .databaseURL:
      Declaration(
        meaning: "sqlite:PATH, or any connection URI of libpq, several hosts included",
        example: "postgresql://registry@localhost/registry", defaultText: "sqlite:data/registry.db")
    case .replayStore:
      Declaration(
        meaning:
          "where nonces are kept: memory, or redis://HOST[:PORT][/DB] shared by all processes on one database",
        example: "redis://127.0.0.1:6379/0", defaultText: "memory")
    case .signatureSkewSeconds:
      Declaration(
        meaning: "greatest age of a signature, by its created parameter", example: "60", defaultText: "300",
        unit: "seconds", bounds: 1...3600)
    case .sealingKeyFile:
      Declaration(
        meaning:
          "file with the keys that seal secrets in the database, 64 hexadecimal digits on each line; the first one seals",
        example: "data/sealing-key")
    case .jwtSecret:
      Declaration(
        meaning:
          "HS256 key of the owners' tokens, 32 bytes or more; prefer JWT_SECRET_FILE, because ps shows flags",
        example: "$(openssl rand -hex 32)")
    case .jwtSecretFile:
      Declaration(
        meaning: "file with the HS256 key of the owners' tokens; one line end after it is ignored",
        example: "data/jwt-secret")
    case .jwtPreviousSecretFile:
      Declaration(
        meaning: "file with the HS256 key before the current one, whose tokens are accepted until they expire",
        example: "data/jwt-secret.old")
    case .jwtJWKSFile:
      Declaration(meaning: "file with a JWK set for RS, PS and ES tokens", example: "/etc/registry/jwks.json")
    case .jwtJWKSURL:
      Declaration(
        meaning: "https URL of a JWK set, fetched at start and refreshed",
        example: "https://id.example.com/jwks")
    case .jwtIssuer:
      Declaration(meaning: "the iss that tokens must have", example: "https://id.example.com")
    case .jwtAudience:
      Declaration(
        meaning: "the aud that tokens must have; without it, tokens with an aud are refused",
        example: "registry")
    case .jwtMaxLifetimeDays:
      Declaration(
        meaning: "how far ahead the exp of tokens may be", example: "30", defaultText: "3650", unit: "days",
        bounds: 1...36_500)
    case .jwksMaxAgeHours:
      Declaration(
        meaning: "how long keys from JWT_JWKS_URL stay in use if it answers with no usable key, or not at all",
        example: "6", defaultText: "24", unit: "hours", bounds: 1...8760)
    case .tlsCertFile:
      Declaration(
        meaning: "certificate chain in PEM, to serve HTTPS; SIGHUP reloads it", example: "certificate.pem")
    case .tlsKeyFile:
      Declaration(meaning: "private key of the certificate, in PEM without a passphrase", example: "key.pem")
    case .publicURL:
      Declaration(
        meaning: "origin that clients use; set it when a proxy is in front",
        example: "https://registry.example.com")
    case .trustedProxies:
      Declaration(
        meaning:
          "addresses and prefixes of proxies whose X-Forwarded-For names the client, for rate limits and the log",
        example: "10.0.0.0/8,2001:db8::1")
    case .corsAllowedOrigins:
      Declaration(
        meaning:
          "origins whose pages may call the API from a browser, separated by commas, or * for every origin",
        example: "https://console.example.com,http://localhost:3000")
    case .console:
      Declaration(meaning: "whether /console/ answers: on or off", example: "off", defaultText: "on")
    case .consoleOIDCIssuer:
      Declaration(
        meaning:
          "issuer of OpenID Connect with which people sign in to the console; JWT_JWKS_URL or JWT_JWKS_FILE verifies its tokens",
        example: "https://id.example.com")
    case .consoleOIDCClientID:
      Declaration(
        meaning: "client id of the console at that issuer, registered as a public client with PKCE",
        example: "registry-console")
    case .argon2MemoryKiB:
      Declaration(
        meaning: "memory of one argon2id hash", example: "65536", defaultText: "19456", unit: "KiB",
        bounds: 8...4_194_303)
    case .argon2Time:
      Declaration(
        meaning: "passes of one argon2id hash", example: "3", defaultText: "2", bounds: 1...1000)
    case .eventLoops:
      Declaration(
        meaning: "event loops, one thread each", example: "4", computedDefault: "number of cores",
        bounds: 1...256)
    case .maxDevicesPerClient:
      Declaration(
        meaning: "devices of one client, revoked ones included", example: "500", defaultText: "10000",
        bounds: 1...1_000_000)
    case .offlineAfterSeconds:
      Declaration(
        meaning: "how long after its last request a device is offline", example: "300",
        defaultText: "90", unit: "seconds", bounds: 1...86_400)
    case .instanceLeaseSeconds:
      // Longer than a poll waits: the lease is renewed when a poll begins.
      Declaration(
        meaning: "how long after its last poll a terminal keeps others with the same device from polling",
        example: "120", defaultText: "60", unit: "seconds", bounds: 40...3600)
    case .maxSignalsPerClient:
      Declaration(
        meaning: "signals of one client that are kept, expired ones included", example: "500000",
        defaultText: "100000", bounds: 1...100_000_000)
    case .maxDeliveriesPerClient:
      Declaration(
        meaning: "deliveries of the signals of one client that are kept, one for each device of each signal",
        example: "5000000", defaultText: "1000000", bounds: 1...1_000_000_000)
    case .signalRetentionDays:
      Declaration(
        meaning: "how long a signal is kept after it expires, with its deliveries", example: "7",
        defaultText: "30", unit: "days", bounds: 0...3650)
    case .eventRetentionDays:
      Declaration(
        meaning: "how long events are kept", example: "90", defaultText: "400", unit: "days", bounds: 1...3650)
    case .statisticsRetentionDays:
      Declaration(
        meaning: "how long statistics are kept, a row for each device and hour", example: "90",
        defaultText: "400", unit: "days", bounds: 1...3650)
    case .webhookAllowPrivate:
      Declaration(
        meaning:
          "true lets webhooks call private addresses and plain HTTP: for tests, and receivers in one's own network",
        example: "true", defaultText: "false")
    case .telegramBotTokenFile:
      Declaration(
        meaning: "file with the token of the Telegram bot that owners link; one line end after it is ignored",
        example: "data/telegram-bot-token")
    case .telegramAPIURL:
      Declaration(
        meaning: "origin of the Bot API, for a server of one's own, which may be in a private network",
        example: "http://127.0.0.1:8081", defaultText: "https://api.telegram.org")
    case .pollIntervalMilliseconds:
      Declaration(
        meaning: "the pause between polls that the registry asks of devices that do not wait (next_poll_ms)",
        example: "5000", defaultText: "1000", unit: "milliseconds", bounds: 100...600_000)
    case .maxParkedPolls:
      Declaration(
        meaning:
          "polls that wait for a signal at the same time; one more ends the oldest of the client that has most",
        example: "50000",
        defaultText: "20000", bounds: 1...1_000_000)
    case .maxConnectionsPerAddress:
      Declaration(
        meaning: "open connections of one address (IPv6: /64), except trusted proxies; more are closed at once",
        example: "1000", computedDefault: "three quarters of the maximum", bounds: 1...10_000_000)
    case .rateLimitClient:
      Declaration(
        meaning: "requests of one client, as REQUESTS/SECONDS; off for no limit", example: "600/60",
        defaultText: "6000/60")
    case .rateLimitDevice:
      Declaration(
        meaning: "requests of one device, in the same form", example: "off", defaultText: "600/60")
    case .rateLimitAddress:
      Declaration(
        meaning: "failed authentications and token requests of one address (IPv6: /64), in the same form",
        example: "60/60", defaultText: "600/60")
    case .logLevel:
      Declaration(
        meaning: "least severe level that is logged: debug, info, notice, warning or error", example: "warning",
        defaultText: "info")
    case .logFormat:
      Declaration(
        meaning: "format of the log on standard error: json or text", example: "text", defaultText: "json")
    }
  }
}

extension UsageError {
  /// A wrong or missing setting. The text says what is wrong and what to do.
  init(_ setting: Setting, _ problem: String) {
    self.init("\(setting.rawValue) (\(setting.flag)): \(problem)", setting: setting.rawValue)
  }
}
