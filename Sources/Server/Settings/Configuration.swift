public import Commands
public import API
internal import EventLoop
internal import FoundationEssentials
public import HTTP
public import Observability
public import Registry

/// The settings of `serve`, parsed.
public struct Configuration: Sendable {
  public var listen: ListenAddress
  /// Sockets that systemd passed; empty without.
  var inherited = InheritedListener()
  /// The address of `/metrics`; nil turns it off.
  public var adminListen: ListenAddress?
  public var database: DatabaseURL
  public var replayStore: ReplayStoreSetting
  /// Where nonces are left for the next start: in systemd's `STATE_DIRECTORY`, else beside the SQLite file. Nil if there
  /// is no place, and where Redis has them.
  var nonceFile: String?
  public var signatureSkewSeconds: Int
  /// Seals secrets in the database; nil without `SEALING_KEY_FILE`.
  public var sealer: KeyFileSealer?
  /// What is wrong with the access to the file of its keys.
  public var sealingWarning: String?
  public var jwt: JWTConfiguration
  /// Nil for HTTP without TLS.
  public var tls: TLSFiles?
  /// The content of `tls` at the time of parsing.
  public var tlsIdentity: TLSIdentity?
  public var publicURL: Origin?
  public var trustedProxies: TrustedProxies
  /// Nil if no page of another origin may call the API.
  public var crossOrigin: CrossOrigin?
  /// Nil without the console.
  public var console: ConsoleConfiguration?
  public var argon2MemoryKiB: Int
  public var argon2Time: Int
  public var eventLoops: Int
  public var maxDevicesPerClient: Int
  /// How long after its last request a device is offline.
  public var offlineAfterSeconds: Int
  /// How long an instance has its device after its last poll.
  public var instanceLeaseSeconds: Int
  public var signalBounds: SignalBounds
  /// How long a signal is kept after it expires.
  public var signalRetentionDays: Int
  /// Days that events are kept.
  public var eventRetentionDays: Int
  public var statisticsRetentionDays: Int
  /// Whether webhooks may call private addresses and plain HTTP.
  public var webhooksAllowPrivate: Bool
  /// Nil without a Telegram bot.
  public var telegram: TelegramConfiguration?
  var pollIntervalMilliseconds: Int
  public var maxParkedPolls: Int
  /// Nil for three quarters of all connections.
  public var maxConnectionsPerAddress: Int?
  var rateLimits: RateLimits.Settings
  public var logLevel: Logger.Level
  public var logFormat: Logger.Format
  /// Nil without systemd.
  var systemd: Systemd?
  /// Bounds that operators do not need to change.
  public var limits = HTTPLimits()
  public var maximumReplayNonces = ReplayMemory.maximumNonces

  /// Whether systemd has the listening sockets, at which connections wait while the service restarts.
  var isListeningKept: Bool { systemd != nil || !inherited.sockets.isEmpty }

  /// Whether clients use HTTPS, to the service or to a proxy in front of it.
  var isHTTPS: Bool { (publicURL?.scheme ?? (tls == nil ? "http" : "https")) == "https" }

  static let usage = "device-registry serve [--FLAG VALUE ...] [\(insecureSwitch)] [\(checkSwitch)]"
  static let insecureSwitch = "--insecure-public-http"
  /// Tests the settings instead of serving.
  static let checkSwitch = "--check"

  /// Reads flags and environment. Throws `UsageError`, which names the setting that is wrong.
  public init(arguments: [String], environment: [String: String]) throws(UsageError) {
    try self.init(try Self.arguments(arguments, environment), environment)
  }

  /// Splits flags and environment, without reading the settings.
  static func arguments(
    _ arguments: [String], _ environment: [String: String]
  ) throws(UsageError) -> Arguments {
    let arguments = try Arguments(
      arguments, flags: Setting.allCases.map(\.flag), switches: [insecureSwitch, checkSwitch],
      environment: environment)
    try arguments.expectWords(usage: usage)
    return arguments
  }

