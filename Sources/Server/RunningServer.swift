internal import API
internal import Crypto
internal import EventLoop
internal import Glibc
internal import HTTP
internal import JSONWebToken
public import Observability
public import Registry

/// The service while it runs. `start` composes it; `shutDown` takes it apart in the opposite order.
public final class RunningServer: Sendable {
  /// Where it listens, with the port that the system picked where 0 was asked for.
  public let address: ListenAddress
  /// Where its metrics are, likewise; nil where they are turned off.
  public let adminAddress: ListenAddress?
  private let loops: [EventLoop]
  private let opened: OpenedParts
  private let logger: Logger

  /// How long what is in flight may take when the service stops.
  static let shutDownTimeoutMilliseconds = 10_000
  /// Threads that fetch JWK sets, and fetches that wait: there is one set, and one fetch of it at a time.
  static let fetchThreads = 1
  static let maximumFetchQueueLength = 4
  /// Descriptors that connections of clients leave to the database, the log and the rest.
  static let reservedDescriptors = 256

  /// Brings the database up to date, and serves. Throws an error whose text says what is wrong and what to do.
  ///
  /// - Parameter clock: the time of day, by which everything is stored and tested. What waits goes by a clock that
  ///   nobody sets.
  public static func start(
    _ configuration: Configuration, logger: Logger, clock: any Clock = SystemClock()
  ) async throws -> RunningServer {
    var opened = OpenedParts()
    do {
      return try await start(configuration, logger: logger, clock: clock, opened: &opened)
    } catch {
      await opened.close()
      throw error
    }
  }

  private init(
    address: ListenAddress, adminAddress: ListenAddress?, loops: [EventLoop], opened: OpenedParts,
    logger: Logger
  ) {
    self.address = address
    self.adminAddress = adminAddress
    self.loops = loops
    self.opened = opened
    self.logger = logger
  }

  /// Returns once each loop that serves has had a turn: one that hangs has none.
  func passThroughLoops() async {
    for loop in loops { await loop.run {} }
  }

  /// Stops accepting, empties parked polls, finishes what is in flight (10 s at most), writes presence, and closes
  /// everything.
  public func shutDown() async {
    logger.log(.info, "stopping")
    await opened.close()
    logger.log(.info, "stopped")
  }

  // MARK: Starting

  private static func start(
    _ configuration: Configuration, logger: Logger, clock: any Clock, opened: inout OpenedParts
  ) async throws -> RunningServer {
    let argon2id = try Argon2id(
      memoryKiB: configuration.argon2MemoryKiB, iterations: configuration.argon2Time)
    for migration in try Database.migrate(configuration.database) {
      logger.log(.notice, "migrated", ["migration": migration])
    }
    let database = try Database(configuration.database, loops: configuration.eventLoops)
    opened.add { database.close() }
    let listener = try Listener(
      host: configuration.listen.host, port: configuration.listen.port, count: configuration.eventLoops,
      backlog: configuration.limits.listenBacklog)
    let adminListener = try configuration.adminListen.map(AdminServer.listen)
    let hashing = try WorkerPool(
      name: "argon2id", threads: ProcessSettings.processorCount,
      maximumQueueLength: Argon2idHasher.maximumQueueLength, niceness: 5)
    opened.add { hashing.cancel() }

    let lanes = try await Lane.open(configuration.eventLoops, on: database, logger: logger)
    opened.add { await lanes.close() }
    let live = LiveDevices(
      monotonicMilliseconds: { MonotonicClock.milliseconds },
      maximumParkedPolls: configuration.maximumParkedPolls)
    let replay = try await ReplayProtection.open(
      configuration, on: lanes, database: database, live: live, clock: clock, logger: logger, opened: &opened)
    let background = BackgroundWork(on: lanes[0], live: live, clock: clock, logger: logger)
    opened.add { await background.stop() }
    let keys = try await OwnerKeys.open(configuration.jwt, on: lanes[0].loop, logger: logger, opened: &opened)

    let metrics = Metrics()
    let parts = Parts(
      configuration: configuration, hasher: Argon2idHasher(argon2id: argon2id, pool: hashing), clock: clock,
      live: live, replay: replay, tokenVerifier: keys.verifier, metrics: ServiceMetrics(in: metrics),
      logger: logger)
    let servers = try await openServers(parts, on: lanes, listener: listener, opened: &opened)
    ServiceMetrics.describeProcess(in: metrics, version: CommandLineInterface.version, startedAt: clock.now())
    measure(lanes, servers, hashing, live, replay, in: metrics)
    let admin = try await openAdmin(
      adminListener, host: configuration.adminListen?.host, on: lanes[0].loop, metrics: metrics, opened: &opened
    )

    let address = ListenAddress(host: configuration.listen.host, port: listener.port)
    logger.log(
      .info, "listening",
      [
        "address": address.description, "scheme": configuration.tls == nil ? "http" : "https",
        "admin_address": admin?.address.description ?? "off",
        "database": configuration.database.description, "event_loops": String(lanes.count),
      ])
    return RunningServer(
      address: address, adminAddress: admin?.address, loops: lanes.map(\.loop), opened: opened, logger: logger)
  }

