import Foundation
import TestSupport
import Testing

/// A caller that knows no secret learns nothing: not whether the device exists, and not whether it may be used.
@Suite("Unknown devices and wrong secrets are alike", .serialized) struct AlikeTests {
  /// Rounds, in each of which every stranger asks once.
  private static let rounds = 100
  /// By how much the times may differ: the machine does other things meanwhile, which is why those of the tenth that was
  /// disturbed least are compared. What a test of argon2id or a missing look into the database would change is far more,
  /// and less than half.
  private static let factor = 2.0

  enum Way: CaseIterable { case signature, tokenRequest, token }

  private struct Strangers {
    /// By what they are.
    let all: [(name: String, device: TestDevice)]
    /// A token of the device that is revoked, and one that there never was.
    let tokens: [(name: String, token: String)]
  }

  private func strangers(_ registry: TestRegistry) async throws -> Strangers {
    let owner = try await registry.newOwner()
    let wrong = String(repeating: "0123456789abcdef", count: 4)
    var all = [("unknown", TestDevice(id: UUID().uuidString.lowercased(), secret: wrong))]
    var tokens = [("unknown", "drt_" + String(repeating: "A", count: 43))]
    for state in [nil] + HeldBack.allCases {
      let device = try await registry.newSignedDevice(
        of: state == .clientSuspended ? registry.newOwner() : owner)
      let token = try await registry.newToken(of: device)
      if let state { try await state.begin(for: device, at: registry) }
      // It is cached.
      _ = try await registry.poll(device)
      all.append(("\(state?.rawValue ?? "active"), wrong", TestDevice(id: device.id, secret: wrong)))
      // Expiry, and the end of a client's suspension, do not delete the tokens.
      if [.revoked, .suspended].contains(state) { tokens.append((state!.rawValue, token)) }
    }
    return Strangers(all: all, tokens: tokens)
  }

  /// The bytes of a request of each stranger, new in each round.
  private func requests(
    _ way: Way, _ strangers: Strangers, _ registry: TestRegistry
  ) throws -> [(name: String, bytes: [UInt8])] {
    let head = "Host: 127.0.0.1:\(registry.client.port)\r\n"
    switch way {
    case .signature:
      return try strangers.all.map { name, device in
        let fields = try device.fields(
          of: registry.request("GET", "/api/v1/device/poll"), port: registry.client.port
        )
        .map { "\($0.name): \($0.value)\r\n" }.joined()
        return (name, Array("GET /api/v1/device/poll HTTP/1.1\r\n\(head)\(fields)\r\n".utf8))
      }
    case .tokenRequest:
      return strangers.all.map { name, device in
        let form = "grant_type=client_credentials&client_id=\(device.id)&client_secret=\(device.secret)"
        return (
          name,
          Array(
            """
            POST /api/v1/device/token HTTP/1.1\r\n\(head)Content-Type: application/x-www-form-urlencoded\r
            Content-Length: \(form.utf8.count)\r\n\r\n\(form)
            """.utf8)
        )
      }
    case .token:
      return strangers.tokens.map { name, token in
        (name, Array("GET /api/v1/device HTTP/1.1\r\n\(head)Authorization: Bearer \(token)\r\n\r\n".utf8))
      }
    }
  }

  /// An answer without what is each answer's own.
  private func shown(_ answer: HTTPAnswer) -> [String] {
    let own = ["x-request-id", "date"]
    let body = answer.text.replacing(/"request_id":"[^"]*"/, with: "")
    return ["\(answer.status)", body]
      + answer.fields.filter { !own.contains($0.name) }.map { "\($0.name): \($0.value)" }
  }

  @Test(arguments: DatabaseKind.allCases, Way.allCases)
  func `In their answers, and as far as possible in their time`(
    _ kind: DatabaseKind, _ way: Way
  ) async throws {
    // argon2id as it is: it would be seen.
    let settings = ["ARGON2_MEMORY_KIB": "19456", "ARGON2_TIME": "2"]
    try await TestRegistry.with(TestDatabase(kind), settings: settings) { registry in
      let strangers = try await strangers(registry)
      var names: [String] = []
      var bytes: [[UInt8]] = []
      for _ in 0..<Self.rounds {
        for request in try requests(way, strangers, registry) {
          names.append(request.name)
          bytes.append(request.bytes)
        }
      }
      let answers = try await HTTPClient(port: registry.client.port, deadlineSeconds: 120).sendInTurn(bytes)
      var words: Set<[String]> = []
      var durations: [String: [Duration]] = [:]
      for (name, (answer, duration)) in zip(names, answers) {
        words.insert(shown(answer))
        durations[name, default: []].append(duration)
      }
      #expect(words.count == 1, "\(words)")
      #expect(words.first?.first == "401")
      let times = durations.mapValues { $0.sorted()[$0.count / 10] }
      if ProcessInfo.processInfo.environment["PRINT_FIGURES"] != nil { print(kind, way, times) }
      let (fastest, slowest) = (times.values.min()!, times.values.max()!)
      #expect(slowest / fastest < Self.factor, "\(times)")
    }
  }
}
