import Foundation
import Glibc
import JSONWebToken
import TestSupport

/// `device-registry serve`, the real program, as a process. Its log is in a file.
final class Service: Sendable {
  let process: RunningProcess
  let client: HTTPClient
  let adminPort: UInt16
  private let logPath: String

  static let secret = "the tests' own key, of 32 bytes or more"

  /// Starts it, and waits until it listens.
  /// - Parameters:
  ///   - directory: the folder of its log; another start appends to the same file.
  ///   - settings: on top of those that make it cheap.
  ///   - prefix: a command that runs the program, which follows it.
  init(
    on databaseURL: String, logIn directory: TemporaryDirectory, settings: [String: String] = [:],
    through prefix: [String] = []
  ) throws {
    let environment = [
      "LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0", "DATABASE_URL": databaseURL,
      "JWT_SECRET": Self.secret, "EVENT_LOOPS": "2", "ARGON2_MEMORY_KIB": "8", "ARGON2_TIME": "1",
      // The load of a test is no honest user's.
      "RATE_LIMIT_CLIENT": "off", "RATE_LIMIT_DEVICE": "off", "RATE_LIMIT_ADDRESS": "off",
      "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
    ].merging(settings) { $1 }
    let path = "\(directory.path)/log-\(UUID().uuidString)"
    let process = try RunningProcess(
      prefix + [Program.built, "serve"], environment: environment, outputPath: path)
    var ready: [String: String] = [:]
    try wait(for: "the service to listen") {
      let log = Self.read(path)
      guard process.isRunning else { throw Unmet("the service ended: \(log)") }
      guard let line = log.split(separator: "\n").first(where: { $0.contains(#""listening""#) }) else {
        return false
      }
      ready = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String] ?? [:]
      return true
    }
    func port(_ field: String) throws -> UInt16 {
      guard let port = ready[field]?.split(separator: ":").last.flatMap({ UInt16($0) }) else {
        throw Unmet("no \(field) in \(ready)")
      }
      return port
    }
    self.process = process
    logPath = path
    client = HTTPClient(port: try port("address"), deadlineSeconds: 60)
    adminPort = try port("admin_address")
  }

  private static func read(_ path: String) -> String {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// What it logged so far.
  var log: String { Self.read(logPath) }

  /// Ends it as an operator does; answers its exit status.
  func stop() throws -> Int32 {
    process.send(SIGTERM)
    return try process.wait()
  }

  /// Ends it as a crash does.
  func crash() throws {
    process.send(SIGKILL)
    try process.wait()
  }

  // MARK: Asking

  /// Sends a request, with a body of JSON where there is one.
  func ask(_ method: String, _ target: String, token: String? = nil, json: Any? = nil) async throws
    -> HTTPAnswer
  {
    var fields: [(String, String)] = []
    if let token { fields.append(("Authorization", "Bearer \(token)")) }
    if json != nil { fields.append(("Content-Type", "application/json")) }
    let body = try json.map { Array(try JSONSerialization.data(withJSONObject: $0)) }
    return try await client.send(method, target, fields: fields, body: body)
  }

  /// The same, where only one status will do.
  func demand(
    _ status: Int, _ method: String, _ target: String, token: String? = nil, json: Any? = nil
  ) async throws -> HTTPAnswer {
    let answer = try await ask(method, target, token: token, json: json)
    guard answer.status == status else { throw Unmet("\(method) \(target): \(answer.status) \(answer.text)") }
    return answer
  }

  func status(_ method: String, _ target: String) async throws -> Int { try await ask(method, target).status }

  /// The value of a metric without labels.
  func metric(_ name: String) async throws -> Double? {
    let text = try await HTTPClient(port: adminPort).send("GET", "/metrics").text
    return text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
      .flatMap { Double($0.dropFirst(name.count + 1)) }
  }

  /// Registers a client of which nobody knows yet; answers its token.
  func newOwner() async throws -> String {
    let id = "client-\(UUID().uuidString.lowercased())"
    _ = try await demand(201, "POST", "/api/v1/clients", token: Self.administrator, json: ["id": id])
    return Self.token(subject: id)
  }

  func newDevice(of owner: String, _ name: String) async throws -> FaultDevice {
    let answer = try await demand(
      201, "POST", "/api/v1/devices", token: owner, json: ["device_name": name]
    ).object()
    return FaultDevice(id: answer["id"] as! String, secret: answer["secret"] as! String)
  }

  static let administrator = token(subject: "operator", scope: "registry:admin")

  /// Good for years, whatever a test does to the clock.
  static func token(subject: String, scope: String? = nil) -> String {
    TokenSigner(secret: TokenSecret(secret.utf8)!).sign(
      subject: subject, scope: scope, issuedAtSeconds: Int64(Date().timeIntervalSince1970) - 10 * 86_400,
      lifetimeSeconds: 3650 * 86_400)!
  }
}
