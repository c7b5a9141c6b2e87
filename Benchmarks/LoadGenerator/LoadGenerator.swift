private import CEpoll
private import Glibc

/// Sends the requests of a plan, on one thread, and counts the results.
final class LoadGenerator {
  private let plan: Plan
  private var writer: RequestWriter
  private let finds: [[UInt8]?]
  private var connections: [ClientConnection] = []
  /// Connections that wait for a due request, the longest waiting first.
  private var idle: [Int] = []
  private var firstIdle = 0
  private let epoll: Int32
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
  private var request: [UInt8] = []

  private var nextActor = 0
  private var isExhausted = false
  private var inFlight = 0
  private var now: UInt64 = 0
  /// When the next request of a fixed rate is due.
  private var nextDue: UInt64 = 0

  private var report = Report()
  private var latencies = LatencyHistogram()
  private var isCounting = false

  /// Failed answers in one run before it is aborted.
  private static let maximumErrors = 1000

  init(_ plan: Plan) throws {
    self.plan = plan
    writer = RequestWriter(plan)
    finds = plan.steps.map { $0.finds.map { Array($0.utf8) } }
    epoll = epoll_create1(0)
    for _ in 0..<plan.connections {
      connections.append(try ClientConnection(port: plan.port, tls: plan.tls ?? false))
    }
    for index in connections.indices {
      var event = epoll_event(events: UInt32(EPOLLIN.rawValue), data: epoll_data_t(u64: UInt64(index)))
      epoll_ctl(epoll, EPOLL_CTL_ADD, connections[index].descriptor, &event)
    }
  }

  deinit {
    for connection in connections { close(connection.descriptor) }
    close(epoll)
    buffer.deallocate()
  }

  func run() throws -> Report {
    now = Self.nanoseconds()
    let countFrom = now + UInt64(plan.warmUpSeconds * 1e9)
    let end = countFrom + UInt64(plan.seconds * 1e9)
    nextDue = now
    idle = Array(connections.indices)
    if plan.rate == nil { startAll() }
    try pass(until: countFrom)
    let before = ProcessUsage.total(of: plan.processes)
    ProcessUsage.forgetPeaks(of: plan.processes)
    let ownBefore = ProcessUsage.own
    let start = now
    isCounting = true
    try pass(until: end)
    isCounting = false
    let after = ProcessUsage.total(of: plan.processes)
    report.seconds = Double(now - start) / 1e9
    report.serverSeconds = after.seconds - before.seconds
    report.generatorSeconds = ProcessUsage.own - ownBefore
    report.peakBytes = after.peakBytes
    report.endBytes = after.residentBytes
    report.p50 = latencies.seconds(at: 0.5)
    report.p99 = latencies.seconds(at: 0.99)
    report.p999 = latencies.seconds(at: 0.999)
    return report
  }

  /// Sends and receives until the deadline, or until every actor has sent if each sends once.
  private func pass(until end: UInt64) throws {
    var events = [epoll_event](repeating: epoll_event(), count: 512)
    while now < end, !(isExhausted && inFlight == 0), report.errors < Self.maximumErrors {
      // At a fixed rate, due requests are checked each millisecond.
      let count = epoll_wait(epoll, &events, Int32(events.count), plan.rate == nil ? 100 : 1)
      now = Self.nanoseconds()
      for event in events.prefix(max(0, Int(count))) { try receive(Int(event.data.u64)) }
      if let rate = plan.rate { sendDue(interval: UInt64(1e9 / rate)) }
    }
  }

  // MARK: Sending

  private func startAll() {
    while let index = takeIdle(), !isExhausted { begin(index, dueAt: Self.nanoseconds()) }
  }

  private func sendDue(interval: UInt64) {
    while nextDue <= now, let index = takeIdle() {
      begin(index, dueAt: nextDue)
      nextDue += interval
    }
  }

  private func takeIdle() -> Int? {
    guard firstIdle < idle.count else { return nil }
    defer {
      firstIdle += 1
      if firstIdle * 2 >= idle.count {
        idle.removeSubrange(..<firstIdle)
        firstIdle = 0
      }
    }
    return idle[firstIdle]
  }

  private func begin(_ index: Int, dueAt: UInt64) {
    guard let actor = takeActor() else { return }
    connections[index].actor = actor
    connections[index].step = 0
    connections[index].dueAt = dueAt
    inFlight += 1
    send(index, found: [])
  }

  private func takeActor() -> Int? {
    switch plan.order {
    case .random: return Int.random(in: plan.actors.indices, using: &generator)
    case .sequence:
      nextActor = nextActor + 1 < plan.actors.count ? nextActor + 1 : 0
      return nextActor
    case .once:
      isExhausted = nextActor == plan.actors.count
      guard !isExhausted else { return nil }
      nextActor += 1
      return nextActor - 1
    }
  }

  private var generator = QuickGenerator()

  private func send(_ index: Int, found: [UInt8]) {
    request.removeAll(keepingCapacity: true)
    writer.append(
      step: connections[index].step, actor: connections[index].actor, found: found, nowSeconds: time(nil),
      to: &request)
    do { try connections[index].send(request) } catch { fail(index, "sending failed") }
  }

  // MARK: Receiving

  private func receive(_ index: Int) throws {
    do {
      guard let status = try connections[index].receive(through: buffer) else { return }
      answer(index, status: status)
    } catch {
      fail(index, "\(error)")
      var event = epoll_event()
      epoll_ctl(epoll, EPOLL_CTL_DEL, connections[index].descriptor, &event)
    }
  }

  private func answer(_ index: Int, status: Int) {
    let step = connections[index].step
    let found = finds[step].map { connections[index].find($0, length: 36) }
    if status != plan.steps[step].status || found == .some(nil) {
      fail(index, connections[index].answerText)
    } else if step + 1 < plan.steps.count {
      connections[index].forgetAnswer()
      connections[index].step += 1
      return send(index, found: (found ?? nil) ?? [])
    } else if isCounting {
      report.requests += 1
      latencies.record(Self.nanoseconds() - connections[index].dueAt)
    }
    connections[index].forgetAnswer()
    inFlight -= 1
    if plan.rate == nil {
      begin(index, dueAt: Self.nanoseconds())
    } else {
      idle.append(index)
    }
  }

  private func fail(_ index: Int, _ reason: String) {
    report.errors += 1
    if report.firstError == nil { report.firstError = reason }
  }

  private static func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// Random enough to choose the next actor, and fast (xorshift64).
private struct QuickGenerator: RandomNumberGenerator {
  private var state = UInt64.random(in: 1...(.max))

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}
