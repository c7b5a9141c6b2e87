internal import EventLoop
internal import HTTP
internal import Observability

/// Where operators read the metrics: a separate HTTP server, on an address that is not the clients', and on a separate
/// loop, which answers also while the clients' loops are stuck. It has neither TLS nor authentication.
final class AdminServer: ClosableService {
  /// Where it listens, with the port that the system picked where 0 was asked for.
  let address: ListenAddress
  private let loop: EventLoop
  private let http: HTTPServer

  /// Open connections. A collector has one; further ones wait.
  static let maximumConnections = 32
  /// Connections that the system keeps until the loop takes them.
  static let listenBacklog = 32
  /// How long a look at the metrics may take when the service stops.
  static let shutDownTimeoutMilliseconds = 1_000

  /// Takes the address. Throws an error that names the setting.
  static func listen(at address: ListenAddress) throws(ListenerError) -> Listener {
    try Listener(
      host: address.host, port: address.port, count: 1, backlog: listenBacklog,
      setting: Setting.adminListen.rawValue)
  }

  /// Serves. Throws `EventLoopError` where the system has no thread left, `HTTPServerError`.
  init(listener: Listener, host: String, metrics: Metrics) async throws {
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
    address = ListenAddress(host: host, port: listener.port)
    self.loop = loop
  }

  func close() async {
    await loop.run { [http] in await http.shutDown(timeoutMilliseconds: Self.shutDownTimeoutMilliseconds) }
    loop.stop()
  }
}

/// `GET /metrics`, and nothing else.
private struct MetricsResponder: Responder {
  let metrics: Metrics

  private static let path = "/metrics"
  private static let methods = ["GET", "HEAD"]

  func respond(to request: Request) async -> Response {
    guard request.path == Self.path else {
      return Self.answer(404, "Nothing answers at this path; the metrics are at \(Self.path).\n")
    }
    guard Self.methods.contains(request.method) else {
      return Self.answer(405, "The metrics are there to be read.\n")
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
