import Foundation
import Synchronization
import TestSupport
import Testing

/// More to do at once than can be done.
@Suite struct Overload {
  /// Simultaneous requests, each with a separate thread.
  private static let registrations = 300

  /// Those that come last wait for more than a hundred others, on a machine that tests keep busy.
  private static let deadlineSeconds = 120.0

  private static func register(
    _ name: String, as owner: TestOwner, at registry: TestRegistry
  ) async throws -> HTTPAnswer {
    let client = HTTPClient(port: registry.client.port, deadlineSeconds: deadlineSeconds)
    let (method, target) = ("POST", "/api/v1/devices")
    let fields = [("Authorization", "Bearer \(owner.token)"), ("Content-Type", "application/json")]
    let answer = try await client.send(
      method, target, fields: fields, body: Array(#"{"device_name": "\#(name)"}"#.utf8))
    registry.check(answer, to: method, target)
    return answer
  }

  // One after another: each keeps all processors busy.
  @Test(.serialized, arguments: DatabaseKind.allCases)
  func `Registrations at once are made or put off, and polls and reads pass them by`(
    kind: DatabaseKind
  ) async throws {
    // The real cost, which takes a processor some tens of milliseconds.
    let settings = ["ARGON2_MEMORY_KIB": "19456", "ARGON2_TIME": "2"]
    try await TestRegistry.with(TestDatabase(kind), settings: settings) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let unanswered = Countdown(from: Self.registrations)
      let answers = try await withThrowingTaskGroup { group in
        for number in 0..<Self.registrations {
          group.addTask {
            defer { unanswered.count() }
            return try await Self.register("EA-\(number)", as: owner, at: registry)
          }
        }
        // They come between: of what they waited for, more than half would not be done yet. Under a sanitizer all would
        // be after five rounds.
        for _ in 0..<(isUnderSanitizer ? 1 : 5) {
          #expect(try await registry.poll(device).status == 200)
          #expect(try await registry.ask("GET", "/api/v1/devices/\(device.id)", as: owner).status == 200)
        }
        #expect(unanswered.left > 0)
        return try await group.reduce(into: []) { $0.append($1) }
      }
      let made = answers.count { $0.status == 201 }
      let putOff = answers.filter { $0.status == 503 }
      #expect(made + putOff.count == Self.registrations)
      #expect(made >= 128)
      for answer in putOff {
        #expect(try TestRegistry.kind(answer) == "overloaded")
        #expect(answer.value(of: "Retry-After") == "1")
      }
      #expect(try await registry.ask("GET", "/api/v1/devices", as: owner).array().count == made + 1)
    }
  }
}

/// How many are left, for several tasks.
private final class Countdown: Sendable {
  private let number: Atomic<Int>

  init(from number: Int) { self.number = Atomic(number) }

  var left: Int { number.load(ordering: .relaxed) }

  func count() { number.subtract(1, ordering: .relaxed) }
}
