internal import Commands
internal import Console
internal import EventLoop
internal import Glibc
internal import HTTP
internal import HTTPClient
internal import JSONWebToken
internal import Migrations
internal import RedisReplayStore
internal import Registry
internal import Telegram

/// What `serve --check` does: tests the settings and everything that they name, prints a line for each finding, and neither
/// serves nor changes anything.
struct ServiceCheck {
  private enum Verdict: String {
    case ok
    /// The service would start.
    case warning
    /// The service would not start.
    case problem
  }

  private let configuration: Configuration
  private var problems = 0

  /// A certificate that expires in less time gets a warning.
  private static let certificateWarningSeconds: Int64 = 14 * 86_400

  /// Throws an error with the number of problems if there are any.
  static func run(_ arguments: Arguments, _ environment: [String: String]) async throws {
    let configuration: Configuration
    switch settings(arguments, environment) {
    case .right(let right): configuration = right
    case .wrong(let errors):
      for error in errors { report(.problem, "settings", error.description) }
      throw UsageError("\(CheckFailed(problems: errors.count)), and nothing else was tested")
    }
    let changed = Setting.allCases.count { arguments.isSet($0) }
    report(.ok, "settings", "\(changed) of \(Setting.allCases.count) are set")
    var check = ServiceCheck(configuration: configuration)
    try await check.run()
    guard check.problems == 0 else { throw CheckFailed(problems: check.problems) }
    print("no problem was found")
  }

  private init(configuration: Configuration) { self.configuration = configuration }

  private mutating func run() async throws {
    let loop = try EventLoop(name: "check")
    defer { loop.stop() }
    await testOwnerKeys(on: loop)
    testSealingKey()
    testCertificate()
    testListening()
    await testDatabase()
    await testReplayStore(on: loop)
    await testTelegram(on: loop)
    describeTheRest()
  }

  private static func report(_ verdict: Verdict, _ subject: String, _ text: String) {
    func padded(_ text: String, to width: Int) -> String {
      text + String(repeating: " ", count: max(0, width - text.count))
    }
    print(padded(verdict.rawValue, to: 9) + padded(subject, to: 14) + text)
  }

  private mutating func report(_ verdict: Verdict, _ subject: String, _ text: String) {
    if verdict == .problem { problems += 1 }
    Self.report(verdict, subject, text)
  }

  // MARK: Settings

  private enum Settings {
    case right(Configuration)
    case wrong([UsageError])
  }

  /// Reads the settings. After an error it reads the others, with the default of the wrong one.
  private static func settings(_ arguments: Arguments, _ environment: [String: String]) -> Settings {
    var arguments = arguments
    var errors: [UsageError] = []
    for _ in Setting.allCases {
      do throws(UsageError) {
        let configuration = try Configuration(arguments, environment)
        return errors.isEmpty ? .right(configuration) : .wrong(errors)
      } catch {
        errors.append(error)
        guard let setting = error.setting.flatMap(Setting.init), !othersDependOn.contains(setting),
          arguments.isSet(setting)
        else { break }
        arguments.unset(setting)
      }
    }
    return .wrong(errors)
  }

  /// Settings without which others are wrong too.
  private static let othersDependOn: Set<Setting> = [
    .listen, .jwtSecret, .jwtSecretFile, .jwtPreviousSecretFile, .jwtJWKSFile, .jwtJWKSURL, .tlsCertFile,
    .tlsKeyFile, .publicURL, .consoleOIDCIssuer, .consoleOIDCClientID,
  ]

  // MARK: Keys

  private mutating func testOwnerKeys(on loop: EventLoop) async {
    let subject = "owners' keys"
    let jwt = configuration.jwt
    var sources: [String] = []
    if jwt.secret != nil { sources.append("a secret") }
    if jwt.previousSecret != nil { sources.append("the secret before it") }
    if jwt.keys != nil { sources.append("the key set in \(Setting.jwtJWKSFile.rawValue)") }
    if !sources.isEmpty { report(.ok, subject, sources.joined(separator: ", ")) }
    if let warning = jwt.secretWarning { report(.warning, subject, warning) }
    guard let url = jwt.keysURL else { return }
    do {
      let fetched = try await loop.run { try await Self.fetch(url, on: loop) }
      report(.ok, subject, "\(fetched.keys.count) from \(Setting.jwtJWKSURL.rawValue)")
      for refusal in fetched.keys.refusals { report(.warning, subject, refusal) }
    } catch {
      // The service starts, and fetches again.
      report(.warning, subject, "\(Setting.jwtJWKSURL.rawValue): \(error)")
    }
  }

  private static func fetch(_ url: String, on loop: EventLoop) async throws -> FetchedKeySet {
    let client = try WebClient(on: loop)
    var request = WebClient.Request(url: url)
    request.certificateFile = getenv("SSL_CERT_FILE").map { String(cString: $0) }
    do {
      let keys = try await client.keySet(request)
      await client.close()
      return keys
    } catch {
      await client.close()
      throw error
    }
  }

  private mutating func testSealingKey() {
    let subject = "sealing key"
    guard let sealer = configuration.sealer else {
      return report(
        .warning, subject,
        "\(Setting.sealingKeyFile.rawValue) is not set: secrets are stored plain, and no webhook is called")
    }
    report(
      .ok, subject, "\(sealer.keys[0]) seals; \(sealer.keys.count) in \(sealer.path)")
    if let warning = configuration.sealingWarning { report(.warning, subject, warning) }
  }

