internal import API
internal import Crypto
internal import EventLoop
internal import Glibc
internal import HTTP
internal import HTTPClient
internal import JSONWebToken
public import Observability
public import Registry

/// The service while it runs. `start` composes it; `shutDown` takes it apart in the opposite order.
public final class RunningServer: Sendable {
  /// Where it listens, with the port that the system picked where 0 was asked for.
  public let address: ListenAddress
  /// Where its metrics are, likewise; nil where they are turned off.
  public let adminAddress: ListenAddress?
  private let front: Front
  private let opened: OpenedParts
  private let logger: Logger

  /// How long what is in flight may take when the service stops.
  static let shutDownTimeoutMilliseconds = 10_000
  /// Descriptors that connections of clients leave to the database, the log and the rest.
  static let reservedDescriptors = 256
  /// Whoever spoke HTTPS with us once is to do so for a year (RFC 6797). Other hosts of the domain are not ours to bind.
  static let strictTransportSecurity: HTTPServer.CommonField = (
    "Strict-Transport-Security", "max-age=31536000"
  )

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
    address: ListenAddress, adminAddress: ListenAddress?, front: Front, opened: OpenedParts, logger: Logger
  ) {
    self.address = address
    self.adminAddress = adminAddress
    self.front = front
    self.opened = opened
    self.logger = logger
  }

  /// Returns once each loop that serves has had a turn: one that hangs has none.
  func passThroughLoops() async {
    for lane in front.lanes { await lane.loop.run {} }
  }

  /// Stops accepting, empties parked polls, finishes what is in flight (10 s at most), writes presence, and closes
  /// everything.
  public func shutDown() async {
    logger.log(.info, "stopping")
    await opened.close()
    logger.log(.info, "stopped")
  }

  /// Reads the certificate and its key anew, and shows them to new connections; those that are open go on as they are.
  /// What cannot be used is logged, and nothing changes. Blocks while it reads.
  public func reload() async {
    guard let certificate = front.certificate else {
      return logger.log(.notice, "nothing to reload", ["cause": "there is no TLS"])
    }
    do throws(UsageError) {
      try certificate.reload()
    } catch {
      return logger.log(.error, "certificate not reloaded", ["cause": error.description])
    }
    let identity = certificate.current
    for (lane, server) in zip(front.lanes, front.servers) { await lane.loop.run { server.present(identity) } }
    let expiry = Timestamp(millisecondsSince1970: identity.expirySeconds * 1000)
    logger.log(.notice, "certificate reloaded", ["expires_at": expiry.description])
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
      maximumParkedPolls: configuration.maxParkedPolls)
    let replay = try await ReplayProtection.open(
      configuration, on: lanes, database: database, live: live, clock: clock, logger: logger, opened: &opened)
    let background = BackgroundWork(on: lanes[0], live: live, clock: clock, logger: logger)
    opened.add { await background.stop() }
    let keys = try await OwnerKeys.open(configuration.jwt, on: lanes[0].loop, logger: logger, opened: &opened)

    let limits = RateLimits(
      configuration.rateLimits, random: SystemRandomSource(),
      monotonicMilliseconds: { MonotonicClock.milliseconds })
    let metrics = Metrics()
    let requestLog = RequestLog(logger)
    let parts = Parts(
      configuration: configuration, hasher: Argon2idHasher(argon2id: argon2id, pool: hashing), clock: clock,
      live: live, replay: replay, limits: limits, tokenVerifier: keys.verifier,
      metrics: ServiceMetrics(in: metrics),
      requestLog: requestLog)
    let front = try await openServers(parts, on: lanes, listener: listener, opened: &opened)

    ProcessMetrics.describe(in: metrics, version: CommandLineInterface.version, startedAt: clock.now())
    let partMetrics = PartMetrics(metrics: metrics)
    partMetrics.describe(
      front.servers, connectionLimit: Self.limits(of: configuration).maximumConnectionsPerLoop * lanes.count,
      front.certificate)
    partMetrics.describe(hashing)
    partMetrics.describe(live, replay)
    partMetrics.describe(limits)
    partMetrics.describe(database, lanes)
    partMetrics.describe(logger, requestLog)
    let pulses = await partMetrics.describe(lanes.map(\.loop))
    opened.add {
      for (lane, pulse) in zip(lanes, pulses) { await lane.loop.run { pulse.stop() } }
    }
    let admin = try await openAdmin(
      adminListener, host: configuration.adminListen?.host, metrics: metrics, opened: &opened)

    let address = ListenAddress(host: configuration.listen.host, port: listener.port)
    logger.log(
      .info, "listening",
      [
        "address": address.description, "scheme": configuration.tls == nil ? "http" : "https",
        "admin_address": admin?.address.description ?? "off",
        "database": configuration.database.description, "event_loops": String(lanes.count),
      ])
    return RunningServer(
      address: address, adminAddress: admin?.address, front: front, opened: opened, logger: logger)
  }

  /// Serves on each lane. They are closed together: what is in flight has one time to finish.
  private static func openServers(
    _ parts: Parts, on lanes: [Lane], listener: Listener, opened: inout OpenedParts
  ) async throws -> Front {
    let configuration = parts.configuration
    let limits = limits(of: configuration)
    var servers: [HTTPServer] = []
    for (index, lane) in lanes.enumerated() {
      let descriptor = listener.descriptors[index]
      let server = try await lane.loop.run { () throws(HTTPServerError) in
        try HTTPServer(
          on: lane.loop, listening: descriptor, tls: configuration.tlsIdentity, limits: limits,
          trustedProxies: configuration.trustedProxies,
          commonFields: configuration.isHTTPS ? [strictTransportSecurity] : [],
          responder: parts.api(of: lane, at: index))
      }
      servers.append(server)
      opened.add { await lane.loop.run { await server.shutDown(timeoutMilliseconds: 0) } }
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
    let certificate = configuration.tls.flatMap { files in
      configuration.tlsIdentity.map { ServedCertificate($0, from: files) }
    }
    return Front(lanes: lanes, servers: servers, certificate: certificate)
  }

  /// Serves the metrics, where they are asked for.
  private static func openAdmin(
    _ listener: Listener?, host: String?, metrics: Metrics, opened: inout OpenedParts
  ) async throws -> AdminServer? {
    guard let listener, let host else { return nil }
    let admin = try await AdminServer(listener: listener, host: host, metrics: metrics)
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
}

/// What clients meet: a server on each lane, in their order, and the certificate that they show.
private struct Front: Sendable {
  let lanes: [Lane]
  let servers: [HTTPServer]
  /// Nil without TLS.
  let certificate: ServedCertificate?
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
  let limits: RateLimits
  let tokenVerifier: TokenVerifier
  let metrics: ServiceMetrics
  let requestLog: RequestLog

  func api(of lane: Lane, at index: Int) -> API {
    let publicURL = configuration.publicURL
    let (metrics, requestLog) = (metrics, requestLog)
    return API(
      services: services(store: lane.store.store, replay: replay.store(ofLane: index)),
      verifier: JWTVerifier(tokenVerifier),
      origin: SignatureOrigin(
        scheme: configuration.isHTTPS ? "https" : "http",
        authority: publicURL?.authority),
      publicURL: publicURL?.description
    ) { request in
      metrics.count(request)
      requestLog.log(request)
    }
  }

  private func services(store: any RegistryStore, replay: any ReplayStore) -> Services {
    Services(
      store: store, live: live, replay: replay, hasher: hasher, limits: limits, clock: clock,
      random: SystemRandomSource(), observer: metrics, skewSeconds: configuration.signatureSkewSeconds,
      maxDevicesPerClient: configuration.maxDevicesPerClient)
  }
}

/// What verifies the tokens of owners: keys that are given, and a set of keys that is kept fresh.
private struct OwnerKeys {
  let verifier: TokenVerifier

  static func open(
    _ configuration: JWTConfiguration, on loop: EventLoop, logger: Logger, opened: inout OpenedParts
  ) async throws -> OwnerKeys {
    guard let url = configuration.keysURL else {
      return OwnerKeys(verifier: verifier(configuration, remoteKeys: nil))
    }
    let client = try await loop.run { () throws(FetchError) in try WebClient(on: loop) }
    var request = WebClient.Request(url: url)
    request.certificateFile = getenv("SSL_CERT_FILE").map { String(cString: $0) }
    let remoteKeys = RemoteJWKSet(
      on: loop, monotonicMilliseconds: { MonotonicClock.milliseconds }, report: { logger.log($0) }
    ) { [request] () async throws(JWKSetError) in try await client.keySet(request) }
    await remoteKeys.refreshIfDue()
    let refresh = Task(executorPreference: loop) {
      await remoteKeys.run { await loop.sleep(milliseconds: $0) }
    }
    opened.add {
      refresh.cancel()
      await client.close()
      await refresh.value
    }
    return OwnerKeys(verifier: verifier(configuration, remoteKeys: remoteKeys))
  }

  private static func verifier(_ configuration: JWTConfiguration, remoteKeys: RemoteJWKSet?) -> TokenVerifier {
    TokenVerifier(
      secret: configuration.secret, keys: configuration.keys, remoteKeys: remoteKeys,
      issuer: configuration.issuer, audience: configuration.audience)
  }
}

extension Logger {
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
