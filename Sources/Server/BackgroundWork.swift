internal import EventLoop
internal import Observability
internal import Registry

/// What goes on beside requests, on one of the loops: parked polls are ended in time, presence is written, what has
/// expired is cleared away.
final class BackgroundWork: Sendable {
  /// A parked poll is answered so much too late at the most.
  static let tickMilliseconds = 50
  static let presenceIntervalMilliseconds = 1000
  static let sweepIntervalMilliseconds = 10_000
  /// Rows that one statement clears away, and statements in a row: others have their turn in between.
  static let sweepBatch = 1000
  static let maximumSweepsInARow = 100
  /// A signal is kept so long behind its end, for its owner to see what became of it.
  static let expiredSignalMilliseconds: Int64 = 24 * 3600 * 1000
  /// A token counts for the rate of requests so long behind its end.
  static let expiredTokenMilliseconds: Int64 = 120_000

  private let lane: Lane
  private let work: Work
  private let tasks: [Task<Void, Never>]

  /// Begins.
  init(on lane: Lane, live: LiveDevices, clock: any Clock, logger: Logger) {
    self.lane = lane
    let work = Work(store: lane.store.store, live: live, clock: clock, logger: logger)
    self.work = work
    func repeating(
      everyMilliseconds interval: Int, _ body: @escaping @Sendable () async -> Void
    ) -> Task<Void, Never> {
      Task(executorPreference: lane.loop) {
        while !Task.isCancelled {
          await lane.loop.sleep(milliseconds: interval)
          // The sleep ends when the task is cancelled. A service that stops does not begin to clear rows away.
          guard !Task.isCancelled else { return }
          await body()
        }
      }
    }
    tasks = [
      repeating(everyMilliseconds: Self.tickMilliseconds) { live.tick() },
      repeating(everyMilliseconds: Self.presenceIntervalMilliseconds) { await work.flushPresence() },
      repeating(everyMilliseconds: Self.sweepIntervalMilliseconds) { await work.sweep() },
    ]
  }

  /// Ends, and writes what presence there is. When no request is in flight any more.
  func stop() async {
    for task in tasks { task.cancel() }
    for task in tasks { await task.value }
    await lane.loop.run { [work] in await work.flushPresence() }
  }
}

/// The pieces of it, which run on the loop.
private struct Work: Sendable {
  let store: any RegistryStore
  let live: LiveDevices
  let clock: any Clock
  let logger: Logger

  func flushPresence() async {
    do throws(RegistryError) {
      try await live.flushPresence(to: store)
    } catch {
      logger.log(.warning, "presence not written", ["cause": "\(error)"])
    }
  }

  func sweep() async {
    let now = clock.now()
    let store = store
    await sweep("signals") { () async throws(RegistryError) -> Int in
      try await store.removeSignals(
        expiredBefore: now + -BackgroundWork.expiredSignalMilliseconds, limit: BackgroundWork.sweepBatch)
    }
    await sweep("tokens") { () async throws(RegistryError) -> Int in
      try await store.removeTokens(
        expiredBefore: now + -BackgroundWork.expiredTokenMilliseconds, limit: BackgroundWork.sweepBatch)
    }
  }

  private func sweep(_ what: String, _ removeBatch: () async throws(RegistryError) -> Int) async {
    do throws(RegistryError) {
      for _ in 0..<BackgroundWork.maximumSweepsInARow where try await removeBatch() < BackgroundWork.sweepBatch
      { return }
    } catch {
      logger.log(.warning, "expired rows not cleared away", ["rows": what, "cause": "\(error)"])
    }
  }
}
