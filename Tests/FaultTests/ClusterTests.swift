import Foundation
import Synchronization
import TestSupport
import Testing

/// Two processes on one PostgreSQL and one Redis, behind nginx with the lines of docs/operations.md.
@Suite("A cluster behind nginx", .timeLimit(.minutes(10))) struct ClusterTests {
  @Test func `A rolling restart fails no request`() async throws {
    try await Cluster.with { cluster in
      let work = try await ClusterWork(on: cluster)
      try await work.run {
        try work.waitForMore()
        for index in 0..<2 {
          #expect(try cluster.stop(index) == 0)
          try work.waitForMore()
          try cluster.start(index)
          try work.waitForMore()
        }
      }
      let counts = work.counts
      for kind in ClusterWork.Kind.allCases where kind != .plainPost {
        #expect(counts[kind]?.keys.allSatisfy { $0 == kind.success } == true, "\(kind): \(counts[kind] ?? [:])")
      }
      try work.expectNothingTwice()
      print("rolling restart: \(work.report)")
    }
  }

  @Test func `Killing each process in turn fails no read, loses no device, and does nothing twice`()
    async throws
  {
    try await Cluster.with { cluster in
      let work = try await ClusterWork(on: cluster)
      try await work.run {
        for _ in 0..<3 {
          for index in 0..<2 {
            try work.waitForMore()
            try cluster.kill(index)
            try work.waitForMore()
            try cluster.start(index)
          }
        }
        try work.waitForMore()
      }
      let counts = work.counts
      #expect(counts[.read]?.keys.allSatisfy { $0 == 200 } == true, "\(counts[.read] ?? [:])")
      // What the killed process had accepted.
      for kind in [ClusterWork.Kind.poll, .parkedPoll] {
        let statuses = counts[kind] ?? [:]
        #expect(statuses.keys.allSatisfy { [200, 401].contains($0) }, "\(kind): \(statuses)")
      }
      #expect(work.unexpected == [])
      try work.expectNothingTwice()
      print("kills: \(work.report)")
    }
  }
}

/// The processes, each at its port, and nginx in front.
private final class Cluster: Sendable {
  /// Of nginx.
  let client: HTTPClient
  let databaseURL: String
  private let ports: [UInt16]
  private let settings: [String: String]
  private let directory = TemporaryDirectory()
  private let services: Mutex<[Service]>

  private init(databaseURL: String, redisPort: UInt16, ports: [UInt16], nginxPort: UInt16) throws {
    client = HTTPClient(port: nginxPort, deadlineSeconds: 60)
    self.databaseURL = databaseURL
    self.ports = ports
    settings = [
      "REPLAY_STORE": "redis://127.0.0.1:\(redisPort)/0", "TRUSTED_PROXIES": "127.0.0.1",
      "PUBLIC_URL": "http://127.0.0.1:\(nginxPort)",
    ]
    services = Mutex([])
    for index in ports.indices { try start(index) }
  }

  static func with(_ body: @escaping @Sendable (Cluster) async throws -> Void) async throws {
    try await BlockingThreads.run {
      try await RedisServer.with { redis in
        let url = await PostgresCluster.shared.makeDatabase()
        let ports = try (0..<3).map { _ in try PacketFilter.freePort() }
        let cluster = try Cluster(
          databaseURL: url, redisPort: redis.port, ports: Array(ports.prefix(2)), nginxPort: ports[2])
        let page = try String(contentsOf: documents.appending(path: "operations.md"), encoding: .utf8)
        let upstream = try lines(of: "nginx upstream", in: page)
          .replacing("127.0.0.1:8011", with: "127.0.0.1:\(ports[0])")
          .replacing("127.0.0.1:8012", with: "127.0.0.1:\(ports[1])")
        let server = "listen 127.0.0.1:\(ports[2]);\n" + (try lines(of: "nginx locations", in: page))
        try await Nginx.with(upstream: upstream, server: server) { _ in try await body(cluster) }
        for index in ports.indices.prefix(2) { #expect(try cluster.stop(index) == 0) }
      }
    }
  }

  private static let documents = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../docs").standardizedFileURL

  /// The block of the page after a mark.
  private static func lines(of mark: String, in page: String) throws -> String {
    guard let start = page.firstRange(of: "<!-- \(mark) -->\n")?.upperBound else {
      throw Unmet("the page has no block named \(mark)")
    }
    return page[start...].split(separator: "\n", omittingEmptySubsequences: false)
      .prefix { $0.isEmpty || $0.hasPrefix("    ") }.joined(separator: "\n")
  }

  /// Starts a process, or another one in its place.
  func start(_ index: Int) throws {
    let service = try Service(
      on: databaseURL, logIn: directory,
      settings: settings.merging(["LISTEN": "127.0.0.1:\(ports[index])"]) { $1 })
    services.withLock { services in
      if index < services.count { services[index] = service } else { services.append(service) }
    }
  }

  /// Answers the exit status.
  func stop(_ index: Int) throws -> Int32 { try services.withLock { $0[index] }.stop() }

  func kill(_ index: Int) throws { try services.withLock { $0[index] }.crash() }

  var first: Service { services.withLock { $0[0] } }
}

/// Devices that poll, and an owner who reads and creates, through nginx.
private final class ClusterWork: Sendable {
  enum Kind: CaseIterable {
    case poll, parkedPoll, read
    /// With an idempotency key, and without.
    case post, plainPost

