internal import Glibc

/// A few threads for blocking or long work, with a fair queue of bounded length.
///
/// `@unchecked Sendable`: `mutex` protects `state`.
public final class WorkerPool: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let wakeUp: UnsafeMutablePointer<pthread_cond_t>
  private var queue: FairQueue<@Sendable () -> Void>
  private var isShutDown = false
  private var threads: [Thread] = []

  /// - Parameters:
  ///   - maximumQueueLength: work that may wait, without what the threads are doing; more is rejected.
  ///   - maximumPerParty: work of one party that may wait; by default, as much as there is room for.
  ///   - niceness: lowers the priority of the threads (0 to 19), so that the event loops keep theirs.
  public init(
    name: String, threads count: Int, maximumQueueLength: Int, maximumPerParty: Int = .max, niceness: Int32 = 0
  ) throws(EventLoopError) {
    precondition(count > 0 && maximumQueueLength > 0)
    queue = FairQueue(maximumCount: maximumQueueLength, maximumPerParty: maximumPerParty)
    mutex = .allocate(capacity: 1)
    wakeUp = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wakeUp, nil)
    for index in 0..<count {
      threads.append(
        try Thread(name: "\(name)-\(index)") { [self] in
          // On Linux niceness belongs to a thread, and 0 is the calling thread (setpriority(2)).
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

  /// Runs `body` on one of the threads and waits for its result without blocking the caller's thread.
  public func run<Value: Sendable>(
    _ turn: Turn = Turn(of: nil), _ body: @escaping @Sendable () -> Value
  ) async throws(QueueFull) -> Value {
    let result: Result<Value, QueueFull> = await withUnsafeContinuation { continuation in
      do throws(QueueFull) {
        try submit(turn) { continuation.resume(returning: .success(body())) }
      } catch {
        continuation.resume(returning: .failure(error))
      }
    }
    return try result.get()
  }

  /// Queues `body` for a thread. If it throws, which it also does after the pool is shut down, `body` never runs.
  public func submit(_ turn: Turn = Turn(of: nil), _ body: @escaping @Sendable () -> Void) throws(QueueFull) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard !isShutDown else { throw .forAll }
    try queue.append(body, turn)
    pthread_cond_signal(wakeUp)
  }

  /// Work that waits for a thread.
  public var queueLength: Int {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return queue.count
  }

  /// Finishes queued work, rejects more, and waits for the threads to end. Not from a thread of the pool.
  public func shutDown() {
    for thread in refuseWork() { thread.join() }
  }

  /// Drops queued work, rejects more, and waits for the threads to end. A task that awaits dropped work never
  /// resumes, so call this after the loops have stopped.
  public func cancel() {
    pthread_mutex_lock(mutex)
    _ = queue.removeAll()
    pthread_mutex_unlock(mutex)
    shutDown()
  }

  /// Finishes queued work and rejects more, like `shutDown`, but does not wait, because threads may be blocked
  /// in a system call. Any thread may call.
  public func abandon() {
    for thread in refuseWork() { thread.detach() }
  }

  /// Returns the remaining threads, each once: join or detach them.
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
