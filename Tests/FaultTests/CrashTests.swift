import Foundation
import TestSupport
import Testing

@Suite("A process that is killed", .timeLimit(.minutes(10))) struct CrashTests {
  /// How often; `FAULT_KILLS` asks for more.
  static let kills = ProcessInfo.processInfo.environment["FAULT_KILLS"].flatMap { Int($0) } ?? 12

  @Test(arguments: DatabaseKind.allCases)
  func `loses nothing that it acknowledged`(kind: DatabaseKind) async throws {
    let directory = TemporaryDirectory()
    let url = await kind.newDatabase(in: directory)
    try await BlockingThreads.run {
      let first = try Service(on: url, logIn: directory)
      let workload = try await Workload(owners: 4, at: first)
      try first.crash()
      for kill in 1...Self.kills {
        let service = try Service(on: url, logIn: directory)
        let before = workload.acknowledged.value
        async let working: Void = workload.run(on: service)
        // In the middle of the work, never at the same place.
        try wait(for: "work to be done") { workload.acknowledged.value >= before + 20 }
        usleep(UInt32.random(in: 0..<20_000))
        try service.crash()
        await working
        try Database.checkSoundness(url)
        if kill == Self.kills || kill.isMultiple(of: 10) {
          try await check(workload, on: url, directory)
        }
      }
      let acknowledged = workload.acknowledged.value
      print("\(kind): \(Self.kills) kills, \(acknowledged) changes acknowledged, none lost")
    }
  }

  private func check(_ workload: Workload, on url: String, _ directory: TemporaryDirectory) async throws {
    let service = try Service(on: url, logIn: directory)
    let losses = try await workload.losses(at: service)
    #expect(losses == [])
    #expect(try service.stop() == 0)
  }
}
