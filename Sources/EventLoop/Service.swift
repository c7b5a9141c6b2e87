/// A part of the process that runs until its task is cancelled. Then it finishes its work, closes what it
/// opened, and returns.
public protocol Service: Sendable {
  func run() async
}

/// A service without work between calls, which only has to be closed.
public protocol ClosableService: Service {
  /// Called once, after everything that uses the service has ended.
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

/// The running services, in the order of their start. Each may use the earlier ones, so they are stopped in
/// reverse.
public struct RunningServices: Sendable {
  private var tasks: [Task<Void, Never>] = []

  public init() {}

  /// - Parameter loop: the loop that runs the service; nil for any thread.
  public mutating func start(_ service: some Service, on loop: EventLoop? = nil) {
    tasks.append(Task(executorPreference: loop) { await service.run() })
  }

  /// Stops the services one after the other, the last one first.
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
