import EventLoop
import Synchronization
import Testing

@Suite struct ServiceTests {
  @Test func `Services end in reverse order, each after those that were started later`() async {
    let ends = Ends()
    var services = RunningServices()
    for name in ["first", "second", "third"] { services.start(ClosedLater(name: name, ends: ends)) }
    #expect(ends.names.isEmpty)
    await services.shutDown()
    #expect(ends.names == ["third", "second", "first"])
  }

  @Test func `A service runs on the loop that it is started on`() async throws {
    let loop = try EventLoop(name: "service-test")
    let (places, place) = AsyncStream.makeStream(of: Bool.self)
    var services = RunningServices()
    services.start(loop)
    services.start(Located { place.yield(loop.isCurrent) }, on: loop)
    var found = places.makeAsyncIterator()
    #expect(await found.next() == true)
    await services.shutDown()
    #expect(await found.next() == true)
    #expect(loop.submit {} == false)
  }
}

/// Names of services that have ended, in order.
private final class Ends: Sendable {
  private let ended = Mutex<[String]>([])
  var names: [String] { ended.withLock { $0 } }
  func add(_ name: String) { ended.withLock { $0.append(name) } }
}

private struct ClosedLater: ClosableService {
  let name: String
  let ends: Ends

  func close() async {
    // Those that were started earlier have the time to end too soon.
    for _ in 0..<100 { await Task.yield() }
    ends.add(name)
  }
}

/// Tells where it runs: at first, and when it was cancelled.
private struct Located: Service {
  let tell: @Sendable () -> Void

  func run() async {
    tell()
    await untilCancelled()
    tell()
  }
}
