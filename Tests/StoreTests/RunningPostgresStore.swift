import EventLoop
import Registry
import Testing

@testable import PostgresStore

/// A store on a separate loop, and its events.
final class RunningPostgresStore: RunningStore {
  let store: PostgresStore
  let loop: EventLoop
  private let events: AsyncStream<PostgresEvent>

  /// Calls the body with a store, and closes it.
  static func with(
    _ url: String, limits: PostgresLimits = PostgresLimits(),
    _ body: (RunningPostgresStore) async throws -> Void
  ) async throws {
    let running = try RunningPostgresStore(url, limits)
    await running.loop.run { running.store.start() }
    let result: Result<Void, any Error>
    do { result = .success(try await body(running)) } catch { result = .failure(error) }
    await running.store.close()
    running.loop.stop()
    try result.get()
  }

  private init(_ url: String, _ limits: PostgresLimits) throws {
    let (events, continuation) = AsyncStream.makeStream(of: PostgresEvent.self)
    self.events = events
    loop = try EventLoop(name: "test")
    store = try PostgresStore(url: url, loop: loop, limits: limits) { continuation.yield($0) }
  }

  /// Waits for `count` more events of the kind.
  func wait(for count: Int = 1, _ isWanted: (PostgresEvent) -> Bool) async {
    var left = count
    for await event in events where isWanted(event) {
      left -= 1
      if left == 0 { return }
    }
  }

  /// Waits until all connections are ready.
  func waitUntilConnected(_ limits: PostgresLimits = PostgresLimits()) async {
    await wait(for: limits.connections) { $0 == .connected }
  }
}

extension PostgresLimits {
  /// The number of connections of one store.
  var connections: Int { readConnections + writeConnections + transactionConnections }
}

extension PostgresEvent {
  var isLoss: Bool { if case .lost = self { true } else { false } }
  var isRefusal: Bool { if case .connectFailed = self { true } else { false } }
}

/// The time that the body takes.
func elapsedMilliseconds(_ body: () async throws -> Void) async rethrows -> Int64 {
  let start = MonotonicClock.milliseconds
  try await body()
  return MonotonicClock.milliseconds - start
}
