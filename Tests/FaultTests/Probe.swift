import Foundation
import Synchronization
import TestSupport

/// Asks a service again and again, reads and writes, and keeps what it was answered and when.
final class Probe: Sendable {
  enum Kind: CaseIterable { case read, write, ready, health }

  struct Answer {
    let kind: Kind
    /// nil where there was none.
    let status: Int?
    let hasRetryAfter: Bool
    let begunAt: ContinuousClock.Instant
    let endedAt: ContinuousClock.Instant
    var milliseconds: Int { Int((endedAt - begunAt) / .milliseconds(1)) }
  }

  private let service: Service
  private let owner: String
  private let answers = Mutex<[Answer]>([])
  private let isOver = Atomic(false)

  init(_ service: Service, owner: String) {
    self.service = service
    self.owner = owner
  }

  /// Sends requests while the body runs, each kind on a separate thread.
  func run(during body: () async throws -> Void) async throws {
    try await withThrowingTaskGroup { group in
      for kind in Kind.allCases { group.addTask { await self.ask(kind) } }
      let result: Result<Void, any Error>
      do { result = .success(try await body()) } catch { result = .failure(error) }
      isOver.store(true, ordering: .relaxed)
      try await group.waitForAll()
      try result.get()
    }
  }

  private func ask(_ kind: Kind) async {
    var number = 0
    while !isOver.load(ordering: .relaxed) {
      number += 1
      let begun = ContinuousClock.now
      let answer = try? await ask(kind, number)
      let ended = Answer(
        kind: kind, status: answer?.status, hasRetryAfter: answer?.value(of: "retry-after") != nil,
        begunAt: begun, endedAt: .now)
      answers.withLock { $0.append(ended) }
      usleep(10_000)
    }
  }

  private func ask(_ kind: Kind, _ number: Int) async throws -> HTTPAnswer {
    switch kind {
    case .read: try await service.ask("GET", "/api/v1/devices?limit=1", token: owner)
    case .write:
      try await service.ask(
        "POST", "/api/v1/devices", token: owner, json: ["device_name": "probe \(number)"])
    case .ready: try await service.ask("GET", "/readyz")
    case .health: try await service.ask("GET", "/healthz")
    }
  }

  // MARK: What it saw

  /// Waits until of each of the kinds a request that began after now was answered so.
  private func wait(for kinds: [Kind], _ isWanted: (Int) -> Bool) throws {
    let now = ContinuousClock.now
    try FaultTests.wait(for: "other answers to \(kinds)") {
      answers.withLock { answers in
        kinds.allSatisfy { kind in
          answers.contains { $0.kind == kind && $0.begunAt > now && $0.status.map(isWanted) == true }
        }
      }
    }
  }

  /// Waits until reads, writes and readiness are refused.
  func waitForOutage() throws { try wait(for: [.read, .write, .ready]) { $0 == 503 } }

  /// Waits until all are answered well.
  func waitForService() throws { try wait(for: Kind.allCases) { $0 < 300 } }

  /// Milliseconds from an instant until the first good answer of each kind to a request that was sent after it.
  func gaps(since instant: ContinuousClock.Instant) -> [Kind: Int] {
    answers.withLock { answers in
      Dictionary(
        uniqueKeysWithValues: Kind.allCases.map { kind in
          let first = answers.first {
            $0.kind == kind && $0.endedAt >= instant && $0.status.map { $0 < 300 } == true
          }
          return (kind, first.map { Int(($0.endedAt - instant) / .milliseconds(1)) } ?? .max)
        })
    }
  }

  /// What must never have been: no answer, a status other than good or 503, a 503 without Retry-After, a health that
  /// is not good.
  var violations: [String] {
    answers.withLock { answers in
      answers.compactMap { answer in
        switch (answer.kind, answer.status) {
        case (_, 200?), (.write, 201?): nil
        case (.read, 503?), (.write, 503?), (.ready, 503?):
          answer.hasRetryAfter ? nil : "503 to \(answer.kind) without Retry-After"
        case (let kind, let status): "\(kind): \(status.map(String.init) ?? "no answer")"
        }
      }
    }
  }

  /// The longest that anybody waited for an answer to a kind.
  func longestMilliseconds(_ kind: Kind) -> Int {
    answers.withLock { answers in answers.filter { $0.kind == kind }.map(\.milliseconds).max() ?? 0 }
  }

  /// The figures, in words.
  func report(_ what: String, since instant: ContinuousClock.Instant) -> String {
    let gaps = gaps(since: instant)
    return
      "\(what): longest answer read \(longestMilliseconds(.read)) ms, write \(longestMilliseconds(.write)) ms, "
      + "health \(longestMilliseconds(.health)) ms; served again after read \(gaps[.read]!) ms, "
      + "write \(gaps[.write]!) ms, ready \(gaps[.ready]!) ms"
  }
}
