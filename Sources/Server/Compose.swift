internal import API
internal import Console
internal import EventLoop
internal import HTTP
internal import JSONWebToken
public import Observability
public import Registry
internal import Telegram

/// A running service.
public struct RunningServer: Sendable {
  /// The first address it listens on; the port is the system's choice if 0 was configured.
  public let address: ListenAddress
  /// The first address of the metrics; nil if they are turned off.
  public let adminAddress: ListenAddress?
  let servers: HTTPServers
  let services: RunningServices
  let logger: Logger

  /// Stops accepting, answers parked polls, completes requests in progress (at most 10 s), writes presence, and
  /// closes everything.
  public func shutDown() async {
    logger.log(.info, "stopping")
    await services.shutDown()
    logger.log(.info, "stopped")
  }

  /// Reads the certificate again, for new connections.
  func reload() async { await servers.reload(logger) }
}

/// Builds and starts the service: a list of its parts, each of which uses earlier ones.
///
/// Throws an error that says what is wrong and what to do. Nothing runs after an error.
///
/// - Parameter clock: the time of day, for stored times and expiry. Timeouts use a monotonic clock.
public func compose(
  _ configuration: Configuration, logger: Logger, clock: any Clock = SystemClock()
) async throws -> RunningServer {
  var services = RunningServices()
  do {
    return try await compose(configuration, logger: logger, clock: clock, services: &services)
  } catch {
    await services.shutDown()
    throw error
  }
}

