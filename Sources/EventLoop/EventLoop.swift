internal import CLibuv
internal import Glibc
internal import Synchronization

/// One thread that runs one libuv loop, and a `TaskExecutor`: a task that prefers it runs on that thread
/// between its waits, and nowhere else.
///
/// What happens in a pass, in libuv's order: timers; callbacks of ready file descriptors; then the jobs of
/// tasks that became runnable, and after them what was deferred (`atEndOfPass`), so that a pass flushes once
/// what its many tasks wrote. Nothing that blocks may run here.
///
/// `@unchecked Sendable`: all mutable state but `inbox` is touched on the loop's thread alone; `inbox` is a
/// mutex; `uv_async_send` may be called from any thread (libuv's manual, "Async handle").
public final class EventLoop: TaskExecutor, @unchecked Sendable {
  let uvLoop: UnsafeMutablePointer<uv_loop_t>
  private let asyncHandle: UnsafeMutablePointer<uv_async_t>
  private let prepareHandle: UnsafeMutablePointer<uv_prepare_t>
  private let checkHandle: UnsafeMutablePointer<uv_check_t>
  private let idleHandle: UnsafeMutablePointer<uv_idle_t>

  private var thread: Thread?
  /// Jobs that may run, from `nextJob` on.
  private var readyJobs: [UnownedJob] = []
  private var nextJob = 0
  private var deferred: [() -> Void] = []
  /// Look-ups of names that libuv has not answered.
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

  /// Jobs that one pass runs before the loop looks at its file descriptors again. What a herd makes runnable at once must
  /// not hold up everything else.
  static let maximumJobsPerPass = 256
  /// Jobs that run before the next event is looked at.
  static let maximumJobsPerEvent = 16

  /// Makes the loop and starts its thread. Throws when the system has no thread or descriptor left.
  public init(name: String) throws(EventLoopError) {
    uvLoop = .allocate(capacity: 1)
    asyncHandle = .allocate(capacity: 1)
    prepareHandle = .allocate(capacity: 1)
    checkHandle = .allocate(capacity: 1)
    idleHandle = .allocate(capacity: 1)
    try EventLoopError.check(uv_loop_init(uvLoop))
    // The loop lives as long as its thread, which holds a reference: the handles' need not be counted.
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

  /// Under this key each loop's thread keeps its loop.
  private static let currentLoop: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// Milliseconds of a clock that never goes back, as the pass began. Off the loop it means nothing.
  public var nowMilliseconds: Int { Int(uv_now(uvLoop)) }

  /// Stops the program unless the caller runs on the loop's thread: state confined to it is about to be touched.
  public func assertCurrent() { precondition(isCurrent, "off the event loop") }

  /// Runs `work` on the loop soon, in the order of the calls. Any thread may call. False, and nothing happens,
  /// once `stop` was called.
  @discardableResult
  public func submit(_ work: @escaping @Sendable () -> Void) -> Bool { deliver(.call(work)) }

  /// Starts a task on the loop, which the caller is on: it runs at once, up to its first wait.
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

  /// Calls `work` on the loop before it waits for events again, after the tasks that are runnable now. For
  /// writes that are worth gathering. The caller is on the loop.
  public func atEndOfPass(_ work: @escaping () -> Void) {
    assertCurrent()
    deferred.append(work)
  }

  /// Runs tasks that are runnable now, some of them, and does not wait for the end of the pass: what an event of a
  /// descriptor began is answered before the next event is looked at. Called from a handler of the loop, and not from a
  /// task.
  public func runReadyTasks() {
    assertCurrent()
    var budget = Self.maximumJobsPerEvent
    runJobs(&budget)
  }

  /// Waits on the loop, unless the task is cancelled.
  public func sleep(milliseconds: Int) async {
    assertCurrent()
    // Confined to the loop, where `submit` runs what it is given.
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

  /// Ends the loop's thread, after what was submitted before, and waits until it is gone. Not from the loop
  /// itself. Tasks that still wait on it never run again, so end them first.
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

  /// Runs what the callbacks of this pass made runnable.
  private func finishPass() {
    var budget = Self.maximumJobsPerPass
    while budget > 0, !(readyJobs.isEmpty && deferred.isEmpty) {
      runJobs(&budget)
      var calls: [() -> Void] = []
      swap(&calls, &deferred)
      for call in calls { call() }
    }
    // With an idle handle libuv polls without waiting: what is left over runs in the next pass.
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
      // The resolver may take many seconds, and its thread writes to the loop at the end: the loop's memory stays.
      _ = Unmanaged.passRetained(self)
      return
    }
    uv_run(uvLoop, UV_RUN_DEFAULT)
    uv_loop_close(uvLoop)
  }
}

/// libuv or the system refused.
public struct EventLoopError: Error, CustomStringConvertible {
  public let description: String

  static func check(_ status: Int32) throws(EventLoopError) {
    guard status < 0 else { return }
    throw EventLoopError(description: String(cString: uv_strerror(status)))
  }
}