  /// Serves on each lane. They are closed together: what is in flight has one time to finish.
  private static func openServers(
    _ parts: Parts, on lanes: [Lane], listener: Listener, opened: inout OpenedParts
  ) async throws -> [HTTPServer] {
    let limits = limits(of: parts.configuration)
    var servers: [HTTPServer] = []
    for (index, lane) in lanes.enumerated() {
      let descriptor = listener.descriptors[index]
      do throws(HTTPServerError) {
        let server = try await lane.loop.run { () throws(HTTPServerError) in
          try HTTPServer(
            on: lane.loop, listening: descriptor, tls: parts.configuration.tls, limits: limits,
            trustedProxies: parts.configuration.trustedProxies, responder: parts.api(of: lane, at: index))
        }
        servers.append(server)
        opened.add { await lane.loop.run { await server.shutDown(timeoutMilliseconds: 0) } }
      } catch {
        guard parts.configuration.tls != nil else { throw error }
        throw UsageError(.tlsCertFile, "\(error)")
      }
    }
    let live = parts.live
    opened.add { [servers] in
      live.parked.close()
      await withTaskGroup { group in
        for (lane, server) in zip(lanes, servers) {
          group.addTask {
            await lane.loop.run { await server.shutDown(timeoutMilliseconds: shutDownTimeoutMilliseconds) }
          }
        }
      }
    }
    return servers
  }

  /// Serves the metrics, where they are asked for.
  private static func openAdmin(
    _ listener: Listener?, host: String?, on loop: EventLoop, metrics: Metrics, opened: inout OpenedParts
  ) async throws -> AdminServer? {
    guard let listener, let host else { return nil }
    let admin = try await loop.run {
      try AdminServer(on: loop, listener: listener, host: host, metrics: metrics)
    }
    opened.add { await admin.shutDown() }
    return admin
  }

  /// The configured limits, and no more connections than there are descriptors for.
  private static func limits(of configuration: Configuration) -> HTTPLimits {
    var limits = configuration.limits
    let available = max(ProcessSettings.descriptorLimit - reservedDescriptors, configuration.eventLoops)
    limits.maximumConnectionsPerLoop = min(
      limits.maximumConnectionsPerLoop, available / configuration.eventLoops)
    return limits
  }

  /// What the metrics tell of the parts while they run.
  private static func measure(
    _ lanes: [Lane], _ servers: [HTTPServer], _ hashing: WorkerPool, _ live: LiveDevices,
    _ replay: ReplayProtection, in metrics: Metrics
  ) {
    metrics.gauge("http_connections_open", "Connections of clients.") {
      var count = 0
      for (lane, server) in zip(lanes, servers) { count += await lane.loop.run { server.connectionCount } }
      return Double(count)
    }
    metrics.gauge("argon2id_queue_length", "Secrets that wait for a thread to be hashed.") {
      Double(hashing.queueLength)
    }
    metrics.gauge("parked_polls", "Polls that wait for a signal.") { Double(live.parked.count) }
    metrics.gauge("verifier_cache_entries", "Devices whose credentials are remembered.") {
      Double(live.rememberedDevices)
    }
    metrics.gauge("verifier_cache_trusted", "1 while the database's changes are heard, else 0.") {
      live.isTrusted ? 1 : 0
    }
    metrics.gauge("presence_pending", "Devices whose presence is not written yet.") {
      Double(live.pendingPresence)
    }
    metrics.gauge("replay_nonces", "Nonces that this process remembers.") { Double(replay.count) }
    metrics.gauge("replay_nonces_limit", "Nonces that this process may remember; past it, none is accepted.") {
      Double(replay.limit)
    }
  }
}

