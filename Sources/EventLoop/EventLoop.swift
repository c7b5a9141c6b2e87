internal import CLibuv
internal import Glibc
internal import Synchronization

/// One thread that runs one libuv loop, and a `TaskExecutor`: a task that prefers it runs on that thread only.
///
/// A pass runs, in libuv's order: timers; callbacks of ready file descriptors; the jobs of runnable tasks; and
/// then deferred work (`atEndOfPass`), so that a pass flushes the output of many tasks once. Nothing that
/// blocks may run here.
///
/// `@unchecked Sendable`: only the loop's thread accesses mutable state, except `inbox`, which is a mutex;
/// `uv_async_send` may be called from any thread (libuv's manual, "Async handle").
public final class EventLoop: TaskExecutor, @unchecked Sendable {
  let uvLoop: UnsafeMutablePointer<uv_loop_t>
  private let asyncHandle: UnsafeMutablePointer<uv_async_t>
  private let prepareHandle: UnsafeMutablePointer<uv_prepare_t>
  private let checkHandle: UnsafeMutablePointer<uv_check_t>
  private let idleHandle: UnsafeMutablePointer<uv_idle_t>

  private var thread: Thread?
  /// Runnable jobs, from `nextJob` on.
  private var readyJobs: [UnownedJob] = []
  private var nextJob = 0
  private var deferred: [() -> Void] = []
  /// Name look-ups in progress.
  var lookUpsInProgress = 0

  private struct Inbox {
    var work: [Work] = []
    var isClosed = false
  }
  private enum Work {
    case job(UnownedJob)
    case call(@Sendable () -> Void)
    case stop
  }
  private let inbox = Mutex(Inbox())

  /// The maximum number of jobs in a pass before the loop polls its file descriptors again, so that many tasks
  /// that become runnable at once do not delay everything else.
  static let maximumJobsPerPass = 256
  /// The maximum number of jobs before the next event.
  static let maximumJobsPerEvent = 16

  /// Creates the loop and starts its thread. Throws when the system has no thread or descriptor left.
  public init(name: String) throws(EventLoopError) {
    uvLoop = .allocate(capacity: 1)
    asyncHandle = .allocate(capacity: 1)
    prepareHandle = .allocate(capacity: 1)
    checkHandle = .allocate(capacity: 1)
    idleHandle = .allocate(capacity: 1)
    try EventLoopError.check(uv_loop_init(uvLoop))
    // The thread holds a reference to the loop, so the handles' references need not be counted.
    let me = Unmanaged.passUnretained(self).toOpaque()
    try EventLoopError.check(
      uv_async_init(uvLoop, asyncHandle) { EventLoop.of($0!.pointee.data).takeInbox() })
    uv_prepare_init(uvLoop, prepareHandle)
    uv_check_init(uvLoop, checkHandle)
    uv_idle_init(uvLoop, idleHandle)
    asyncHandle.pointee.data = me
    prepareHandle.pointee.data = me
    checkHandle.pointee.data = me
    idleHandle.pointee.data = me
    uv_prepare_start(prepareHandle) { EventLoop.of($0!.pointee.data).finishPass() }
    uv_check_start(checkHandle) { EventLoop.of($0!.pointee.data).finishPass() }
    thread = try Thread(name: name) { self.runThread() }
  }

  deinit {
    uvLoop.deallocate()
    asyncHandle.deallocate()
    prepareHandle.deallocate()
    checkHandle.deallocate()
    idleHandle.deallocate()
  }

  /// Whether the caller runs on the loop's thread.
  public var isCurrent: Bool {
    pthread_getspecific(Self.currentLoop) == UnsafeMutableRawPointer(Unmanaged.passUnretained(self).toOpaque())
  }

  /// The thread-specific key under which a loop's thread stores its loop.
  private static let currentLoop: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// Milliseconds of a monotonic clock at the start of the pass. Meaningless off the loop.
  public var nowMilliseconds: Int { Int(uv_now(uvLoop)) }

  /// A precondition before access to state of the loop: stops the program unless the caller is on the loop's
  /// thread.
  public func assertCurrent() { precondition(isCurrent, "off the event loop") }

  /// Runs `work` on the loop soon, in the order of the calls. Any thread may call. False, without effect, after
  /// `stop`.
  @discardableResult
  public func submit(_ work: @escaping @Sendable () -> Void) -> Bool { deliver(.call(work)) }

  /// Starts a task from the loop. It runs immediately, up to its first suspension.
  @discardableResult
  public func startTask(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
    assertCurrent()
    return Task.immediate(executorPreference: self) { await body() }
  }

