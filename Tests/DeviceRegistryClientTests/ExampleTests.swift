import Foundation
import TestSupport
import Testing

/// `examples/device.sh`, run as its header says.
@Suite("The device in plain shell")
struct ExampleTests {
  private let directory = TemporaryDirectory()

  private func run(_ url: String, secret: String = StandInDevices.secret) async throws -> Program.Result {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../examples/device.sh").standardizedFileURL
    let environment = [
      "PATH=/usr/bin:/bin", "ID=\(StandInDevices.id)", "URL=\(url)",
      "SECRET_FILE=\(try secretFile(secret, in: directory))",
    ]
    return try await Program.run([], environment, executable: script.path)
  }

  @Test
  func `polls, believes the registry's answer, and acknowledges the first signal`() async throws {
    let ids = ["0190a5c2-0000-7000-8000-000000000001", "0190a5c2-0000-7000-8000-000000000002"]
    let acknowledged = #"{"acked":["\#(ids[0])"],"unknown":[]}"#
    let stand = StandInDevices([.signed(pollReply(ids)), .signed(.json(acknowledged))])
    let outcome = try await run(stand.url)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains(#""symbol":"EURUSD""#) && outcome.output.hasSuffix(acknowledged))
    #expect(
      stand.registry.received.map { "\($0.method) \($0.target)" } == [
        "GET /api/v1/device/poll?wait=20&max=10", "POST /api/v1/device/ack",
      ])
    #expect(stand.proofs.count == 2)
    #expect(
      String(decoding: stand.registry.received[1].body, as: UTF8.self)
        == #"{"acks":[{"signal_id":"\#(ids[0])","status":"placed"}]}"#)
  }

  @Test
  func `does nothing where there is nothing`() async throws {
    let stand = StandInDevices([.signed(emptyPoll)])
    let outcome = try await run(stand.url)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(stand.registry.received.count == 1)
  }

  @Test(arguments: StandInDevices.Flaw.allCases)
  func `believes no answer that is not the registry's`(flaw: StandInDevices.Flaw) async throws {
    let stand = StandInDevices([.signedBadly(pollReply(["0190a5c2-0000-7000-8000-000000000001"]), flaw)])
    let outcome = try await run(stand.url)
    #expect(outcome.status == 1)
    #expect(outcome.output.isEmpty && outcome.errors.contains("does not verify"), "\(outcome)")
    #expect(stand.registry.received.count == 1)
  }

  @Test
  func `says what the registry says of a wrong secret`() async throws {
    let stand = StandInDevices([.signed(emptyPoll)])
    let outcome = try await run(stand.url, secret: String(repeating: "f", count: 64))
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("signature-invalid"))
  }
}
