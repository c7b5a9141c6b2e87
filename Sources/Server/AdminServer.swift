internal import EventLoop
internal import HTTP
internal import Observability

/// The HTTP server of the metrics. It has a separate address and a separate loop, so that it answers even if the
/// clients' loops are blocked. It has neither TLS nor authentication.
final class AdminServer: ClosableService {
  /// The addresses it listens on, at least one; the port is the system's choice if 0 was configured.
  let addresses: [ListenAddress]
  private let loop: EventLoop
  private let http: HTTPServer

  /// Open connections. A collector uses one; further connections wait.
  static let maximumConnections = 32
  /// Connections that the system queues until the loop accepts them.
  static let listenBacklog = 32
  /// How long requests in progress may take when the service stops.
  static let shutDownTimeoutMilliseconds = 1_000

  /// Binds the addresses of a host. Throws an error that names the setting.
  static func listen(at address: ListenAddress) throws(ListenerError) -> Listener {
    try Listener(
      host: address.host, port: address.port, count: 1, backlog: listenBacklog,
      setting: Setting.adminListen.rawValue)
  }

  /// Starts the server. Throws `EventLoopError` if the system cannot start a thread, and `HTTPServerError`.
  init(listener: Listener, metrics: Metrics) async throws {
    var limits = HTTPLimits()
    limits.maximumConnectionsPerLoop = Self.maximumConnections
    let loop = try EventLoop(name: "admin")
    do throws(HTTPServerError) {
      http = try await loop.run { [limits] () throws(HTTPServerError) in
        try HTTPServer(
          on: loop, listening: listener.descriptors[0], limits: limits,
          responder: MetricsResponder(metrics: metrics))
      }
    } catch {
      loop.stop()
      throw error
    }
    addresses = ListenAddress.all(of: listener)
    self.loop = loop
  }

  func close() async {
    await loop.run { [http] in await http.shutDown(timeoutMilliseconds: Self.shutDownTimeoutMilliseconds) }
    loop.stop()
  }
}

/// Answers `GET /metrics` only.
private struct MetricsResponder: Responder {
  let metrics: Metrics

  private static let path = "/metrics"
  private static let methods = ["GET", "HEAD"]

  func respond(to request: Request) async -> Response {
    guard request.path == Self.path else {
      return Self.answer(404, "Nothing answers at this path; the metrics are at \(Self.path).\n")
    }
    guard Self.methods.contains(request.method) else {
      return Self.answer(405, "The method must be GET or HEAD.\n")
    }
    let text = metrics.text()
    let body = ByteBuffer(capacity: text.count)
    text.withUnsafeBufferPointer { body.append($0) }
    return Response(status: 200, contentType: Metrics.contentType, body: body)
  }

  func refuse(_ refusal: Refusal, requestID: String) -> Response {
    Self.answer(refusal.status, "The request was refused: \(refusal.rawValue).\n")
  }

  private static func answer(_ status: Int, _ text: String) -> Response {
    let body = ByteBuffer(capacity: text.utf8.count)
    body.append(utf8: text)
    let response = Response(status: status, contentType: "text/plain; charset=utf-8", body: body)
    if status == 405 { response.fields = [("Allow", methods.joined(separator: ", "))] }
    return response
  }
}
