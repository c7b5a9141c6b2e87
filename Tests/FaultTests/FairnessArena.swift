import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// A service with its default limits and two clients: `noisy`, who has 10,000 devices and does its worst, and `quiet`,
/// who has a few, and is measured meanwhile.
final class FairnessArena: Sendable {
  let service: Service
  let kind: DatabaseKind
  let databaseURL: String
  let noisy = Service.token(subject: "noisy")
  private let quiet = Service.token(subject: "quiet")
  /// Devices of `quiet`: the first one polls, the others are revoked one after another.
  private let quietDevices: [FaultDevice]

  static let noisyDevices = 10_000
  /// How long `noisy` does its worst, seconds; nil where the suite does not run.
  static let seconds = ProcessInfo.processInfo.environment["FAIRNESS_SECONDS"].flatMap { Double($0) }

  /// Limits as a user has them without settings.
  private static let defaults = [
    "RATE_LIMIT_CLIENT": "6000/60", "RATE_LIMIT_DEVICE": "600/60", "RATE_LIMIT_ADDRESS": "600/60",
    "ARGON2_MEMORY_KIB": "19456", "ARGON2_TIME": "2",
  ]

  /// - Parameters:
  ///   - settings: of the service, on top of its defaults.
  ///   - prepare: what is in the database before the service starts, by SQL.
  static func run(
    _ name: String, on kind: DatabaseKind, settings: [String: String] = [:], through prefix: [String] = [],
    prepare: @Sendable (_ databaseURL: String) throws -> Void = { _ in },
    _ body: @escaping @Sendable (FairnessArena) async throws -> Void
  ) async throws {
    let directory = TemporaryDirectory()
    let url = await kind.newDatabase(in: directory)
    // Registers quickly, without limits, and with cheap hashes.
    let first = try Service(on: url, logIn: directory)
    var devices: [FaultDevice] = []
    for id in ["noisy", "quiet"] {
      _ = try await first.demand(201, "POST", "/api/v1/clients", token: Service.administrator, json: ["id": id])
    }
    for number in 0...maximumRevocations {
      devices.append(try await first.newDevice(of: Service.token(subject: "quiet"), "EA \(number)"))
    }
    #expect(try first.stop() == 0)
    _ = try Database.column(url, devicesOfNoisy(kind))
    try prepare(url)
    let service = try Service(
      on: url, logIn: directory, settings: defaults.merging(settings) { $1 }, through: prefix)
    let arena = FairnessArena(service, kind, url, devices)
    // After a start, nonces of the time before cannot be checked.
    try await wait { try await devices[0].poll(of: service).status == 200 }
    try await BlockingThreads.run { try await body(arena) }
    #expect(try service.stop() == 0, "\(name)")
  }

  private init(_ service: Service, _ kind: DatabaseKind, _ databaseURL: String, _ devices: [FaultDevice]) {
    (self.service, self.kind, self.databaseURL) = (service, kind, databaseURL)
    quietDevices = devices
  }

  private static func devicesOfNoisy(_ kind: DatabaseKind) -> String {
    let columns = """
      INSERT INTO devices
        (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)
      """
    return switch kind {
    case .sqlite:
      """
      WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < \(noisyDevices))
      \(columns)
      SELECT printf('0193dddd-0000-7000-8000-%012x', n), 'noisy', 'EA ' || n, '$argon2id$noisy' || n,
        randomblob(32), randomblob(32), 1764000000000, 1764000000000
      FROM numbers
      """
    case .postgres:
      """
      \(columns)
      SELECT ('0193dddd-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'noisy', 'EA ' || n,
        '$argon2id$noisy' || n, sha256(('a' || n)::bytea), sha256(('b' || n)::bytea), now(), now()
      FROM generate_series(1, \(noisyDevices)) AS numbers (n)
      """
    }
  }

  static func noisyDevice(_ number: Int) -> String {
    let hexadecimal = String(number, radix: 16)
    return "0193dddd-0000-7000-8000-" + String(repeating: "0", count: 12 - hexadecimal.count) + hexadecimal
  }