    var success: Int { [.post, .plainPost].contains(self) ? 201 : 200 }
  }

  private struct State {
    var statuses: [Kind: [Int: Int]] = [:]
    var unexpected: [String] = []
    /// Payloads that were answered with 201.
    var created: Set<String> = []
  }

  private let cluster: Cluster
  private let owner: String
  private let devices: [FaultDevice]
  private let state = Mutex(State())
  private let isOver = Counter()

  init(on cluster: Cluster) async throws {
    self.cluster = cluster
    owner = try await cluster.first.newOwner()
    var devices: [FaultDevice] = []
    for number in 1...6 { devices.append(try await cluster.first.newDevice(of: owner, "EA \(number)")) }
    self.devices = devices
  }

  var counts: [Kind: [Int: Int]] { state.withLock { $0.statuses } }
  var unexpected: [String] { state.withLock { $0.unexpected } }
  var report: String {
    Kind.allCases.map { kind in
      "\(kind) "
        + (counts[kind] ?? [:]).sorted { $0.key < $1.key }.map { "\($0): \($1)" }.joined(separator: ", ")
    }.joined(separator: "; ")
  }

  /// Works while the body runs.
  func run(during body: () async throws -> Void) async throws {
    try await withThrowingTaskGroup { group in
      for device in devices.prefix(4) { group.addTask { try await self.poll(device, .poll) } }
      for device in devices.suffix(2) { group.addTask { try await self.poll(device, .parkedPoll) } }
      for _ in 0..<2 { group.addTask { try await self.read() } }
      for _ in 0..<2 { group.addTask { try await self.post(.post) } }
      group.addTask { try await self.post(.plainPost) }
      do { try await body() } catch {
        isOver.add()
        throw error
      }
      isOver.add()
      try await group.waitForAll()
    }
  }

  /// Waits until there are more successes of each kind.
  func waitForMore() throws {
    func successes() -> [Kind: Int] {
      state.withLock { state in
        Dictionary(uniqueKeysWithValues: Kind.allCases.map { ($0, state.statuses[$0]?[$0.success] ?? 0) })
      }
    }
    let before = successes()
    try wait(for: "more of each kind") {
      let now = successes()
      return Kind.allCases.allSatisfy { now[$0]! >= before[$0]! + ($0 == .parkedPoll ? 2 : 10) }
    }
  }

  private func count(_ kind: Kind, _ answer: HTTPAnswer) {
    state.withLock { $0.statuses[kind, default: [:]][answer.status, default: 0] += 1 }
  }

  private func poll(_ device: FaultDevice, _ kind: Kind) async throws {
    let target = "/api/v1/device/poll" + (kind == .parkedPoll ? "?wait=1" : "")
    var failures = 0
    while isOver.value == 0 {
      let answer = try await device.ask("GET", target, at: cluster.client)
      count(kind, answer)
      let isReplay = answer.status == 401 && answer.text.contains("/replayed")
      if answer.status != 200, !isReplay { note("\(target): \(answer.status) \(answer.text)") }
      failures = answer.status == 200 ? 0 : failures + 1
      // The device signs again: both processes would have to be killed for that to fail.
      if failures > 1 { note("\(target): \(failures) failures in a row") }
    }
  }

  private func read() async throws {
    while isOver.value == 0 {
      let fields = [("Authorization", "Bearer \(owner)")]
      count(.read, try await cluster.client.send("GET", "/api/v1/devices", fields: fields))
    }
  }

  /// Sends signals, each with another payload. With a key, a request is repeated until it succeeds.
  private func post(_ kind: Kind) async throws {
    while isOver.value == 0 {
      let payload = UUID().uuidString
      var fields = [("Authorization", "Bearer \(owner)"), ("Content-Type", "application/json")]
      if kind == .post { fields.append(("Idempotency-Key", payload)) }
      let body = Array(#"{"payload": {"id": "\#(payload)"}, "device_ids": ["\#(devices[0].id)"]}"#.utf8)
      let answer = try await cluster.client.send("POST", "/api/v1/signals", fields: fields, body: body)
      count(kind, answer)
      switch (kind, answer.status) {
      case (_, 201): state.withLock { _ = $0.created.insert(payload) }
      // Perhaps it was done.
      case (.plainPost, 502), (.plainPost, 504): break
      default: note("\(kind): \(answer.status) \(answer.text)")
      }
    }
  }

  private func note(_ text: String) { state.withLock { $0.unexpected.append(text) } }

  /// Whatever was answered with 201 was done once, and nothing twice.
  func expectNothingTwice() throws {
    let stored = try Database.column(cluster.databaseURL, "SELECT payload::jsonb ->> 'id' FROM signals")
    let created = state.withLock { $0.created }
    #expect(Set(stored).count == stored.count)
    #expect(created.subtracting(stored).isEmpty)
    #expect(created.count > 20)
  }
}
