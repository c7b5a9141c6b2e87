/// A part of the process that runs until its task is cancelled. Then it finishes what it has begun, closes what it
/// opened, and returns.
public protocol Service: Sendable {
  func run() async
}

/// A service that works when it is called, and only has to be closed.
public protocol ClosableService: Service {
  /// Called once, when everything that uses it has ended.
  func close() async
}

extension ClosableService {
  public func run() async {
    await untilCancelled()
    await close()
  }
}

/// Waits until the task is cancelled.
public func untilCancelled() async {
  let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
  for await _ in stream {}
  withExtendedLifetime(continuation) {}
}

/// The services that run, in the order in which they were started. Each may use those before it, so they are shut down
/// in reverse.
public struct RunningServices: Sendable {
  private var tasks: [Task<Void, Never>] = []

  public init() {}

  /// - Parameter loop: where the service runs; nil for any thread.
  public mutating func start(_ service: some Service, on loop: EventLoop? = nil) {
    tasks.append(Task(executorPreference: loop) { await service.run() })
  }

  /// Ends one after the other, the last one first.
  public func shutDown() async {
    for task in tasks.reversed() {
      task.cancel()
      await task.value
    }
  }
}

extension EventLoop: ClosableService {
  public func close() async { stop() }
}
