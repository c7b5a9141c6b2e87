@testable import API
import Foundation
import Observability
import Registry
@testable import Server
import Synchronization
import TestSupport
import Testing

/// The log, as the whole service writes it.
@Suite struct RequestLogs {
  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

  @Test func `Each request has one line, with who called, and without what was sent`() async throws {
    let log = LogFile()
    var (owner, id) = (TestOwner(id: ""), "")
    try await TestRegistry.with(await TestDatabase(.sqlite), settings: ["LOG_LEVEL": "debug"], log: log) {
      registry in
      owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner, "EA-Unheard-Of")
      id = device.id
      let fields = [
        ("traceparent", "00-\(Self.trace)-00f067aa0ba902b7-01"), ("X-Request-Id", "mine-1"),
        ("Authorization", "Bearer \(owner.token)"),
      ]
      _ = try await registry.ask("GET", "/api/v1/devices/\(id)?private=note", fields: fields)
      _ = try await registry.poll(device, query: "?max=7")
      _ = try await registry.ask("GET", "/api/v1/devices", token: "forged.token.here")
      _ = try await registry.ask("GET", "/coffee/private")
      _ = try await registry.ask("GET", "/healthz", fields: [("traceparent", "00-nonsense")])
      _ = try await registry.client.sendRaw(Array("GET /private HTTP/1.1\r\n\r\n".utf8), methods: ["GET"])
    }
    let lines = try log.requests
    let routes = [
      "/api/v1/clients", "/api/v1/devices", "/api/v1/devices/{id}", "/api/v1/device/poll", "/api/v1/devices",
      "none", "/healthz", "none",
    ]
    #expect(lines.map { $0["route"] as? String } == routes)
    #expect(lines.map { $0["status"] as? Int } == [201, 201, 400, 200, 401, 404, 200, 400])
    #expect(lines.map { $0["method"] as? String }.suffix(3) == ["GET", "GET", "other"])
    #expect(
      lines.map { $0["client_id"] as? String } == ["operator", owner.id, owner.id, nil, nil, nil, nil, nil])
    #expect(lines.map { $0["device_id"] as? String } == [nil, nil, nil, id, nil, nil, nil, nil])
    #expect(lines.map { $0["trace_id"] as? String } == [nil, nil, Self.trace, nil, nil, nil, nil, nil])
    #expect(
      lines.map { $0["problem"] as? String } == [
        nil, nil, "invalid-value", nil, "token-invalid", "path-not-found", nil, "malformed-request",
      ])
    #expect(lines[2]["request_id"] as? String == "mine-1")
    #expect(lines.dropLast().allSatisfy { $0["address"] as? String == "127.0.0.1" })
    #expect(lines.allSatisfy { ($0["duration_ms"] as? Double).map { (0..<30_000).contains($0) } == true })
    #expect(
      lines.map { $0["level"] as? String } == [
        "info", "info", "info", "debug", "info", "info", "debug", "info",
      ])
    let text = try log.text
    for word in ["private", "coffee", "EA-Unheard-Of", "forged", "max=7"] { #expect(!text.contains(word)) }
  }

  @Test(arguments: DatabaseKind.allCases, ["json", "text"])
  func `No secret, signature or token is in the log, whatever goes wrong`(
    _ kind: DatabaseKind, _ format: String
  ) async throws {
    let log = LogFile()
    let database = await TestDatabase(kind)
    let settings = ["LOG_LEVEL": "debug", "LOG_FORMAT": format]
    var secrets = [TestRegistry.secret, TestRegistry.administrator]
    try await TestRegistry.with(database, settings: settings, log: log) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let other = TestDevice(id: device.id, secret: String(repeating: "5ec0", count: 16))
      secrets += [owner.token, device.secret, other.secret]
      // Signed well, with another's secret, twice, and with a signature that cannot be read.
      let request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
      var broken = TestDevice.SignedRequest("GET", "/api/v1/device")
      broken.tamper = { for index in $0.indices { $0[index].value += "?" } }
      for (request, device) in [(request, device), (request, device), (request, other), (broken, device)] {
        secrets += try device.fields(of: request, port: registry.client.port).map(\.value)
        _ = try await registry.send(request, as: device)
      }
      // Tokens of devices, in the form and as HTTP Basic, good and bad.
      let basic = Data("\(device.id):\(device.secret)".utf8).base64EncodedString()
      let form = Array("grant_type=client_credentials".utf8)
      let type = ("Content-Type", "application/x-www-form-urlencoded")
      let fields = [type, ("Authorization", "Basic \(basic)")]
      let answer = try await registry.client.send("POST", "/api/v1/device/token", fields: fields, body: form)
      let token = try #require(try answer.string("access_token"))
      let both = form + Array("&client_id=\(device.id)&client_secret=\(other.secret)".utf8)
      _ = try await registry.client.send("POST", "/api/v1/device/token", fields: [type], body: both)
      _ = try await registry.ask("GET", "/api/v1/device", token: token)
      _ = try await registry.ask("GET", "/api/v1/device", token: token + "x")
      _ = try await registry.ask("GET", "/api/v1/devices/\(device.secret)?token=\(token)", as: owner)
      secrets += [basic, token, String(token.dropFirst(4))]
    }
    let text = try log.text
    #expect(text.contains("token-invalid") && text.contains("signature-invalid") && text.contains("replayed"))
    for secret in secrets { #expect(!text.contains(secret)) }
    for word in ["Bearer", "Basic", "Authorization", "sig=", "client_secret", "postgresql://", "argon2id$"] {
      #expect(!text.lowercased().contains(word.lowercased()), "\(word)")
    }
  }

  @Test func `At the usual level, devices that poll leave no line, and those that are refused do`() async throws
  {
    let log = LogFile()
    try await TestRegistry.with(await TestDatabase(.sqlite), log: log) { registry in
      let device = try await registry.newSignedDevice(of: try await registry.newOwner())
      for _ in 0..<3 { _ = try await registry.poll(device) }
      _ = try await registry.ack(device, [])
      _ = try await registry.ask("GET", "/readyz")
      _ = try await registry.ask("GET", "/api/v1/device/poll")
    }
    #expect(try log.requests.map { $0["status"] as? Int } == [201, 201, 401])
  }

  @Test(arguments: [
    (200, false, Logger.Level.info), (200, true, .debug), (302, true, .debug), (400, true, .info),
    (429, false, .info), (500, false, .error), (503, true, .error),
  ])
  func `A line's level is that of its answer`(_ status: Int, _ isRoutine: Bool, _ level: Logger.Level) {
    #expect(RequestLog.level(of: answered(status, isRoutine: isRoutine)) == level)
  }

  @Test func `A flood of refusals fills no disk, hides no failure, and is reported`() throws {
    let log = LogFile()
    let descriptor = open(log.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    let logger = Logger(level: .info, format: .json, descriptor: descriptor)
    let requestLog = RequestLog(logger, Interruptions(logger))
    let flood = 20 * RequestLog.refusalsPerSecond
    for _ in 0..<flood { requestLog.log(answered(404)) }
    requestLog.log(answered(503, cause: "gone"))
    logger.close()
    close(descriptor)
    let lines = try log.requests
    // The flood may have been on both sides of a second's end.
    let refusals = lines.count { $0["status"] as? Int == 404 }
    #expect((RequestLog.refusalsPerSecond...flood / 2).contains(refusals))
    #expect(requestLog.omittedLines == flood - refusals)
    #expect(lines.last?["cause"] as? String == "gone")
    #expect(lines.last?["level"] as? String == "error")
  }

  @Test func `While the database restarts, and after a start, refusals are one line each`() throws {
    let log = LogFile()
    let descriptor = open(log.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    let logger = Logger(level: .info, format: .json, descriptor: descriptor)
    let now = Mutex<Int64>(1_000_000)
    let interruptions = Interruptions(logger) { now.withLock { $0 } }
    let requestLog = RequestLog(logger, interruptions)
    func wait(_ milliseconds: Int64) {
      now.withLock { $0 += milliseconds }
      interruptions.report()
    }
    // A restart of 3 s.
    for _ in 0..<20 { interruptions.databaseEndsSessions("57P01 gone") }
    for _ in 0..<300 {
      wait(10)
      requestLog.log(answered(503, cause: "gone"))
      interruptions.databaseMissed("database not reached", cause: "gone")
    }
    requestLog.log(answered(500, cause: "a fault"))
    interruptions.databaseConnected()
    wait(1999)
    requestLog.log(answered(503, isExpected: true))
    wait(1999)
    wait(1)
    // One after which the database does not return.
    interruptions.databaseEndsSessions("57P01 gone")
    interruptions.databaseConnected()
    interruptions.databaseMissed("database not reached", cause: "gone")
    wait(59_999)
    requestLog.log(answered(503, cause: "gone"))
    wait(1)
    requestLog.log(answered(503, cause: "still gone"))
    // Without an announcement it is an error at once; what follows a start is not.
    requestLog.log(answered(503, cause: "queue"))
    for _ in 0..<5 { requestLog.log(answered(503, cause: "signed before", isExpected: true)) }
    wait(2000)
    logger.close()
    close(descriptor)
    let lines = try log.lines
    #expect(
      lines.map { "\($0["level"] as? String ?? "") \($0["event"] as? String ?? "")" } == [
        "notice database ends its sessions", "error request", "notice database back",
        "notice database ends its sessions", "error database not back", "error request", "error request",
        "notice requests refused after a start",
      ])
    #expect(lines[2]["requests_refused"] as? String == "301" && lines[2]["seconds"] as? String == "5")
    #expect(lines[4]["requests_refused"] as? String == "1" && lines[4]["seconds"] as? String == "60")
    #expect(lines[7]["count"] as? String == "5" && lines[7]["cause"] as? String == "signed before")
  }

  private func answered(_ status: Int, isRoutine: Bool = false, cause: String? = nil, isExpected: Bool = false)
    -> AnsweredRequest
  {
    AnsweredRequest(
      requestID: "r", route: "none", method: "GET", status: status, durationNanoseconds: 1_000,
      isRoutine: isRoutine, caller: nil, address: nil, traceID: nil, problem: nil, limit: nil,
      cause: cause, isExpected: isExpected)
  }
}