  private mutating func testCertificate() {
    let subject = "certificate"
    guard let identity = configuration.tlsIdentity, let files = configuration.tls else { return }
    let expiry = Timestamp(millisecondsSince1970: identity.expirySeconds * 1000)
    let text = "\(files.certificatePath) is valid until \(expiry)"
    let left = identity.expirySeconds - SystemClock().now().millisecondsSince1970 / 1000
    report(left < Self.certificateWarningSeconds ? .warning : .ok, subject, text)
  }

  // MARK: Addresses

  private mutating func testListening() {
    if configuration.inherited.sockets.isEmpty {
      testListening(at: configuration.listen, .listen)
    }
    guard let admin = configuration.adminListen else {
      return report(.warning, "metrics", "\(Setting.adminListen.rawValue) is empty: there are no metrics")
    }
    testListening(at: admin, .adminListen)
  }

  private mutating func testListening(at address: ListenAddress, _ setting: Setting) {
    let subject = setting == .listen ? "listen" : "metrics"
    do throws(ListenerError) {
      try Listener.test(host: address.host, port: address.port, setting: setting.rawValue)
      report(.ok, subject, "\(address) is free")
    } catch {
      // Perhaps the service that these settings are of runs.
      report(error.isInUse ? .warning : .problem, subject, error.description)
    }
  }

  // MARK: Database

  private mutating func testDatabase() async {
    let subject = "database"
    let url = configuration.database
    do {
      guard let schema = try Database.schema(of: url) else { return testNewDatabase(url) }
      report(.ok, subject, "\(schema.product), \(url), with the migration \(schema.applied.last ?? "none")")
      guard schema.pending.isEmpty else {
        return report(
          .warning, subject,
          "serve applies \(schema.pending.count) migrations when it starts: back up first. "
            + schema.pending.joined(separator: ", "))
      }
      testLock(try Database.figures(of: url, at: SystemClock().now()))
      try await Database.withStore(of: url, sealer: configuration.sealer) { [configuration] store in
        try await SealingCheck.test(configuration.sealer, against: store)
      }
      report(
        .ok, subject,
        configuration.sealer == nil
          ? "no secret in it is sealed" : "the sealing key is that of its secrets")
    } catch {
      report(.problem, subject, "\(error)")
    }
  }

  private mutating func testNewDatabase(_ url: DatabaseURL) {
    if case .sqlite(let path) = url, let objection = Database.objection(toCreating: path) {
      return report(.problem, "database", objection)
    }
    report(.ok, "database", "\(url) has no registry yet: serve creates it when it starts")
  }

  private mutating func testLock(_ figures: DatabaseFigures) {
    guard let serving = figures.serving, let first = serving.first else { return }
    let isAlone = configuration.replayStore == .memory || serving.contains(where: \.isExclusive)
    report(
      isAlone ? .warning : .ok, "database",
      isAlone
        ? "\(first.name) serves it: only after that has stopped can a process with these settings start"
        : "\(serving.count) processes serve it")
  }

  private mutating func testReplayStore(on loop: EventLoop) async {
    let subject = "replay store"
    switch configuration.replayStore {
    case .memory:
      report(
        .ok, subject,
        configuration.nonceFile.map { "memory, kept over restarts in \($0)" }
          ?? "memory; STATE_DIRECTORY is not set, so devices get 503 for some seconds after a restart")
    case .redis(let url):
      do throws(RedisUnusable) {
        let redis = try await loop.run { () async throws(RedisUnusable) in
          try await RedisInspection.read(RedisURL(url)!, on: loop)
        }
        if let objection = redis.objection { return report(.problem, subject, objection) }
        guard let version = redis.version else {
          return report(
            .warning, subject, "Redis; its user may not run INFO, so maxmemory-policy was not tested")
        }
        report(.ok, subject, "Redis \(version)")
      } catch {
        report(.problem, subject, error.description)
      }
    }
  }

  /// The service starts without Telegram too, and repeats what fails.
  private mutating func testTelegram(on loop: EventLoop) async {
    guard let settings = configuration.telegram.map(BotSettings.init) else { return }
    do {
      report(.ok, "Telegram", "@\(try await BotInspection.name(settings, on: loop)) at \(settings.origin)")
    } catch {
      report(.warning, "Telegram", "the bot at \(settings.origin) cannot be used now: \(error)")
    }
  }

  // MARK: What has nothing to test

  private mutating func describeTheRest() {
    report(.ok, "public URL", configuration.publicURL?.description ?? "that of the request")
    if configuration.sealer != nil {
      report(
        .ok, "webhooks",
        configuration.webhooksAllowPrivate
          ? "any receiver, private ones included" : "public receivers with https")
    }
    guard let console = configuration.console else { return report(.ok, "console", "off") }
    guard let provider = console.signIn else { return report(.ok, "console", "people sign in with tokens") }
    let hasKeys = configuration.jwt.keys != nil || configuration.jwt.keysURL != nil
    report(
      hasKeys ? .ok : .warning, "console",
      hasKeys
        ? "people sign in at \(provider.issuer)"
        : "people sign in at \(provider.issuer), but neither JWT_JWKS_URL nor JWT_JWKS_FILE verifies its tokens"
    )
  }
}

/// The check found problems, and has printed them.
private struct CheckFailed: Error, CustomStringConvertible {
  let problems: Int

  var description: String { problems == 1 ? "1 problem was found" : "\(problems) problems were found" }
}