  /// A device of `noisy` with a new secret: those that SQL inserted have none.
  func rotatedDevice(_ number: Int) async throws -> FaultDevice {
    let rotated = try await service.demand(
      200, "POST", "/api/v1/devices/\(Self.noisyDevice(number))/rotate", token: noisy,
      json: ["grace_seconds": 0]
    ).object()
    return FaultDevice(id: rotated["id"] as! String, secret: rotated["secret"] as! String)
  }

  // MARK: What `quiet` experiences

  /// Figures of one run.
  struct Figures {
    /// From sending the revocation until the device's next request was refused, milliseconds.
    var revocations: [Double] = []
    var reads: [Double] = []
    var polls: [Double] = []
    /// Answers of another status than is right, and requests without an answer.
    var failures: [String] = []
    var residentKiB = 0
  }

  private final class FigureBox: Sendable {
    private let figures = Mutex(Figures())
    func withLock<Value: Sendable>(_ body: (inout Figures) -> Value) -> Value {
      figures.withLock { figures in body(&figures) }
    }
  }

  private static let maximumRevocations = 60
  /// The bounds that every client can rely on.
  static let longestRevocationMilliseconds = 250.0
  static let longestReadMilliseconds = 50.0
  static let mostResidentKiB = 300 * 1024

  /// Runs `noise` for some seconds, measures meanwhile, prints the figures and tests them.
  ///
  /// - Parameters:
  ///   - begin: how long the noise lasts before the measurement begins, seconds.
  ///   - noise: returns when `isOver`, or earlier.
  func measure(
    _ name: String, seconds: Double = seconds ?? 0, afterSeconds begin: Double = 0.2,
    _ noise: @escaping @Sendable (_ isOver: @escaping @Sendable () -> Bool) async throws -> Void
  ) async throws {
    let figures = FigureBox()
    let end = ContinuousClock.now + .seconds(begin + seconds)
    let isOver: @Sendable () -> Bool = { ContinuousClock.now >= end }
    try await withThrowingTaskGroup { group in
      group.addTask { try await noise(isOver) }
      usleep(UInt32(begin * 1_000_000))
      group.addTask { await self.read(until: isOver, figures) }
      group.addTask { await self.poll(until: isOver, figures) }
      group.addTask { await self.revoke(until: isOver, figures) }
      group.addTask {
        while !isOver() {
          let resident = self.service.process.residentKiB
          figures.withLock { $0.residentKiB = max($0.residentKiB, resident) }
          usleep(20_000)
        }
      }
      try await group.waitForAll()
    }
    let seen = figures.withLock { $0 }
    print(
      "fairness, \(kind.rawValue), \(name): revocation in force after \(seen.revocations.most) ms at most "
        + "(\(seen.revocations.count) of them), reads \(seen.reads.percentile99) ms (p99), polls "
        + "\(seen.polls.percentile99) ms (p99), \(seen.residentKiB / 1024) MiB resident")
    let failures = seen.failures.prefix(3).map { String($0.prefix(400)) }
    #expect(failures == [], "\(seen.failures.count) failures")
    #expect(!seen.revocations.isEmpty && seen.revocations.most <= stretched(Self.longestRevocationMilliseconds))
    #expect(!seen.reads.isEmpty && seen.reads.percentile99 <= stretched(Self.longestReadMilliseconds))
    #expect(!seen.polls.isEmpty)
    #expect(seen.residentKiB <= Self.mostResidentKiB)
  }

  private func read(until isOver: () -> Bool, _ figures: FigureBox) async {
    while !isOver() {
      let (milliseconds, answer) = await timed {
        try await self.service.ask("GET", "/api/v1/devices?limit=10", token: self.quiet)
      }
      figures.withLock { figures in
        figures.reads.append(milliseconds)
        if answer?.status != 200 { figures.failures.append("read: \(answer?.text ?? "no answer")") }
      }
      usleep(20_000)
    }
  }

  private func poll(until isOver: () -> Bool, _ figures: FigureBox) async {
    while !isOver() {
      let (milliseconds, answer) = await timed { try await self.quietDevices[0].poll(of: self.service) }
      figures.withLock { figures in
        figures.polls.append(milliseconds)
        if answer?.status != 200 { figures.failures.append("poll: \(answer?.text ?? "no answer")") }
      }
      usleep(50_000)
    }
  }

