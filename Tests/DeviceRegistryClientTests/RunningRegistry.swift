import Foundation
import TestSupport
import Testing

/// The service itself, started beside the tests with a database of its own.
///
/// `@unchecked Sendable`: nothing in it is changed once it has started.
final class RunningRegistry: @unchecked Sendable {
  let url: String
  private let process: Process
  private let environment: [String: String]

  /// With a client of each id. Programs are waited for on a thread of its own: a test's other tasks need theirs.
  static func start(clients: [String], in directory: TemporaryDirectory) async throws -> RunningRegistry {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try RunningRegistry(clients: clients, in: directory) })
      }
    }
  }

  private init(clients: [String], in directory: TemporaryDirectory) throws {
    environment = [
      "ADMIN_LISTEN": "", "JWT_SECRET": "0123456789abcdef0123456789abcdef",
      "DATABASE_URL": "sqlite:\(directory.path)/registry.db",
      "LISTEN": "127.0.0.1:0", "ARGON2_MEMORY_KIB": "8",
    ]
    for id in clients { _ = try Self.output(["client", "add", "--id", id], environment) }
    let errors = Pipe()
    process = Self.program(["serve"], environment)
    process.standardError = errors
    try process.launchAlone()
    var text = ""
    while true {
      if let address = text.firstMatch(of: /"event":"listening".*"address":"(127.0.0.1:\d+)"/)?.1 {
        url = "http://\(address)"
        break
      }
      let piece = errors.fileHandleForReading.availableData
      guard !piece.isEmpty else { throw Ended(text: text) }
      text += String(decoding: piece, as: UTF8.self)
    }
    errors.fileHandleForReading.readabilityHandler = { _ = $0.availableData }
  }

  deinit {
    process.terminate()
    process.waitUntilExit()
  }

  func token(_ client: String) throws -> String {
    String(try Self.output(["token", "--sub", client], environment).dropLast())
  }

  private struct Ended: Error { let text: String }

  private static func output(_ arguments: [String], _ environment: [String: String]) throws -> String {
    let output = Pipe()
    let process = program(arguments, environment)
    process.standardOutput = output
    try process.launchAlone()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Ended(text: text) }
    return text
  }

  private static func program(_ arguments: [String], _ environment: [String: String]) -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appendingPathComponent("device-registry")
    process.arguments = arguments
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    return process
  }
}
