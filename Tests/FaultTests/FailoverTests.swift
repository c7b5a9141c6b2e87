import Foundation
import TestSupport
import Testing

@Suite("A primary that is killed, and a standby that takes its place", .timeLimit(.minutes(5)))
struct FailoverTests {
  static let longestGapMilliseconds = 15_000

  @Test
  func `Writes continue automatically, and nothing that was acknowledged is lost`() async throws {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      try await PostgresPair.with { pair in
        let service = try Service(on: pair.url, logIn: directory)
        let owner = try await service.newOwner()
        let device = try await service.newDevice(of: owner, "EA")
        let workload = try await Workload(owners: 4, at: service)
        let probe = Probe(service, owner: owner)
        async let working: Void = workload.run(on: service)
        try await probe.run {
          try wait(for: "work to be done") { workload.acknowledged.value >= 50 }
          let killed = ContinuousClock.now
          await pair.killFirst()
          try probe.waitForOutage()
          let promoted = ContinuousClock.now
          await pair.promoteSecond()
          try probe.waitForService()
          let before = workload.acknowledged.value
          try wait(for: "more work to be done") { workload.acknowledged.value >= before + 50 }
          print("primary killed \((promoted - killed) / .milliseconds(1)) ms before the standby's promotion")
          print(probe.report("failover", since: promoted))
          let gaps = probe.gaps(since: promoted)
          #expect(gaps.values.allSatisfy { $0 < Self.longestGapMilliseconds }, "\(gaps)")
        }
        #expect(probe.violations == [])
        try await followed(by: service, device, on: pair)
        #expect(try service.stop() == 0)
        await working

        let again = try Service(on: pair.url, logIn: directory)
        #expect(try await workload.losses(at: again) == [])
        try Database.checkSoundness(pair.urlOfSecond)
        print("failover: \(workload.acknowledged.value) changes acknowledged, none lost")
        #expect(try again.stop() == 0)
      }
    }
  }

  /// The lock on the database is held on the new primary, without which no signed request counts; and its changes are
  /// heard.
  private func followed(by service: Service, _ device: FaultDevice, on pair: PostgresPair) async throws {
    try await wait(for: "signed requests") { try await device.poll(of: service).status == 200 }
    let locks = try Database.column(
      pair.urlOfSecond, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    // For serving, and for what one process does: deliveries of webhooks, and who is offline.
    #expect(locks == ["2"])
    let revocation = "UPDATE devices SET revoked = true, is_active = false WHERE id = '\(device.id)'"
    _ = try Database.column(pair.urlOfSecond, revocation)
    let elapsed = try await milliseconds({
      try await wait(for: "the revocation to be heard of", upToSeconds: 10) {
        try await device.poll(of: service).status == 403
      }
    })
    print("a revocation on the new primary is in force within \(elapsed) ms")
  }
}
