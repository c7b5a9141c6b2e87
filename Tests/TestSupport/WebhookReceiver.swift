import EventLoop
import HTTP
import Synchronization

/// A receiver of webhooks, over plain HTTP: it remembers what it gets, and answers as the test wants.
public final class WebhookReceiver: Sendable {
  /// A request that it got.
  public struct Received: Hashable, Sendable {
    public let path: String
    /// The `webhook-` fields.
    public let id: String
    public let timestamp: String
    public let signature: String
    public let body: [UInt8]

    public var text: String { String(decoding: body, as: UTF8.self) }
  }

  /// An answer; nil to give none until the receiver is closed.
  public typealias Answer = (status: Int, text: String)?

  public let port: UInt16
  private let loop: EventLoop
  private let server: HTTPServer
  private let memory: Memory

  private final class Memory: Responder {
    let received = Mutex<[Received]>([])
    let answer: @Sendable (Received) -> Answer

    init(answer: @escaping @Sendable (Received) -> Answer) { self.answer = answer }

    func respond(to request: Request) async -> Response {
      guard case .complete(let body) = request.body else { return Response(status: 400) }
      let received = Received(
        path: String(request.path), id: request.value(of: "webhook-id") ?? "",
        timestamp: request.value(of: "webhook-timestamp") ?? "",
        signature: request.value(of: "webhook-signature") ?? "", body: body)
      self.received.withLock { $0.append(received) }
      guard let (status, text) = answer(received) else {
        await untilCancelled()
        return Response(status: 503)
      }
      let content = ByteBuffer()
      content.append(utf8: text)
      let fields: [(name: StaticString, value: String)] =
        (300..<400).contains(status) ? [("Location", "/elsewhere")] : []
      return Response(status: status, fields: fields, contentType: "text/plain", body: content)
    }

    func refuse(_ refusal: Refusal, requestID: String) -> Response { Response(status: refusal.status) }
  }

  /// Lends a receiver.
  public static func with<Result>(
    answer: @escaping @Sendable (Received) -> Answer = { _ in (204, "") },
    _ body: (WebhookReceiver) async throws -> Result
  ) async throws -> Result {
    let receiver = try await WebhookReceiver(answer: answer)
    do {
      let result = try await body(receiver)
      await receiver.close()
      return result
    } catch {
      await receiver.close()
      throw error
    }
  }

  private init(answer: @escaping @Sendable (Received) -> Answer) async throws {
    let loop = try EventLoop(name: "receiver")
    let listener = try Listener(host: "127.0.0.1", port: 0, count: 1, backlog: 128)
    let memory = Memory(answer: answer)
    server = try await loop.run { () throws in
      try HTTPServer(on: loop, listening: listener.descriptors[0], limits: HTTPLimits(), responder: memory)
    }
    (self.loop, self.memory, port) = (loop, memory, listener.port)
  }

  private func close() async {
    await loop.run { [server] in await server.shutDown(timeoutMilliseconds: 100) }
    loop.stop()
  }

  public func url(_ path: String = "/") -> String { "http://127.0.0.1:\(port)\(path)" }

  /// What it got, oldest first.
  public var received: [Received] { memory.received.withLock { $0 } }

  /// What it got at a path, oldest first.
  public func received(at path: String) -> [Received] { received.filter { $0.path == path } }

  /// How many requests it got.
  public var count: Int { memory.received.withLock { $0.count } }

  public func forget() { memory.received.withLock { $0 = [] } }
}
