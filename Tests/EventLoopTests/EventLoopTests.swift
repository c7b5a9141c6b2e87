import Dispatch
import EventLoop
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite("An event loop")
struct EventLoopTests {
  @Test
  func `runs tasks that prefer it on its own thread, also after a wait elsewhere`() async throws {
    let loop = try EventLoop(name: "test")
    let pool = try WorkerPool(name: "test", threads: 1, maximumQueueLength: 1)
    let places = await loop.run {
      let before = loop.isCurrent
      let during = try? await pool.run { loop.isCurrent }
      return [before, during, loop.isCurrent]
    }
    #expect(places == [true, false, true])
    #expect(!loop.isCurrent)
    pool.shutDown()
    loop.stop()
  }

  @Test
  func `calls what is submitted in order, and refuses once it was stopped`() async throws {
    let loop = try EventLoop(name: "test")
    let seen = Record<Int>()
    for number in 0..<1000 { #expect(loop.submit { seen.append(number) }) }
    await loop.run {}
    #expect(seen.all == Array(0..<1000))
    loop.stop()
    #expect(!loop.submit {})
  }

  @Test
  func `starts a task at once, up to its first wait`() async throws {
    let loop = try EventLoop(name: "test")
    let order = await loop.run {
      let order = Record<String>()
      loop.startTask {
        order.append("started")
        await loop.sleep(milliseconds: 0)
      }
      order.append("returned")
      return order.all
    }
    #expect(order == ["started", "returned"])
    loop.stop()
  }

  @Test
  func `runs deferred work after the tasks of the pass`() async throws {
    let loop = try EventLoop(name: "test")
    let order = Record<String>()
    await loop.run {
      await withTaskGroup { group in
        loop.atEndOfPass { order.append("deferred") }
        group.addTask { order.append("task") }
      }
    }
    await loop.run {}
    #expect(order.all == ["task", "deferred"])
    loop.stop()
  }

  @Test
  func `looks up the addresses of names and of addresses, and tells why there are none`() async throws {
    let loop = try EventLoop(name: "test")
    func addresses(_ host: String, maximum: Int = 8) async throws -> [String] {
      try await loop.run { () async throws(EventLoopError) in
        try await loop.addresses(ofHost: host, maximum: maximum)
      }
    }
    #expect(try await addresses("localhost").contains("127.0.0.1"))
    #expect(try await addresses("10.1.2.3") == ["10.1.2.3"])
    #expect(try await addresses("::1") == ["::1"])
    #expect(try await addresses("localhost", maximum: 0) == [])
    await #expect(throws: EventLoopError.self) { try await addresses("name.invalid") }
    await #expect(throws: EventLoopError.self) { try await addresses(String(repeating: "x", count: 300)) }
    loop.stop()
  }

  @Test
  func `stops while a name is being looked up`() async throws {
    let loop = try EventLoop(name: "test")
    loop.submit {
      loop.startTask { _ = try? await loop.addresses(ofHost: "name.invalid", maximum: 1) }
    }
    loop.stop()
    #expect(!loop.submit {})
    Self.stoppedLoops.withLock { $0.append(loop) }
  }

  /// The task of a look-up that was in progress never resumes. The loop and its task stay reachable here, so that Leak
  /// Sanitizer does not report them.
  private static let stoppedLoops = Mutex<[EventLoop]>([])

  @Test
  func `sleeps in the order of the times, and a cancelled task no longer`() async throws {
    let loop = try EventLoop(name: "test")
    let order = await loop.run {
      await withTaskGroup { group in
        for milliseconds in [30, 1, 15] {
          group.addTask {
            await loop.sleep(milliseconds: milliseconds)
            return milliseconds
          }
        }
        var order: [Int] = []
        for await milliseconds in group { order.append(milliseconds) }
        return order
      }
    }
    #expect(order == [1, 15, 30])

    let endless = Task(executorPreference: loop) { await loop.sleep(milliseconds: .max) }
    endless.cancel()
    await endless.value
    loop.stop()
  }

  @Test
  func `reports when a descriptor is readable, until it is stopped`() async throws {
    let loop = try EventLoop(name: "test")
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let (reading, writing) = (ends[0], ends[1])
    let seen = await loop.run {
      guard let watch = try? DescriptorWatch(reading, on: loop) else { return UInt8(0) }
      let byte = await withCheckedContinuation { continuation in
        watch.start(for: .readable) { _ in
          var byte: UInt8 = 0
          read(reading, &byte, 1)
          continuation.resume(returning: byte)
        }
        var byte: UInt8 = 42
        write(writing, &byte, 1)
      }
      watch.close()
      return byte
    }
    #expect(seen == 42)
    loop.stop()
    close(reading)
    close(writing)
  }

  @Test
  func `refuses a descriptor that cannot be polled`() async throws {
    let loop = try EventLoop(name: "test")
    await loop.run {
      _ = #expect(throws: EventLoopError.self) { try DescriptorWatch(-1, on: loop) }
    }
    loop.stop()
  }

  @Test
  func `hears signals`() async throws {
    let loop = try EventLoop(name: "test")
    await loop.run {
      var watch: SignalWatch?
      await withCheckedContinuation { continuation in
        watch = SignalWatch(SIGUSR1, on: loop) { continuation.resume() }
        kill(getpid(), SIGUSR1)
      }
      watch?.close()
    }
    loop.stop()
  }
}

/// What happened, in its order.
private final class Record<Element: Sendable>: Sendable {
  private let elements = Mutex<[Element]>([])
  var all: [Element] { elements.withLock { $0 } }
  func append(_ element: Element) { elements.withLock { $0.append(element) } }
}

@Suite("A worker pool")
struct WorkerPoolTests {
  @Test
  func `answers from another thread`() async throws {
    let pool = try WorkerPool(name: "test", threads: 2, maximumQueueLength: 4, niceness: 1)
    #expect(try await pool.run { 6 * 7 } == 42)
    pool.shutDown()
  }

