import Foundation
import Synchronization
import TestSupport
import Testing

/// More to do at once than can be done.
@Suite struct Overload {
  /// Simultaneous requests, each with a separate thread.
  private static let registrations = 300
  private static let registrationsPerOwner = 15

  /// Those that come last wait for more than a hundred others, on a machine that tests keep busy.
  private static let deadlineSeconds = 120.0

  private static func register(
    _ name: String, as owner: TestOwner, at registry: TestRegistry
  ) async throws -> HTTPAnswer {
    try await post("/api/v1/devices", #"{"device_name": "\#(name)"}"#, as: owner, at: registry)
  }

  private static func rotate(
    _ device: TestDevice, as owner: TestOwner, at registry: TestRegistry
  ) async throws -> HTTPAnswer {
    try await post("/api/v1/devices/\(device.id)/rotate", "{}", as: owner, at: registry)
  }

  private static func post(
    _ target: String, _ json: String, as owner: TestOwner, at registry: TestRegistry
  ) async throws -> HTTPAnswer {
    let client = HTTPClient(port: registry.client.port, deadlineSeconds: deadlineSeconds)
    let fields = [("Authorization", "Bearer \(owner.token)"), ("Content-Type", "application/json")]
    let answer = try await client.send("POST", target, fields: fields, body: Array(json.utf8))
    registry.check(answer, to: "POST", target)
    return answer
  }

  /// 100 registrations and as many rotations at once.
  private static func flood(
    _ device: TestDevice, as owner: TestOwner, at registry: TestRegistry
  ) async throws -> [HTTPAnswer] {
    try await withThrowingTaskGroup { group in
      for number in 0..<100 {
        group.addTask { try await register("EA-\(number)", as: owner, at: registry) }
        group.addTask { try await rotate(device, as: owner, at: registry) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
  }

  @Test func `A client with many registrations or rotations at once keeps no other from its own`() async throws
  {
    let settings = ["ARGON2_MEMORY_KIB": "19456", "ARGON2_TIME": "2"]
    try await TestRegistry.with(TestDatabase(.sqlite), settings: settings) { registry in
      let (noisy, quiet) = (try await registry.newOwner(), try await registry.newOwner())
      let rotated = try await registry.newSignedDevice(of: noisy)
      let device = try await registry.newSignedDevice(of: quiet)
      async let flood = Self.flood(rotated, as: noisy, at: registry)
      for number in 0..<3 {
        _ = try await registry.rotate(device, of: quiet)
        _ = try await registry.newDevice(of: quiet, "EA-\(number)")
      }
      let answers = try await flood
      let refused = answers.filter { $0.status == 429 }
      #expect(answers.count { [200, 201].contains($0.status) } + refused.count == 200)
      for answer in refused {
        #expect(try TestRegistry.kind(answer) == "too-many-waiting")
        #expect(answer.value(of: "Retry-After") == "1")
      }
      #expect(!refused.isEmpty)
    }
  }

  // One after another: each keeps all processors busy.
  @Test(.serialized, arguments: DatabaseKind.allCases)
  func `Registrations at once are made or put off, and polls and reads pass them by`(
    kind: DatabaseKind
  ) async throws {
    // The real cost, which takes a processor some tens of milliseconds.
    let settings = ["ARGON2_MEMORY_KIB": "19456", "ARGON2_TIME": "2"]
    try await TestRegistry.with(TestDatabase(kind), settings: settings) { registry in
      // Enough clients to fill the queue, each with less than one may have in it.
      var owners: [TestOwner] = []
      for _ in 0..<Self.registrations / Self.registrationsPerOwner {
        owners.append(try await registry.newOwner())
      }
      let device = try await registry.newSignedDevice(of: owners[0])
      let unanswered = Countdown(from: Self.registrations)
      let answers = try await withThrowingTaskGroup { group in
        for owner in owners {
          for number in 0..<Self.registrationsPerOwner {
            group.addTask {
              defer { unanswered.count() }
              return try await Self.register("EA-\(number)", as: owner, at: registry)
            }
          }
        }
        // They come between: of what they waited for, more than half would not be done yet. Under a sanitizer all would
        // be after five rounds.
        for _ in 0..<(isUnderSanitizer ? 1 : 5) {
          #expect(try await registry.poll(device).status == 200)
          #expect(try await registry.ask("GET", "/api/v1/devices/\(device.id)", as: owners[0]).status == 200)
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
      var stored = 0
      for owner in owners {
        stored += try await registry.ask("GET", "/api/v1/devices", as: owner).array().count
      }
      #expect(stored == made + 1)
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
