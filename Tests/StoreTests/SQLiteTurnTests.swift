import EventLoop
import Glibc
import Registry
import Synchronization
import TestSupport
import Testing

@testable import SQLiteStore

@Suite("SQLite: whose write is next", .timeLimit(.minutes(5))) struct SQLiteTurnTests {
  private let noisy = Turn(of: 1)
  private let quiet = Turn(of: 2)
  /// No test waits so long, however busy the machine is.
  private static let longWaitMilliseconds: Int64 = 600_000

  @Test
  func `Clients are taken in turn, urgent writes first, and background work last`() async throws {
    let turns: [(String, Turn)] = [
      ("background", Turn(of: nil, .background)), ("noisy 1", noisy), ("noisy 2", noisy), ("noisy 3", noisy),
      ("quiet", quiet), ("service", Turn(of: nil)), ("revocation", Turn(of: 2, .urgent)),
    ]
    let order = try await order(of: turns)
    #expect(order == ["revocation", "noisy 1", "quiet", "service", "noisy 2", "noisy 3", "background"])
  }

  @Test
  func `Background work that waited long takes turns with the others`() async throws {
    let turns: [(String, Turn)] = [
      ("background", Turn(of: nil, .background)), ("noisy 1", noisy), ("noisy 2", noisy),
    ]
    let later = MonotonicClock.milliseconds + Self.longWaitMilliseconds + 60_000
    #expect(try await order(of: turns, thenAt: later) == ["noisy 1", "background", "noisy 2"])
  }

  @Test
  func `Writes of a client beyond its bound are refused, others are not, and what was begun continues`()
    async throws
  {
    try await withRunningStore { running in
      let gate = Gate()
      let held = Task { await running.hold(gate) }
      try await gate.waitUntilReached()
      let bound = SQLiteDatabase.maximumWaitingPerClient
      let waiting = Task { await outcomes(bound, noisy, running) }
      try await wait { running.database.waitingWrites == bound }
      #expect(await outcomes(3, noisy, running) == [.tooManyWaiting(limit: bound): 3])
      let others = Task { await outcomes(3, quiet, running) }
      let continued = Task { await outcomes(2, noisy, running, .nextStep) }
      try await wait { running.database.waitingWrites == bound + 5 }
      gate.open()
      await held.value
      #expect(await waiting.value == [nil: bound])
      #expect(await others.value == [nil: 3])
      #expect(await continued.value == [nil: 2])
    }
  }

  @Test
  func `Short writes do not wait in one commit with a long one`() async throws {
    try await withRunningStore { running in
      let (before, after) = (Gate(), Gate())
      let held = Task { await running.hold(before) }
      try await before.waitUntilReached()
      let first = Task { await outcomes(1, quiet, running) }
      try await wait { running.database.waitingWrites == 1 }
      let long = Task {
        try await running.database.write(noisy, .long) { (_) throws(RegistryError) in after.pass() }
      }
      try await wait { running.database.waitingWrites == 2 }
      let second = Task { await outcomes(1, quiet, running) }
      try await wait { running.database.waitingWrites == 3 }
      before.open()
      await held.value
      let answers = await [first.value, second.value]
      #expect(answers == [[nil: 1], [nil: 1]])
      after.open()
      try await long.value
    }
  }

  @Test
  func `An urgent write is answered before others run, and a shared commit is not put off for long`()
    async throws
  {
    try await withRunningStore { running in
      for first in [Turn(of: 1, .urgent), noisy] {
        let (before, after) = (Gate(), Gate())
        let held = Task { await running.hold(before) }
        try await before.waitUntilReached()
        let answered = Task {
          try await running.database.write(first) { (_) throws(RegistryError) in
            guard first == noisy else { return }
            let latest = MonotonicClock.milliseconds + SQLiteDatabase.maximumSharingMilliseconds
            while MonotonicClock.milliseconds < latest { usleep(1000) }
          }
        }
        try await wait { running.database.waitingWrites == 1 }
        let blocked = Task {
          try await running.database.write(quiet) { (_) throws(RegistryError) in after.pass() }
        }
        try await wait { running.database.waitingWrites == 2 }
        before.open()
        await held.value
        try await answered.value
        after.open()
        try await blocked.value
      }
    }
  }

  /// The order in which writes run that were queued in the order of `turns`.
  ///
  /// - Parameter later: a time at which the queue is looked at once, on the monotonic clock.
  private func order(of turns: [(String, Turn)], thenAt later: Int64? = nil) async throws -> [String] {
    let order = RunOrder()
    try await withRunningStore(
      maximumWaitMilliseconds: 2 * Self.longWaitMilliseconds,
      maximumBackgroundWaitMilliseconds: Self.longWaitMilliseconds
    ) { running in
      let gate = Gate()
      let held = Task { await running.hold(gate) }
      try await gate.waitUntilReached()
      try await withThrowingTaskGroup { group in
        for (index, (name, turn)) in turns.enumerated() {
          group.addTask {
            try await running.database.write(turn) { (_) throws(RegistryError) in
              order.names.withLock { $0.append(name) }
            }
          }
          try await wait { running.database.waitingWrites == index + 1 }
        }
        if let later { running.database.refuseOverdueWrites(nowMilliseconds: later) }
        gate.open()
        try await group.waitForAll()
      }
      await held.value
    }
    return order.names.withLock(\.self)
  }

  private func outcomes(
    _ count: Int, _ turn: Turn, _ running: RunningSQLiteStore, _ size: SQLiteDatabase.Size = .short
  ) async -> [RegistryError?: Int] {
    await withTaskGroup(of: RegistryError?.self) { group in
      for _ in 0..<count {
        group.addTask {
          do throws(RegistryError) {
            try await running.database.write(turn, size) {
              (_) throws(RegistryError) in
            }
            return nil
          } catch {
            return error
          }
        }
      }
      return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }
  }
}

/// The names of writes, in the order in which they ran.
private final class RunOrder: Sendable {
  let names = Mutex<[String]>([])
}
