internal import EventLoop

/// The tasks that answer the requests of one server. A task that has answered waits for the next request of any
/// connection, because starting a task costs as much as reading a request; an idle connection has no task.
///
/// `@unchecked Sendable`: confined to the server's loop, which its tasks prefer.
final class Handlers: @unchecked Sendable {
  private let loop: EventLoop
  private let responder: any Responder
  private var idle: [Handler] = []
  private var isClosed = false
  /// Requests that are being answered.
  private(set) var runningCount = 0

  /// Tasks that wait for a request. Further tasks end after their answer.
  static let maximumIdle = 128

  init(on loop: EventLoop, _ responder: any Responder) {
    self.loop = loop
    self.responder = responder
  }

  /// Answers a request and passes the answer to its connection, possibly before this returns.
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
    // A strong reference would keep it alive.
    handler.task = nil
  }

  /// Ends the waiting tasks.
  func close() {
    isClosed = true
    for handler in idle { handler.resume(nil) }
    idle = []
  }
}

/// A task that answers requests, one after another.
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

  /// Tells this request's handler that nobody waits for its answer. Later requests are not affected.
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
