internal import API
internal import Crypto
internal import EventLoop
internal import Glibc
internal import HTTP
internal import JSONWebToken
public import Observability
internal import Registry

/// The service while it runs. `start` composes it; `shutDown` takes it apart in the opposite order.
public final class RunningServer: Sendable {
  /// Where it listens, with the port that the system picked where 0 was asked for.
  public let address: ListenAddress
  /// Where its metrics are, likewise; nil where they are turned off.
  public var adminAddress: ListenAddress? { admin?.address }
  private let lanes: [Lane]
  private let hashing: WorkerPool
  private let fetching: WorkerPool
  private let keyRefresh: Task<Void, Never>?
  private let admin: AdminServer?
  private let database: Database
  private let logger: Logger

  /// What one event loop has for itself.
  private struct Lane: Sendable {
    let loop: EventLoop
    let store: OpenStore
    let http: HTTPServer
  }

  /// How long what is in flight may take when the service stops.
  static let shutDownTimeoutMilliseconds = 10_000
  /// Threads that fetch JWK sets, and fetches that wait: there is one set, and one fetch of it at a time.
  static let fetchThreads = 1
  static let maximumFetchQueueLength = 4
  /// Descriptors that connections of clients leave to the database, the log and the rest.
  static let reservedDescriptors = 256

  /// Brings the database up to date, and serves. Throws an error whose text says what is wrong and what to do.
  public static func start(_ configuration: Configuration, logger: Logger) async throws -> RunningServer {
    let clock = SystemClock()
    let argon2id = try Argon2id(
      memoryKiB: configuration.argon2MemoryKiB, iterations: configuration.argon2Time)
    for migration in try Database.migrate(configuration.database) {
      logger.log(.notice, "migrated", ["migration": migration])
    }
    let database = try Database(configuration.database, loops: configuration.eventLoops)
    let listener = try Listener(
      host: configuration.listen.host, port: configuration.listen.port, count: configuration.eventLoops,
      backlog: configuration.limits.listenBacklog)
    let adminListener = try configuration.adminListen.map(AdminServer.listen)
    let metrics = Metrics()
    let serviceMetrics = ServiceMetrics(in: metrics)
    ServiceMetrics.describeProcess(
      in: metrics, version: CommandLineInterface.version, startedAt: clock.now())

    let hashing = try WorkerPool(
      name: "argon2id", threads: ProcessSettings.processorCount,
      maximumQueueLength: Argon2idHasher.maximumQueueLength, niceness: 5)
    let hasher = Argon2idHasher(argon2id: argon2id, pool: hashing)
    let fetching = try WorkerPool(
      name: "jwks", threads: fetchThreads, maximumQueueLength: maximumFetchQueueLength)
    let remoteKeys = try remoteKeys(configuration.jwt, fetching: fetching, logger: logger)
    await remoteKeys?.refreshIfDue()
    let verifier = TokenVerifier(
      secret: configuration.jwt.secret, keys: configuration.jwt.keys, remoteKeys: remoteKeys,
      issuer: configuration.jwt.issuer, audience: configuration.jwt.audience)
    let limits = limits(of: configuration)

    let lanes = try await openLanes(on: listener.descriptors) { loop, descriptor in
      let store = try database.store(on: loop, logger: logger)
      let random = SystemRandomSource()
      let api = API(
        devices: DeviceService(
          store: store.store, hasher: hasher, clock: clock, random: random,
          maxDevicesPerClient: configuration.maxDevicesPerClient),
        clients: ClientService(store: store.store, clock: clock, random: random),
        store: store.store, authenticator: JWTAuthenticator(verifier: verifier, clock: clock, loop: loop),
        publicURL: configuration.publicURL?.description
      ) { event in
        serviceMetrics.count(event)
        logger.log(event)
      }
      do throws(HTTPServerError) {
        let http = try HTTPServer(
          on: loop, listening: descriptor, tls: configuration.tls, limits: limits, responder: api)
        return Lane(loop: loop, store: store, http: http)
      } catch {
        await store.close()
        guard configuration.tls != nil else { throw error }
        throw UsageError(.tlsCertFile, "\(error)")
      }
    }

    measure(lanes, hashing, in: metrics)
    let admin = try await openAdmin(
      adminListener, host: configuration.adminListen?.host, on: lanes, metrics: metrics)
    let address = ListenAddress(host: configuration.listen.host, port: listener.port)
    logger.log(
      .info, "listening",
      [
        "address": address.description, "scheme": configuration.tls == nil ? "http" : "https",
        "admin_address": admin?.address.description ?? "off",
        "database": configuration.database.description, "event_loops": String(lanes.count),
      ])
    let first = lanes[0].loop
    let keyRefresh = remoteKeys.map { keys in
      Task(executorPreference: first) { await keys.run { await first.sleep(milliseconds: $0) } }
    }
    return RunningServer(
      address: address, lanes: lanes, hashing: hashing, fetching: fetching, keyRefresh: keyRefresh,
      admin: admin, database: database, logger: logger)
  }

