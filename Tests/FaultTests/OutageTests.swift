import Foundation
import TestSupport
import Testing

@Suite("A PostgreSQL that goes away", .timeLimit(.minutes(5))) struct OutageTests {
  /// How long an answer may take while the database is away: 5 s for a statement that is on its way, 2 s for a
  /// connection; the rest is for a busy machine.
  static let longestAnswerMilliseconds = 15_000
  static let longestGapMilliseconds = 15_000

  @Test
  func `and comes back, twice`() async throws {
    try await outages { cluster, _ in
      let outage = Outage(name: "stopped", begin: { await cluster.stop() }, end: { await cluster.start() })
      return [outage, outage]
    }
  }

  @Test
  func `because its processes hang`() async throws {
    try await outages { cluster, _ in
      [Outage(name: "frozen", begin: { await cluster.freeze() }, end: { await cluster.thaw() })]
    }
  }

  @Test
  func `because what lies between passes nothing on`() async throws {
    try await outages { _, relay in
      [Outage(name: "cut off", begin: { relay.cut() }, end: { relay.restore() })]
    }
  }

  @Test(.enabled(if: PacketFilter.isPossible))
  func `because packets to it and from it are dropped`() async throws {
    try await BlockingThreads.run {
      let port = try PacketFilter.freePort()
      let filter = PacketFilter(port: port)
      defer { filter.pass() }
      try await PostgresCluster.with(port: port) { cluster in
        let url = await cluster.makeDatabase()
        // Until the server has given its sessions up, they keep the lock of the process.
        let outage = Outage(name: "packets dropped", begin: { try filter.drop() }, end: { filter.pass() }) {
          try wait(for: "the server to give up the sessions") {
            try Database.column(
              url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'device-registry'") == ["0"]
          }
        }
        try await serve(
          through: [outage], on: url.replacing("host=\(cluster.folder)", with: "host=127.0.0.1"))
      }
    }
  }

  private struct Outage: Sendable {
    let name: String
    let begin: @Sendable () async throws -> Void
    let end: @Sendable () async throws -> Void
    /// What it lasts for.
    var untilEnd: @Sendable () async throws -> Void = {}
  }

  /// Serves through each outage: 503 meanwhile, in bounded time, and normal service afterwards, without a restart.
  private func outages(_ make: @escaping @Sendable (PostgresCluster, Relay) -> [Outage]) async throws {
    try await BlockingThreads.run {
      try await PostgresCluster.with { cluster in
        let relay = try Relay(to: "\(cluster.folder)/.s.PGSQL.\(cluster.port)")
        defer { relay.close() }
        let url = await cluster.makeDatabase()
          .replacing(
            "host=\(cluster.folder)&port=\(cluster.port)", with: "host=127.0.0.1&port=\(relay.port)")
        try await serve(through: make(cluster, relay), on: url)
      }
    }
  }

  private func serve(through outages: [Outage], on url: String) async throws {
    let directory = TemporaryDirectory()
    let service = try Service(on: url, logIn: directory)
    let owner = try await service.newOwner()
    let device = try await service.newDevice(of: owner, "EA")
    let probe = Probe(service, owner: owner)
    try await probe.run {
      for outage in outages {
        try probe.waitForService()
        try await outage.begin()
        try probe.waitForOutage()
        try await outage.untilEnd()
        let ended = ContinuousClock.now
        try await outage.end()
        try probe.waitForService()
        print(probe.report(outage.name, since: ended))
        let gaps = probe.gaps(since: ended)
        #expect(gaps.values.allSatisfy { $0 < Self.longestGapMilliseconds }, "\(gaps)")
      }
    }
    #expect(probe.violations == [])
    for kind in Probe.Kind.allCases {
      #expect(probe.longestMilliseconds(kind) < Self.longestAnswerMilliseconds, "\(kind)")
    }
    // Nonces count again once the lock on the database is held again.
    try await wait(for: "signed requests") { try await device.poll(of: service).status == 200 }
    // A server that is stopped announces it.
    let (isAnnounced, log) = (outages[0].name == "stopped", service.log)
    #expect(log.contains(isAnnounced ? "database ends its sessions" : "database connection lost"))
    #expect(try service.stop() == 0)
  }
}