  private func revoke(until isOver: () -> Bool, _ figures: FigureBox) async {
    for device in quietDevices.dropFirst() {
      guard !isOver() else { return }
      let before = try? await device.poll(of: service)
      var after: HTTPAnswer?
      let (milliseconds, revoked) = await timed {
        let revoked = try await self.service.ask(
          "POST", "/api/v1/devices/\(device.id)/revoke", token: self.quiet)
        after = try await device.poll(of: self.service)
        return revoked
      }
      figures.withLock { figures in
        figures.revocations.append(milliseconds)
        for (what, answer, status) in [
          ("poll before", before, 200), ("revocation", revoked, 204), ("poll after", after, 403),
        ] where answer?.status != status {
          figures.failures.append("\(what): \(answer?.text ?? "no answer")")
        }
      }
      usleep(150_000)
    }
  }

  private func timed(_ body: () async throws -> HTTPAnswer) async -> (milliseconds: Double, HTTPAnswer?) {
    let begun = ContinuousClock.now
    let answer = try? await body()
    return ((ContinuousClock.now - begun) / .milliseconds(1), answer)
  }

  // MARK: What `noisy` does

  /// A request with its token.
  func request(_ method: String, _ target: String, token: String? = nil, json: String? = nil) -> [UInt8] {
    var text = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \(token ?? noisy)\r\n"
    if let json { text += "Content-Type: application/json\r\nContent-Length: \(json.utf8.count)\r\n" }
    return Array((text + "\r\n" + (json ?? "")).utf8)
  }

  /// Sends requests on that many connections, each as soon as the answer to the one before is there; counts the
  /// answers by their status.
  @discardableResult
  func flood(
    connections: Int, until isOver: @escaping @Sendable () -> Bool,
    _ request: @escaping @Sendable (_ connection: Int, _ number: Int) throws -> [UInt8]
  ) async -> [Int: Int] {
    await withTaskGroup { group in
      for number in 0..<connections {
        group.addTask {
          await onOwnThread {
            // An attacker has other machines: here the service goes first. On Linux, niceness
            // belongs to a thread (setpriority(2)).
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
            var statuses: [Int: Int] = [:]
            var connection: FloodConnection?
            for round in 0... {
              guard !isOver() else { break }
              do {
                if connection == nil { connection = try FloodConnection(port: self.service.client.port) }
                let status = try connection!.ask(request(number, round))
                statuses[status, default: 0] += 1
                if status == 429 || status == 503 { usleep(2000) }
              } catch {
                statuses[0, default: 0] += 1
                connection = nil
                usleep(10_000)
              }
            }
            return statuses
          }
        }
      }
      return await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    }
  }
}

/// A connection that is kept open, and reads of answers only what it must.
private final class FloodConnection {
  private let socket: ClientSocket

  init(port: UInt16) throws {
    socket = try ClientSocket(port: port, deadline: Date(timeIntervalSinceNow: 120))
  }

  /// Sends a request, reads its answer to the end, and returns the status.
  func ask(_ request: [UInt8]) throws -> Int {
    socket.write(request)
    var head: [UInt8] = []
    let separator = Array("\r\n\r\n".utf8)
    while true {
      let piece = try socket.read()
      guard !piece.isEmpty else { throw Unmet("cut off") }
      head += piece
      guard let end = head.firstRange(of: separator) else { continue }
      let text = String(decoding: head[..<end.lowerBound], as: UTF8.self).lowercased()
      let words = text.split(separator: " ", maxSplits: 2)
      let length =
        text.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
        .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
      var missing = length - (head.count - end.upperBound)
      while missing > 0 {
        let piece = try socket.read()
        guard !piece.isEmpty else { throw Unmet("cut off") }
        missing -= piece.count
      }
      return Int(words[1]) ?? 0
    }
  }
}

extension [Double] {
  fileprivate var most: Double { ((self.max() ?? 0) * 10).rounded() / 10 }

  fileprivate var percentile99: Double {
    guard !isEmpty else { return 0 }
    let value = sorted()[Int(Double(count - 1) * 0.99)]
    return (value * 10).rounded() / 10
  }
}