  /// Runs an asynchronous body on the loop and waits for it.
  public func run<Value: Sendable, Failure: Error>(
    _ body: @escaping @Sendable () async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    let task = Task(executorPreference: self) { () async -> Result<Value, Failure> in
      do throws(Failure) { return .success(try await body()) } catch { return .failure(error) }
    }
    return try await task.value.get()
  }

  /// Calls `work` after the runnable tasks and before the loop waits for events again, for example to combine
  /// writes. Call it on the loop.
  public func atEndOfPass(_ work: @escaping () -> Void) {
    assertCurrent()
    deferred.append(work)
  }

  /// Runs a bounded number of runnable tasks now instead of at the end of the pass, so that an event is
  /// answered before the next is processed. Call it from a handler of the loop, not from a task.
  public func runReadyTasks() {
    assertCurrent()
    var budget = Self.maximumJobsPerEvent
    runJobs(&budget)
  }

  /// Waits on the loop. Returns early if the task is cancelled.
  public func sleep(milliseconds: Int) async {
    assertCurrent()
    // Confined to the loop: `submit` runs its closure there.
    nonisolated(unsafe) let timer = Timer(on: self)
    await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        timer.start(afterMilliseconds: milliseconds) { continuation.resume() }
      }
    } onCancel: {
      submit { timer.fire() }
    }
    timer.close()
  }

  /// Ends the loop's thread after all submitted work, and waits for it. Not from the loop. Tasks that still
  /// wait on the loop never resume, so end them first.
  public func stop() {
    precondition(!isCurrent, "a loop cannot wait for itself")
    deliver(.stop)
    thread?.join()
  }

  // MARK: TaskExecutor

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isCurrent {
      readyJobs.append(job)
    } else {
      deliver(.job(job))
    }
  }

  // MARK: The loop's thread

  private static func of(_ data: UnsafeMutableRawPointer?) -> EventLoop {
    Unmanaged<EventLoop>.fromOpaque(data!).takeUnretainedValue()
  }

  private func runThread() {
    pthread_setspecific(Self.currentLoop, Unmanaged.passUnretained(self).toOpaque())
    uv_run(uvLoop, UV_RUN_DEFAULT)
    closeAllHandles()
  }

  @discardableResult
  private func deliver(_ work: Work) -> Bool {
    let (isOpen, wasEmpty) = inbox.withLock { inbox in
      guard !inbox.isClosed else { return (false, false) }
      let wasEmpty = inbox.work.isEmpty
      inbox.work.append(work)
      if case .stop = work { inbox.isClosed = true }
      return (true, wasEmpty)
    }
    if wasEmpty { uv_async_send(asyncHandle) }
    return isOpen
  }

  private func takeInbox() {
    let work = inbox.withLock { inbox in
      let work = inbox.work
      inbox.work.removeAll(keepingCapacity: work.count < 1024)
      return work
    }
    for item in work {
      switch item {
      case .job(let job): readyJobs.append(job)
      case .call(let call): call()
      case .stop: uv_stop(uvLoop)
      }
    }
  }

  /// Runs the jobs that this pass's callbacks made runnable.
  private func finishPass() {
    var budget = Self.maximumJobsPerPass
    while budget > 0, !(readyJobs.isEmpty && deferred.isEmpty) {
      runJobs(&budget)
      var calls: [() -> Void] = []
      swap(&calls, &deferred)
      for call in calls { call() }
    }
    // With an active idle handle libuv polls without waiting, so the remaining jobs run in the next pass.
    if readyJobs.isEmpty && deferred.isEmpty {
      uv_idle_stop(idleHandle)
    } else {
      uv_idle_start(idleHandle) { _ in }
    }
  }

  private func runJobs(_ budget: inout Int) {
    while budget > 0, nextJob < readyJobs.count {
      let job = readyJobs[nextJob]
      nextJob += 1
      budget -= 1
      job.runSynchronously(on: asUnownedTaskExecutor())
    }
    if nextJob == readyJobs.count {
      readyJobs.removeAll(keepingCapacity: nextJob <= Self.maximumJobsPerPass)
      nextJob = 0
    }
  }

  private func closeAllHandles() {
    uv_walk(uvLoop, { handle, _ in if uv_is_closing(handle) == 0 { uv_close(handle, nil) } }, nil)
    guard lookUpsInProgress == 0 else {
      // The resolver may take many seconds, and its thread then writes to the loop: the loop's memory is not
      // freed.
      _ = Unmanaged.passRetained(self)
      return
    }
    uv_run(uvLoop, UV_RUN_DEFAULT)
    uv_loop_close(uvLoop)
  }
}

/// libuv or the system returned an error.
public struct EventLoopError: Error, CustomStringConvertible {
  public let description: String

  static func check(_ status: Int32) throws(EventLoopError) {
    guard status < 0 else { return }
    throw EventLoopError(description: String(cString: uv_strerror(status)))
  }
}
