internal import Commands
internal import API
internal import EventLoop
internal import HTTP
internal import Observability
internal import Registry
private import Synchronization

/// The HTTP servers for clients, one on each event loop, with one certificate.
final class HTTPServers: ClosableService {
  private let servers: [HTTPServer]
  private let live: LiveDevices
  /// Nil without TLS.
  private let tls: TLSFiles?
  private let expirySeconds: Atomic<Int64>
  /// Maximum connections. A further one replaces an idle one, or waits.
  let connectionLimit: Int
  let ledger: ConnectionLedger

  /// How long requests in progress may take when the service stops.
  static let shutDownTimeoutMilliseconds = 10_000
  /// Descriptors reserved for the database, the log and others, but not for webhooks.
  static let reservedDescriptors = 256
  /// Clients that once connected with HTTPS use only HTTPS for a year (RFC 6797). Without `includeSubDomains`: other
  /// hosts may belong to other services.
  static let strictTransportSecurity: HTTPServer.CommonField = (
    "Strict-Transport-Security", "max-age=31536000"
  )

  /// Starts the servers. `apis` and the listener's descriptors are in the order of the loops.
  init(
    _ configuration: Configuration, on loops: [EventLoop], listener: Listener, apis: [API], live: LiveDevices
  ) async throws(HTTPServerError) {
    // The descriptors bound the connections.
    var limits = configuration.limits
    let reserved = Self.reservedDescriptors + OutgoingWebhooks.maximumConnections(configuration)
    let available = max(ProcessSettings.descriptorLimit - reserved, loops.count)
    limits.maximumConnectionsPerLoop = min(limits.maximumConnectionsPerLoop, available / loops.count)
    connectionLimit = limits.maximumConnectionsPerLoop * loops.count
    limits.maximumConnectionsPerAddress =
      configuration.maxConnectionsPerAddress ?? max(connectionLimit / 4 * 3, 1)
    let ledger = ConnectionLedger(within: limits)
    var servers: [HTTPServer] = []
    do throws(HTTPServerError) {
      for (index, loop) in loops.enumerated() {
        servers.append(
          try await loop.run { [limits] () throws(HTTPServerError) in
            try HTTPServer(
              on: loop, listening: listener.descriptors[index],
              isListeningKept: configuration.isListeningKept,
              tls: configuration.tlsIdentity, limits: limits,
              trustedProxies: configuration.trustedProxies,
              commonFields: configuration.isHTTPS ? [Self.strictTransportSecurity] : [], ledger: ledger,
              responder: apis[index])
          })
      }
    } catch {
      await Self.shutDown(servers, timeoutMilliseconds: 0)
      throw error
    }
    self.servers = servers
    self.ledger = ledger
    self.live = live
    tls = configuration.tls
    expirySeconds = Atomic(configuration.tlsIdentity?.expirySeconds ?? 0)
  }

  /// Stops accepting, answers what is parked, and completes requests in progress.
  func close() async {
    live.stopParking()
    await Self.shutDown(servers, timeoutMilliseconds: Self.shutDownTimeoutMilliseconds)
  }

  /// Shuts the servers down concurrently, so that the timeouts do not add up.
  private static func shutDown(_ servers: [HTTPServer], timeoutMilliseconds: Int) async {
    await withTaskGroup { group in
      for server in servers {
        group.addTask {
          await server.loop.run { await server.shutDown(timeoutMilliseconds: timeoutMilliseconds) }
        }
      }
    }
  }

  /// Reads the certificate and its key again, for new connections. Open connections keep theirs.
  /// What cannot be used is logged, and nothing changes. Blocks while it reads.
  func reload(_ logger: Logger) async {
    guard let tls else {
      return logger.log(.notice, "nothing to reload", ["cause": "there is no TLS"])
    }
    let identity: TLSIdentity
    do throws(UsageError) {
      identity = try tls.load()
    } catch {
      return logger.log(.error, "certificate not reloaded", ["cause": error.description])
    }
    expirySeconds.store(identity.expirySeconds, ordering: .relaxed)
    for server in servers { await server.loop.run { server.present(identity) } }
    let expiry = Timestamp(millisecondsSince1970: identity.expirySeconds * 1000)
    logger.log(.notice, "certificate reloaded", ["expires_at": expiry.description])
  }

  /// Open connections. Callable from any thread.
  var connectionCount: Int { servers.reduce(0) { $0 + $1.connectionCount } }

  /// When the current certificate expires, since 1970 in UTC; nil without TLS. Callable from any thread.
  var certificateExpirySeconds: Int64? { tls.map { _ in expirySeconds.load(ordering: .relaxed) } }
}