  init(_ arguments: Arguments, _ environment: [String: String]) throws(UsageError) {
    listen = try Self.parse(arguments, .listen, "must be ADDRESS:PORT, for example 127.0.0.1:8000") {
      ListenAddress($0)
    }
    adminListen = try Self.adminListen(arguments)
    database = try Self.database(arguments)
    replayStore = try Self.parse(
      arguments, .replayStore, "must be memory or redis://[USER:PASSWORD@]HOST[:PORT][/DB]"
    ) { ReplayStoreSetting($0) }
    if replayStore == .memory { nonceFile = Self.nonceFile(environment, database) }
    signatureSkewSeconds = try arguments.number(of: .signatureSkewSeconds)
    (sealer, sealingWarning) = try SealingKeyFile.sealer(arguments)
    jwt = try JWTConfiguration(arguments)
    tls = try TLSFiles(arguments)
    tlsIdentity = try tls?.load()
    publicURL =
      arguments.value(of: .publicURL) == nil
      ? nil
      : try Self.parse(arguments, .publicURL, "must be an origin, for example https://registry.example.com") {
        Origin($0)
      }
    trustedProxies = try Self.trustedProxies(arguments)
    crossOrigin = try Self.crossOrigin(arguments)
    console = try ConsoleConfiguration(arguments)
    argon2MemoryKiB = try arguments.number(of: .argon2MemoryKiB)
    argon2Time = try arguments.number(of: .argon2Time)
    eventLoops = try arguments.number(of: .eventLoops, default: ProcessSettings.processorCount)
    maxDevicesPerClient = try arguments.number(of: .maxDevicesPerClient)
    offlineAfterSeconds = try arguments.number(of: .offlineAfterSeconds)
    instanceLeaseSeconds = try arguments.number(of: .instanceLeaseSeconds)
    signalBounds = SignalBounds(
      kept: try arguments.number(of: .maxSignalsPerClient),
      deliveries: try arguments.number(of: .maxDeliveriesPerClient))
    eventRetentionDays = try arguments.number(of: .eventRetentionDays)
    statisticsRetentionDays = try arguments.number(of: .statisticsRetentionDays)
    signalRetentionDays = try arguments.number(of: .signalRetentionDays)
    webhooksAllowPrivate = try Self.parse(arguments, .webhookAllowPrivate, "must be true or false") { Bool($0) }
    telegram = try TelegramConfiguration(arguments)
    pollIntervalMilliseconds = try arguments.number(of: .pollIntervalMilliseconds)
    maxParkedPolls = try arguments.number(of: .maxParkedPolls)
    maxConnectionsPerAddress =
      arguments.value(of: .maxConnectionsPerAddress) == nil
      ? nil : try arguments.number(of: .maxConnectionsPerAddress)
    rateLimits = try RateLimits.Settings(arguments)
    logLevel = try Self.parse(arguments, .logLevel, "must be debug, info, notice, warning or error") {
      Logger.Level(rawValue: $0)
    }
    logFormat = try Self.parse(arguments, .logFormat, "must be json or text") { Logger.Format(rawValue: $0) }

    systemd = Systemd(environment: environment)
    do throws(ListenerError) {
      inherited = InheritedListener(try InheritedSocket.all(in: environment), for: listen)
    } catch {
      throw UsageError(.listen, error.description)
    }
    if let first = inherited.addresses.first { listen = inherited.addresses.first { !$0.isLoopback } ?? first }

    let isPrivate = listen.isLoopback || tls != nil || publicURL?.scheme == "https"
    guard isPrivate || arguments.has(Self.insecureSwitch) else {
      throw UsageError(
        .listen,
        "\(listen) can be reached from other machines, and HTTP without TLS shows every secret to the network: set "
          + "TLS_CERT_FILE and TLS_KEY_FILE, or PUBLIC_URL to the https origin of the proxy in front, or add "
          + "\(Self.insecureSwitch)")
    }
  }

  private static func nonceFile(_ environment: [String: String], _ database: DatabaseURL) -> String? {
    // The first of several (systemd.exec(5)).
    if let folder = environment["STATE_DIRECTORY"]?.split(separator: ":").first { return "\(folder)/nonces" }
    guard case .sqlite(let path) = database else { return nil }
    return path + "-nonces"
  }

  /// An empty text turns the metrics off. They have no authentication, so only a loopback address is allowed by
  /// default.
  private static func adminListen(_ arguments: Arguments) throws(UsageError) -> ListenAddress? {
    if arguments.value(of: .adminListen)?.isEmpty == true { return nil }
    let address = try parse(
      arguments, .adminListen, "must be ADDRESS:PORT, for example 127.0.0.1:8001, or empty"
    ) {
      ListenAddress($0)
    }
    guard address.isLoopback || arguments.has(insecureSwitch) else {
      throw UsageError(
        .adminListen,
        "\(address) can be reached from other machines, and the metrics have neither TLS nor a password: use a "
          + "loopback address such as 127.0.0.1:8001, an empty value to turn them off, or add \(insecureSwitch)"
      )
    }
    return address
  }

  /// The database, for every command.
  static func database(_ arguments: Arguments) throws(UsageError) -> DatabaseURL {
    try parse(
      arguments, .databaseURL, "must be sqlite:PATH or postgresql://USER@HOST/DATABASE"
    ) { DatabaseURL($0) }
  }

  private static func parse<Value>(
    _ arguments: Arguments, _ setting: Setting, _ problem: String, _ read: (String) -> Value?
  ) throws(UsageError) -> Value {
    guard let value = arguments.value(of: setting).flatMap(read) else { throw UsageError(setting, problem) }
    return value
  }

  private static func trustedProxies(_ arguments: Arguments) throws(UsageError) -> TrustedProxies {
    guard let text = arguments.value(of: .trustedProxies) else { return .none }
    do throws(TrustedProxies.Malformation) {
      return try TrustedProxies(text)
    } catch {
      throw UsageError(
        .trustedProxies,
        "\"\(error.word)\" is neither an address nor a prefix: list at most \(TrustedProxies.maximumPrefixes) of "
          + "them, separated by commas, for example 10.0.0.0/8,2001:db8::1; the bits after a prefix must be 0")
    }
  }

  private static func crossOrigin(_ arguments: Arguments) throws(UsageError) -> CrossOrigin? {
    guard let text = arguments.value(of: .corsAllowedOrigins) else { return nil }
    if text == "*" { return .any }
    var origins: Set<String> = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      let word = word.drop { $0 == " " }
      guard let origin = Origin(String(word)) else {
        throw UsageError(
          .corsAllowedOrigins,
          "\"\(word)\" is not an origin: list origins without a path, separated by commas, for example "
            + "https://console.example.com,http://localhost:3000, or set * for every origin")
      }
      origins.insert(origin.description)
    }
    return CrossOrigin(origins: origins)
  }

  /// The content of a file that a setting names.
  static func readFile(_ path: String, for setting: Setting) throws(UsageError) -> [UInt8] {
    do throws(FileUnreadable) { return try readFile(path) } catch {
      throw UsageError(setting, error.description)
    }
  }

  /// The content of a file.
  static func readFile(_ path: String) throws(FileUnreadable) -> [UInt8] {
    do {
      return [UInt8](try Data(contentsOf: URL(filePath: path)))
    } catch {
      throw FileUnreadable(path: path)
    }
  }
}

/// A file that an argument names cannot be read.
struct FileUnreadable: Error, CustomStringConvertible {
  let path: String

  var description: String { "cannot read the file \(path): \(FileFailure.reading(path))" }
}
