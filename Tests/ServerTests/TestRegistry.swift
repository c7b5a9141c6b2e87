import API
import Foundation
import JSONWebToken
import Observability
import Server
import TestSupport
import Testing

/// The whole service in this process, on a new database, and what tests do with it: every answer that
/// they receive is held against the OpenAPI document.
final class TestRegistry: Sendable {
  let database: TestDatabase
  let client: HTTPClient
  /// The registry's time.
  let clock: TestClock
  private let server: RunningServer
  private let checker: OpenAPIChecker
  private static let checker = Result { try OpenAPIChecker(document: API.openAPIDocument(publicURL: nil)) }

  static let secret = "the tests' own key, of 32 bytes or more"

  private init(database: TestDatabase, clock: TestClock, server: RunningServer) throws {
    self.database = database
    self.clock = clock
    self.server = server
    client = HTTPClient(port: server.address.port)
    checker = try Self.checker.get()
  }

  /// Lends a service, and stops it.
  ///
  /// - Parameters:
  ///   - bounds: lowers bounds that are no settings.
  ///   - log: where its log goes, which is whole once this returns; nowhere unless told otherwise.
  static func with<Result>(
    _ database: TestDatabase, settings: [String: String] = [:], clock: TestClock = TestClock(),
    bounds: (inout Configuration) -> Void = { _ in }, log: LogFile? = nil,
    _ body: (TestRegistry) async throws -> Result
  ) async throws -> Result {
    let environment = [
      "LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0", "DATABASE_URL": database.url,
      "JWT_SECRET": secret, "EVENT_LOOPS": "2",
      "ARGON2_MEMORY_KIB": "8", "ARGON2_TIME": "1",
      // All tests come from one address, and fail on purpose.
      "RATE_LIMIT_ADDRESS": "off",
    ].merging(settings) { $1 }
    var configuration = try Configuration(arguments: [], environment: environment)
    bounds(&configuration)
    let descriptor = open(log?.path ?? "/dev/null", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    let logger = Logger(
      level: log == nil ? .error : configuration.logLevel, format: configuration.logFormat,
      descriptor: descriptor)
    let server = try await compose(configuration, logger: logger, clock: clock)
    let registry = try TestRegistry(database: database, clock: clock, server: server)
    do {
      let result = try await body(registry)
      await registry.stop(logger, descriptor)
      return result
    } catch {
      await registry.stop(logger, descriptor)
      throw error
    }
  }

  private func stop(_ logger: Logger, _ descriptor: Int32) async {
    await server.shutDown()
    logger.close()
    close(descriptor)
  }

  // MARK: Waiting

  /// Waits until it is so, which it must be within some seconds. Each look is a request, a query or alike.
  func until(_ what: Comment, _ isSo: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while try await !isSo() {
      try #require(ContinuousClock.now < deadline, what)
      // Asking again at once would keep the processor from what is waited for.
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  /// The value of a metric.
  func metric(_ name: String) async throws -> Double? {
    try await askAdmin("GET", "/metrics").text.split(separator: "\n")
      .first { $0.hasPrefix(name + " ") }.flatMap { Double($0.dropFirst(name.count + 1)) }
  }

  /// Waits until a number of polls are parked.
  func untilParked(_ count: Double) async throws {
    try await until("\(count) polls are parked") { try await metric("parked_polls") == count }
  }

  // MARK: Asking

  /// Sends a request to the admin address.
  func askAdmin(_ method: String, _ target: String) async throws -> HTTPAnswer {
    let address = try #require(server.adminAddress)
    return try await HTTPClient(port: address.port).send(method, target)
  }

  /// Whether it has an admin address.
  var hasAdmin: Bool { server.adminAddress != nil }

  /// Sends a request, with a body of JSON where there is one.
  func ask(
    _ method: String, _ target: String, token: String? = nil, json: Any? = nil, fields: [(String, String)] = []
  ) async throws -> HTTPAnswer {
    var fields = fields
    if let token { fields.append(("Authorization", "Bearer \(token)")) }
    if json != nil { fields.append(("Content-Type", "application/json")) }
    let body = try json.map { Array(try JSONSerialization.data(withJSONObject: $0)) }
    let answer = try await client.send(method, target, fields: fields, body: body)
    check(answer, to: method, target)
    return answer
  }

  /// Holds an answer against the document.
  func check(_ answer: HTTPAnswer, to method: String, _ target: String) {
    for violation in checker.violations(of: answer, to: method, target) { Issue.record("\(violation)") }
  }

  func ask(_ method: String, _ target: String, as owner: TestOwner, json: Any? = nil) async throws -> HTTPAnswer
  {
    try await ask(method, target, token: owner.token, json: json)
  }

  /// Registers a client of which nobody knows yet.
  func newOwner() async throws -> TestOwner {
    let owner = TestOwner(id: "client-\(UUID().uuidString.lowercased())")
    let answer = try await ask("POST", "/api/v1/clients", token: Self.administrator, json: ["id": owner.id])
    try #require(answer.status == 201)
    return owner
  }

  /// Registers a device, which must succeed, and answers it with its secret.
  func newDevice(of owner: TestOwner, _ name: String = "EA-Main") async throws -> [String: Any] {
    let answer = try await ask("POST", "/api/v1/devices", as: owner, json: ["device_name": name])
    try #require(answer.status == 201, "\(answer.text)")
    return try answer.object()
  }

  // MARK: Tokens

  static let administrator = token(subject: "operator", scope: "openid registry:admin")

  static func token(
    subject: String, clientID: String? = nil, scope: String? = nil, lifetimeSeconds: Int64 = 30 * 86_400
  ) -> String {
    TokenSigner(secret: TokenSecret(secret.utf8)!).sign(
      subject: subject, clientID: clientID, scope: scope, issuedAtSeconds: Int64(Date().timeIntervalSince1970),
      lifetimeSeconds: lifetimeSeconds)!
  }
}

/// Where a test's service logs.
struct LogFile {
  private let directory = TemporaryDirectory()
  var path: String { directory.path + "/log" }

  var text: String {
    get throws { try String(contentsOfFile: path, encoding: .utf8) }
  }

  /// The lines of the log in JSON.
  var lines: [[String: Any]] {
    get throws {
      try text.split(separator: "\n").map { line in
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
      }
    }
  }

  /// Those on requests.
  var requests: [[String: Any]] { get throws { try lines.filter { $0["event"] as? String == "request" } } }
}

/// A client and its token.
struct TestOwner: Sendable {
  let id: String
  let token: String

  init(id: String) {
    self.id = id
    token = TestRegistry.token(subject: id)
  }
}
