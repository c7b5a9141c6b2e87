internal import EventLoop

/// The tasks that answer the requests of one server. One that is done waits for the next request of any connection,
/// because to begin a task costs as much as to read a request; a connection between requests has none.
///
/// `@unchecked Sendable`: confined to the server's loop, which its tasks prefer.
final class Handlers: @unchecked Sendable {
  private let loop: EventLoop
  private let responder: any Responder
  private var idle: [Handler] = []
  private var isClosed = false
  /// Requests that are being answered.
  private(set) var runningCount = 0

  /// Tasks that wait for a request. Further ones end when they are done.
  static let maximumIdle = 128

  init(on loop: EventLoop, _ responder: any Responder) {
    self.loop = loop
    self.responder = responder
  }

  /// Answers a request. The answer, which may be there before this returns, is handed to its connection.
  func start(_ request: Request, _ number: UInt64, of connection: Connection) -> Handler {
    runningCount += 1
    let work = Handler.Work(request: request, number: number, connection: connection)
    if let handler = idle.popLast() {
      handler.resume(work)
      return handler
    }
    let handler = Handler()
    handler.task = loop.startTask { await self.run(handler, work) }
    return handler
  }

  private func run(_ handler: Handler, _ first: Handler.Work) async {
    var next: Handler.Work? = first
    while let work = next {
      next = nil
      let response = await responder.respond(to: work.request)
      runningCount -= 1
      work.connection.finish(work.number, response)
      guard !isClosed, !handler.isCancelled, idle.count < Self.maximumIdle else { break }
      idle.append(handler)
      next = await handler.nextWork()
    }
    // So that it does not keep itself.
    handler.task = nil
  }

  /// Ends the tasks that wait.
  func close() {
    isClosed = true
    for handler in idle { handler.resume(nil) }
    idle = []
  }
}

/// A task that answers one request after another.
///
/// `@unchecked Sendable`: confined to the loop of its `Handlers`.
final class Handler: @unchecked Sendable {
  struct Work {
    let request: Request
    let number: UInt64
    let connection: Connection
  }

  fileprivate var task: Task<Void, Never>?
  fileprivate private(set) var isCancelled = false
  private var waiter: UnsafeContinuation<Work?, Never>?

  /// Tells the request that it answers that nobody waits for the answer. It answers no other.
  func cancel() {
    isCancelled = true
    task?.cancel()
  }

  fileprivate func nextWork() async -> Work? { await withUnsafeContinuation { waiter = $0 } }

  fileprivate func resume(_ work: Work?) {
    waiter?.resume(returning: work)
    waiter = nil
  }
}