  private init(
    address: ListenAddress, lanes: [Lane], hashing: WorkerPool, fetching: WorkerPool,
    keyRefresh: Task<Void, Never>?, admin: AdminServer?, database: Database, logger: Logger
  ) {
    self.address = address
    self.lanes = lanes
    self.hashing = hashing
    self.fetching = fetching
    self.keyRefresh = keyRefresh
    self.admin = admin
    self.database = database
    self.logger = logger
  }

  /// Stops accepting, finishes what is in flight (10 s at most), and closes everything.
  public func shutDown() async {
    logger.log(.info, "stopping")
    keyRefresh?.cancel()
    await Self.close(lanes, timeoutMilliseconds: Self.shutDownTimeoutMilliseconds)
    await keyRefresh?.value
    await admin?.shutDown()
    for lane in lanes { lane.loop.stop() }
    hashing.cancel()
    fetching.cancel()
    database.close()
    logger.log(.info, "stopped")
  }

  // MARK: Parts of it

  /// Opens a lane for each listening socket; when one fails, closes those that are open.
  private static func openLanes(
    on descriptors: [Int32], _ open: @escaping @Sendable (EventLoop, Int32) async throws -> Lane
  ) async throws -> [Lane] {
    var lanes: [Lane] = []
    do {
      for (index, descriptor) in descriptors.enumerated() {
        let loop = try EventLoop(name: "loop-\(index)")
        do {
          lanes.append(try await loop.run { try await open(loop, descriptor) })
        } catch {
          loop.stop()
          throw error
        }
      }
      return lanes
    } catch {
      await close(lanes, timeoutMilliseconds: 0)
      for lane in lanes { lane.loop.stop() }
      throw error
    }
  }

  /// Serves the metrics on the first lane's loop, where they are asked for; when it fails, closes the lanes.
  private static func openAdmin(
    _ listener: Listener?, host: String?, on lanes: [Lane], metrics: Metrics
  ) async throws -> AdminServer? {
    guard let listener, let host else { return nil }
    let loop = lanes[0].loop
    do {
      return try await loop.run {
        try AdminServer(on: loop, listener: listener, host: host, metrics: metrics)
      }
    } catch {
      await close(lanes, timeoutMilliseconds: 0)
      for lane in lanes { lane.loop.stop() }
      throw error
    }
  }

  /// What the metrics tell of the parts while they run.
  private static func measure(_ lanes: [Lane], _ hashing: WorkerPool, in metrics: Metrics) {
    metrics.gauge("http_connections_open", "Connections of clients.") {
      var count = 0
      for lane in lanes { count += await lane.loop.run { lane.http.connectionCount } }
      return Double(count)
    }
    metrics.gauge("argon2id_queue_length", "Secrets that wait for a thread to be hashed.") {
      Double(hashing.queueLength)
    }
  }

  private static func close(_ lanes: [Lane], timeoutMilliseconds: Int) async {
    await withTaskGroup { group in
      for lane in lanes {
        group.addTask {
          await lane.loop.run { await lane.http.shutDown(timeoutMilliseconds: timeoutMilliseconds) }
          await lane.store.close()
        }
      }
    }
  }

  /// The configured limits, and no more connections than there are descriptors for.
  private static func limits(of configuration: Configuration) -> HTTPLimits {
    var limits = configuration.limits
    let available = max(ProcessSettings.descriptorLimit - reservedDescriptors, configuration.eventLoops)
    limits.maximumConnectionsPerLoop = min(
      limits.maximumConnectionsPerLoop, available / configuration.eventLoops)
    return limits
  }

  private static func remoteKeys(
    _ configuration: JWTConfiguration, fetching: WorkerPool, logger: Logger
  ) throws -> RemoteJWKSet? {
    guard let url = configuration.keysURL else { return nil }
    return try RemoteJWKSet(
      url: url, certificateFile: getenv("SSL_CERT_FILE").map { String(cString: $0) },
      blocking: FetchThreads(pool: fetching),
      monotonicMilliseconds: { MonotonicClock.milliseconds }, report: { logger.log($0) })
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
    case .answered, .deviceRegistered, .deviceRevoked, .polled, .acknowledged: break
    }
  }

  fileprivate func log(_ event: KeySetEvent) {
    switch event {
    case .fetched(let keys, let refusals, let lifetime):
      log(.info, "jwks fetched", ["keys": String(keys), "lifetime_seconds": String(lifetime)])
      for refusal in refusals { log(.warning, "jwk refused", ["cause": refusal]) }
    case .failed(let error): log(.warning, "jwks not fetched", ["cause": error.description])
    }
  }
}
