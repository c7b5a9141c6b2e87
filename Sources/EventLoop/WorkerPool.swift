internal import Glibc

/// A few threads for work that blocks or computes for long, behind a queue of bounded length.
///
/// `@unchecked Sendable`: `state` is touched under `mutex` alone.
public final class WorkerPool: @unchecked Sendable {
  /// The queue was full, or the pool is shut down. The work was not begun.
  public struct Full: Error {}

  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let wakeUp: UnsafeMutablePointer<pthread_cond_t>
  private var queue = Queue<@Sendable () -> Void>()
  private var isShutDown = false
  private var threads: [Thread] = []
  private let maximumQueueLength: Int

  /// - Parameters:
  ///   - maximumQueueLength: work that waits beside what the threads have in hand; more is refused.
  ///   - niceness: lowers the threads' share of a busy processor (0 to 19), so that the event loops keep theirs.
  public init(name: String, threads count: Int, maximumQueueLength: Int, niceness: Int32 = 0)
    throws(EventLoopError)
  {
    precondition(count > 0 && maximumQueueLength > 0)
    self.maximumQueueLength = maximumQueueLength
    mutex = .allocate(capacity: 1)
    wakeUp = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wakeUp, nil)
    for index in 0..<count {
      threads.append(
        try Thread(name: "\(name)-\(index)") { [self] in
          // On Linux a niceness is a thread's own, and 0 the thread that calls (setpriority(2)).
          if niceness != 0 { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness) }
          work()
        })
    }
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(wakeUp)
    mutex.deallocate()
    wakeUp.deallocate()
  }

  /// Runs `body` on one of the threads and waits for its result without blocking the caller's.
  public func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws(Full) -> Value {
    let result: Result<Value, Full> = await withUnsafeContinuation { continuation in
      let isAccepted = submit { continuation.resume(returning: .success(body())) }
      if !isAccepted { continuation.resume(returning: .failure(Full())) }
    }
    return try result.get()
  }

  /// Runs `body` on one of the threads, some time. False where the queue is full or the pool is shut down: then it is not
  /// begun.
  public func submit(_ body: @escaping @Sendable () -> Void) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard !isShutDown, queue.count < maximumQueueLength else { return false }
    queue.append(body)
    pthread_cond_signal(wakeUp)
    return true
  }

  /// Work that waits for a thread.
  public var queueLength: Int {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return queue.count
  }

  /// Finishes what is queued, refuses more, and waits for the threads to end. Not from a thread of the pool.
  public func shutDown() {
    for thread in refuseWork() { thread.join() }
  }

  /// Forgets what is queued, refuses more, and waits for the threads to end. Who waits for what was queued waits for
  /// ever: this is for when the loops have stopped and nobody can.
  public func cancel() {
    pthread_mutex_lock(mutex)
    queue.removeAll()
    pthread_mutex_unlock(mutex)
    shutDown()
  }

  /// Finishes what is queued and refuses more, like `shutDown`, but waits for nothing: for threads that may be
  /// stuck in a system call. From any thread.
  public func abandon() {
    for thread in refuseWork() { thread.detach() }
  }

  /// Answers the threads that are left, each once: to be joined or detached.
  private func refuseWork() -> [Thread] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    isShutDown = true
    pthread_cond_broadcast(wakeUp)
    defer { threads = [] }
    return threads
  }

  private func work() {
    while let body = next() { body() }
  }

  private func next() -> (@Sendable () -> Void)? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while queue.count == 0 {
      if isShutDown { return nil }
      pthread_cond_wait(wakeUp, mutex)
    }
    return queue.removeFirst()
  }
}