/// What was opened, and how it is closed: in the opposite order.
struct OpenedParts: Sendable {
  private var closers: [@Sendable () async -> Void] = []

  mutating func add(_ close: @escaping @Sendable () async -> Void) { closers.append(close) }

  func close() async {
    for close in closers.reversed() { await close() }
  }
}

/// What the API of each lane is made of.
private struct Parts: Sendable {
  let configuration: Configuration
  let hasher: Argon2idHasher
  let clock: any Clock
  let live: LiveDevices
  let replay: ReplayProtection
  let tokenVerifier: TokenVerifier
  let metrics: ServiceMetrics
  let logger: Logger

  func api(of lane: Lane, at index: Int) -> API {
    let publicURL = configuration.publicURL
    let (metrics, logger) = (metrics, logger)
    return API(
      services: services(store: lane.store.store, replay: replay.store(ofLane: index)),
      authenticator: JWTAuthenticator(verifier: tokenVerifier, clock: clock, loop: lane.loop),
      origin: SignatureOrigin(
        scheme: publicURL?.scheme ?? (configuration.tls == nil ? "http" : "https"),
        authority: publicURL?.authority),
      publicURL: publicURL?.description
    ) { event in
      metrics.count(event)
      logger.log(event)
    }
  }

  private func services(store: any RegistryStore, replay: any ReplayStore) -> API.Services {
    let random = SystemRandomSource()
    let authentication = AuthenticationService(
      store: store, live: live, replay: replay, hasher: hasher, clock: clock,
      skewSeconds: configuration.signatureSkewSeconds)
    return API.Services(
      devices: DeviceService(
        store: store, live: live, hasher: hasher, clock: clock, random: random,
        maxDevicesPerClient: configuration.maxDevicesPerClient),
      clients: ClientService(store: store, live: live, clock: clock, random: random),
      authentication: authentication,
      tokens: TokenService(
        store: store, live: live, authentication: authentication, hasher: hasher, clock: clock, random: random),
      signals: SignalService(
        store: store, live: live, authentication: authentication, clock: clock, random: random),
      clock: clock, store: store)
  }
}

/// What verifies the tokens of owners: keys that are given, and a set of keys that is kept fresh.
private struct OwnerKeys {
  let verifier: TokenVerifier

  static func open(
    _ configuration: JWTConfiguration, on loop: EventLoop, logger: Logger, opened: inout OpenedParts
  ) async throws -> OwnerKeys {
    let fetching = try WorkerPool(
      name: "jwks", threads: RunningServer.fetchThreads,
      maximumQueueLength: RunningServer.maximumFetchQueueLength)
    opened.add { fetching.abandon() }
    let remoteKeys = try configuration.keysURL.map { url in
      try RemoteJWKSet(
        url: url, certificateFile: getenv("SSL_CERT_FILE").map { String(cString: $0) },
        blocking: FetchThreads(pool: fetching),
        monotonicMilliseconds: { MonotonicClock.milliseconds }, report: { logger.log($0) })
    }
    if let remoteKeys {
      await remoteKeys.refreshIfDue()
      let refresh = Task(executorPreference: loop) {
        await remoteKeys.run { await loop.sleep(milliseconds: $0) }
      }
      opened.add {
        refresh.cancel()
        await refresh.value
      }
    }
    return OwnerKeys(
      verifier: TokenVerifier(
        secret: configuration.secret, keys: configuration.keys, remoteKeys: remoteKeys,
        issuer: configuration.issuer, audience: configuration.audience))
  }
}

extension Logger {
  /// Of what happens on the wire, what somebody must see to.
  fileprivate func log(_ event: APIEvent) {
    switch event {
    case .failed(let failure):
      log(
        .error, "request failed",
        ["request_id": failure.requestID, "problem": failure.problem, "cause": failure.cause])
    case .answered, .deviceRegistered, .deviceRevoked, .acknowledged: break
    }
  }

  fileprivate func log(_ event: KeySetEvent) {
    switch event {
    case .fetched(let keys, let refusals, let lifetime):
      // Without a key, no token of theirs verifies.
      log(
        keys > 0 ? .info : .warning, "jwks fetched",
        ["keys": String(keys), "lifetime_seconds": String(lifetime)])
      for refusal in refusals { log(.warning, "jwk refused", ["cause": refusal]) }
    case .failed(let error): log(.warning, "jwks not fetched", ["cause": error.description])
    }
  }
}
