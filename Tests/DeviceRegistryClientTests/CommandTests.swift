import Foundation
import TestSupport
import Testing

/// `device-registry device`, as a user starts it.
@Suite("The device command and a registry")
struct CommandTests {
  private let directory = TemporaryDirectory()

  private func run(_ arguments: [String], _ url: String) async throws -> Program.Result {
    let place = [
      "--id", StandInDevices.id, "--secret-file", try secretFile(StandInDevices.secret, in: directory),
    ]
    return try await Program.run(["device"] + arguments + place + ["--url", url])
  }

  @Test
  func `whoami prints what the registry knows, byte by byte`() async throws {
    let text = "{\(deviceJSON),\"server_time\":\"2030-01-01T00:00:00.500Z\"}"
    let stand = StandInDevices([.signed(.json(text))])
    let outcome = try await run(["whoami"], stand.url)
    #expect(outcome.status == 0 && outcome.output == text + "\n", "\(outcome.errors)")
  }

  @Test
  func `poll prints the signals`() async throws {
    let stand = StandInDevices([.signed(pollReply(["s-1"]))])
    let outcome = try await run(["poll", "--wait", "7", "--max=3"], stand.url)
    #expect(outcome.status == 0 && outcome.output.contains(#""id":"s-1""#), "\(outcome.errors)")
    #expect(stand.registry.received.map(\.target) == ["/api/v1/device/poll?wait=7&max=3"])
    _ = try await run(["poll"], stand.url)
    #expect(stand.registry.received.last?.target == "/api/v1/device/poll?wait=0&max=100")
  }

  @Test
  func `ack says what became of a signal`() async throws {
    let stand = StandInDevices([.signed(.json(#"{"acked":["s-1"],"unknown":[]}"#))])
    let outcome = try await run(["ack", "s-1", "--status", "placed", "--broker-ticket", "42"], stand.url)
    #expect(
      outcome.status == 0 && outcome.output == #"{"acked":["s-1"],"unknown":[]}"# + "\n", "\(outcome.errors)")
    _ = try await run(["ack", "s-1", "--status", "failed", "--error", "no money"], stand.url)
    struct Body: Decodable { let acks: [[String: String]] }
    let bodies = try stand.registry.received.map {
      try JSONDecoder().decode(Body.self, from: Data($0.body)).acks
    }
    #expect(
      bodies == [
        [["signal_id": "s-1", "status": "placed", "broker_ticket": "42"]],
        [["signal_id": "s-1", "status": "failed", "error": "no money"]],
      ])
  }

  @Test
  func
    `An answer that is not the registry's is not printed; what the registry refuses is said; both exit with 1`()
    async throws
  {
    let forged = StandInDevices([.signedBadly(pollReply(["s-1"]), .otherKey)])
    let ignored = try await run(["poll"], forged.url)
    #expect(
      ignored.status == 1 && ignored.output.isEmpty && ignored.errors.contains("not signed by the registry"))
    let refusing = StandInDevices([.signed(.problem(401, "signature-invalid"))])
    let refused = try await run(["whoami"], refusing.url)
    #expect(refused.status == 1 && refused.output.isEmpty && refused.errors.contains("What to do."))
  }
}