  @Test
  func `refuses what its queue has no place for, and finishes what it took`() async throws {
    let pool = try WorkerPool(name: "test", threads: 1, maximumQueueLength: 2)
    let gate = Gate()
    let running = Task { try await pool.run { gate.wait() } }
    gate.untilEntered()
    // The thread is busy: two more find a place, and the third of them none.
    let queued = (0..<2).map { number in Task { try await pool.run { number } } }
    try await wait { pool.queueLength == 2 }
    await #expect(throws: QueueFull.self) { try await pool.run { 3 } }
    gate.open()
    try await running.value
    #expect(try await queued[0].value == 0)
    #expect(try await queued[1].value == 1)
    #expect(pool.queueLength == 0)
    pool.shutDown()
    await #expect(throws: QueueFull.self) { try await pool.run { 4 } }
  }
}

/// Holds a thread until it is opened. `@unchecked Sendable`: POSIX semaphores are for all threads.
private final class Gate: @unchecked Sendable {
  private let entered: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)
  private let opened: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)

  init() {
    sem_init(entered, 0, 0)
    sem_init(opened, 0, 0)
  }

  deinit {
    entered.deallocate()
    opened.deallocate()
  }

  func wait() {
    sem_post(entered)
    sem_wait(opened)
  }
  func untilEntered() { sem_wait(entered) }
  func open() { sem_post(opened) }
}

@Suite struct LoopPulses {
  @Test func `A loop that is stuck is silent, and afterwards late by as much`() async throws {
    let loop = try EventLoop(name: "pulse-test")
    let (lags, told) = AsyncStream.makeStream(of: UInt64.self)
    let pulse = LoopPulse(of: loop) { told.yield($0) }
    var services = RunningServices()
    services.start(pulse, on: loop)
    let stuck = DispatchSemaphore(value: 0)
    loop.submit { stuck.wait() }
    let lateNanoseconds: Int64 = 300_000_000
    try await wait { pulse.nanosecondsSinceBeat >= lateNanoseconds }
    stuck.signal()
    // The beat that was due while it was stuck, at the latest.
    let least = UInt64(lateNanoseconds) - UInt64(LoopPulse.intervalMilliseconds) * 1_000_000
    var lag: UInt64 = 0
    for await late in lags where late >= least {
      lag = late
      break
    }
    #expect(lag >= least)
    await services.shutDown()
    loop.stop()
  }
}
