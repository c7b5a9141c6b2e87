internal import Commands
internal import EventLoop
internal import Glibc
internal import HTTP
internal import Observability
internal import Registry
internal import Webhooks

/// A small receiver of webhooks, to try them.
enum WebhookCommand {
  static let usage = "device-registry webhook listen --secret-file FILE [--listen ADDRESS:PORT]"

  static let help = """
    Receives a webhook's deliveries, verifies their signatures, and prints each event as a line of JSON. What does not
    verify is refused with 401, and standard error says why. Ends with SIGTERM or SIGINT.

    usage: \(usage)

    \(CommandLineInterface.columns([
      (secretFile, "file with the webhook's secret, whsec_...; or set \(variable)"),
      (listen, "address and port (default: \(defaultListen))"),
    ]))

    The registry calls it at a private address only with \(Setting.webhookAllowPrivate.rawValue)=true; otherwise put a
    proxy with HTTPS and a public address in front.

    examples:
      device-registry webhook listen --secret-file webhook-secret --listen 127.0.0.1:9000
    """

  private static let (listen, secretFile) = ("--listen", "--secret-file")
  private static let variable = "WEBHOOK_SECRET"
  private static let defaultListen = "127.0.0.1:9000"

  static func run(_ arguments: [String], environment: [String: String]) async throws {
    guard arguments.first == "listen" else {
      throw UsageError(
        "the first argument must be listen (device-registry webhooks manages webhooks); usage: \(usage)")
    }
    let arguments = try Arguments(
      Array(arguments.dropFirst()), flags: [listen, secretFile], environment: environment)
    try arguments.expectWords(usage: usage)
    guard let address = ListenAddress(arguments.value(of: listen) ?? defaultListen) else {
      throw UsageError("\(listen) must be ADDRESS:PORT, for example \(defaultListen)")
    }
    let verifier = try verifier(arguments, environment)
    let signals = try await ServiceSignals()
    defer { signals.close() }
    try await receive(at: address, verifier) {
      for await _ in signals.reloads {}
    }
  }

  private static func verifier(
    _ arguments: Arguments, _ environment: [String: String]
  ) throws(UsageError) -> DeliveryVerifier {
    var text = environment[variable] ?? ""
    if let path = arguments.value(of: secretFile) {
      do throws(FileUnreadable) {
        text = String(decoding: try Configuration.readFile(path), as: UTF8.self)
      } catch {
        throw UsageError("\(secretFile): \(error)")
      }
    }
    let words = text.split(whereSeparator: \.isWhitespace)
    guard words.count == 1, let verifier = DeliveryVerifier(secret: String(words[0])) else {
      throw UsageError(
        "set \(secretFile) to a file with the webhook's secret, whsec_ and 44 characters, or set \(variable)")
    }
    return verifier
  }

  /// Serves until the body returns.
  private static func receive(
    at address: ListenAddress, _ verifier: DeliveryVerifier, until end: () async -> Void
  ) async throws {
    let limits = HTTPLimits()
    let listener = try Listener(
      host: address.host, port: address.port, count: 1, backlog: limits.listenBacklog, setting: listen)
    let loop = try EventLoop(name: "receiver")
    let server = try await loop.run { () throws in
      try HTTPServer(
        on: loop, listening: listener.descriptors[0], limits: limits,
        responder: PrintingReceiver(verifier: verifier))
    }
    CommandLineInterface.printError(
      "listening at \(ListenAddress.all(of: listener).map { "http://\($0)/" }.joined(separator: ", "))")
    await end()
    await loop.run { await server.shutDown(timeoutMilliseconds: 1000) }
    loop.stop()
  }
}

/// Prints what verifies.
private struct PrintingReceiver: Responder {
  let verifier: DeliveryVerifier

  func respond(to request: Request) async -> Response {
    if case .expected = request.body { await request.receiveContent() }
    guard case .complete(let body) = request.body else { return Response(status: 413) }
    guard request.method == "POST" else { return Response(status: 405, fields: [("Allow", "POST")]) }
    let failure = verifier.failure(
      id: request.value(of: "webhook-id"), timestamp: request.value(of: "webhook-timestamp"),
      signature: request.value(of: "webhook-signature"), body: body, now: SystemClock().now())
    if let failure {
      CommandLineInterface.printError("refused: \(failure)")
      return Response(status: 401)
    }
    let line = body + [UInt8(ascii: "\n")]
    line.withUnsafeBytes { _ = write(STDOUT_FILENO, $0.baseAddress!, $0.count) }
    return Response(status: 204)
  }

  func refuse(_ refusal: Refusal, requestID: String) -> Response { Response(status: refusal.status) }
}