private func compose(
  _ configuration: Configuration, logger: Logger, clock: any Clock, services: inout RunningServices
) async throws -> RunningServer {
  // The addresses, first: if one is in use, the start has no side effects.
  let listener = try InheritedListener.listen(configuration)
  let adminListener = try configuration.adminListen.map(AdminServer.listen)

  if let warning = configuration.jwt.secretWarning {
    logger.log(.warning, "jwt secret file", ["cause": warning])
  }
  if let warning = configuration.sealingWarning {
    logger.log(.warning, "sealing key file", ["cause": warning])
  }

  // The database.
  let migrations = try Database.migrate(configuration.database) { warning in
    logger.log(.warning, "database file", ["warning": warning])
  }
  for migration in migrations {
    logger.log(.notice, "migrated", ["migration": migration])
  }
  let database = try Database(configuration.database, loops: configuration.eventLoops)
  services.start(database)

  // The parts that all loops share.
  let hasher = try Argon2idHasher(
    memoryKiB: configuration.argon2MemoryKiB, iterations: configuration.argon2Time)
  services.start(hasher)
  let random = SystemRandomSource()
  let live = LiveDevices(
    monotonicMilliseconds: { MonotonicClock.milliseconds },
    maximumParkedPolls: configuration.maxParkedPolls, offlineAfterSeconds: configuration.offlineAfterSeconds)
  let limits = RateLimits(
    configuration.rateLimits, random: random, monotonicMilliseconds: { MonotonicClock.milliseconds })
  let metrics = Metrics()
  let serviceMetrics = ServiceMetrics(in: metrics)
  let interruptions = Interruptions(logger)
  services.start(interruptions)
  let requestLog = RequestLog(logger, interruptions)

  // The loops, and a store for each.
  var loops: [EventLoop] = []
  for index in 0..<configuration.eventLoops {
    let loop = try EventLoop(name: "loop-\(index)")
    services.start(loop)
    loops.append(loop)
  }
  var stores: [any RegistryStore & ClosableService] = []
  for loop in loops {
    let store = try await loop.run {
      try database.store(on: loop, sealer: configuration.sealer, interruptions: interruptions)
    }
    services.start(store)
    stores.append(store)
  }

  try await loops[0].run { [store = stores[0]] in
    try await SealingCheck.test(configuration.sealer, against: store)
  }

  // Authentication and background work.
  let deliveryLock = LockState()
  let replay = try await ReplayProtection.start(
    configuration, on: loops, database: database, store: stores[0], live: live, delivery: deliveryLock,
    clock: clock, logger: logger, interruptions: interruptions, services: &services)
  services.start(
    BackgroundWork(
      loop: loops[0], store: stores[0], live: live, observer: serviceMetrics, clock: clock,
      interruptions: interruptions,
      signalRetentionDays: configuration.signalRetentionDays,
      eventRetentionDays: configuration.eventRetentionDays,
      statisticsRetentionDays: configuration.statisticsRetentionDays,
      offline: OfflineWatch(store: stores[0], live: live, observer: serviceMetrics) { deliveryLock.isHeld }),
    on: loops[0])
  let webhooks = try await OutgoingWebhooks.start(
    configuration, on: loops[0], store: stores[0], live: live, lock: deliveryLock,
    metrics: WebhookMetrics(in: metrics), clock: clock, logger: logger, interruptions: interruptions,
    services: &services)
  let jwt = configuration.jwt
  var ownerKeys: OwnerKeys?
  if let url = jwt.keysURL {
    let keys = try await OwnerKeys(
      url: url, maximumAgeHours: jwt.keysMaximumAgeHours, on: loops[0], logger: logger)
    services.start(keys, on: loops[0])
    ownerKeys = keys
  }
  let tokenVerifier = JWTVerifier(
    TokenVerifier(
      secret: jwt.secret, previousSecret: jwt.previousSecret, keys: jwt.keys, remoteKeys: ownerKeys?.keys,
      issuer: jwt.issuer,
      audience: jwt.audience, maximumLifetimeDays: jwt.maximumLifetimeDays))

  // The API, the console beside it, and the HTTP server of each loop.
  // Without a bot, the console shows nothing of Telegram.
  let bot = configuration.telegram.map { _ in TelegramBotName() }
  let routes = API.routes.map(\.path).filter { bot != nil || $0 != API.telegramLinkPath }
  let pages = configuration.console.map { settings in
    API.Pages(path: Console.path, answer: Console(signIn: settings.signIn, routes: routes).answer)
  }
  let parts = loops.indices.map { index in
    Services(
      store: stores[index], live: live, replay: replay.stores[index], hasher: hasher, limits: limits,
      clock: clock, random: random, observer: serviceMetrics, skewSeconds: configuration.signatureSkewSeconds,
      maxDevicesPerClient: configuration.maxDevicesPerClient,
      offlineAfterSeconds: configuration.offlineAfterSeconds, leaseSeconds: configuration.instanceLeaseSeconds,
      signalBounds: configuration.signalBounds, webhookParts: webhooks.parts, telegramBot: bot)
  }
  try await TelegramBot.start(
    configuration, named: bot, on: loops[0], services: parts[0], live: live, lock: deliveryLock,
    metrics: TelegramMetrics(in: metrics), logger: logger, interruptions: interruptions, services: &services)
  let apis = loops.indices.map { index in
    API(
      services: parts[index], verifier: tokenVerifier,
      origin: SignatureOrigin(
        scheme: configuration.isHTTPS ? "https" : "http", authority: configuration.publicURL?.authority),
      publicURL: configuration.publicURL?.description, crossOrigin: configuration.crossOrigin,
      pollIntervalMilliseconds: configuration.pollIntervalMilliseconds, pages: pages
    ) { request in
      serviceMetrics.count(request)
      requestLog.log(request)
    }
  }
  let servers = try await HTTPServers(
    configuration, on: loops, listener: listener, apis: apis, live: live)
  services.start(servers)

  // The metrics.
  ProcessMetrics.describe(in: metrics, version: CommandLineInterface.version, startedAt: clock.now())
  let partMetrics = PartMetrics(metrics: metrics)
  partMetrics.describe(servers)
  partMetrics.describe(hasher)
  partMetrics.describe(live, replay)
  partMetrics.describe(limits)
  partMetrics.describe(database, stores)
  partMetrics.describe(logger, requestLog)
  services.start(
    try DatabaseMetrics(in: metrics, of: configuration.database, clock: clock) { deliveryLock.isHeld })
  for (loop, pulse) in zip(loops, partMetrics.describe(loops)) { services.start(pulse, on: loop) }
  var admin: AdminServer?
  if let adminListener {
    let server = try await AdminServer(listener: adminListener, metrics: metrics)
    services.start(server)
    admin = server
  }
  let addresses = ListenAddress.all(of: listener)
  logger.log(
    .info, "listening",
    [
      "address": addresses[0].description, "scheme": configuration.tls == nil ? "http" : "https",
      "admin_address": admin?.addresses[0].description ?? "off",
      "database": configuration.database.description, "event_loops": String(loops.count),
    ])
  // The other addresses of a name.
  for address in addresses.dropFirst() {
    logger.log(.info, "listening", ["address": address.description])
  }
  for address in admin?.addresses.dropFirst() ?? [] {
    logger.log(.info, "listening", ["admin_address": address.description])
  }
  if let systemd = configuration.systemd { services.start(SystemdNotices(to: systemd, loops: loops)) }
  return RunningServer(
    address: addresses[0], adminAddress: admin?.addresses[0], servers: servers, services: services,
    logger: logger)
}
