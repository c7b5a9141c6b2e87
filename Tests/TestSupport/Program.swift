import Foundation
import Synchronization

/// A process of the program that was built beside the tests, or of another one. What waits for it does so on a
/// separate thread.
public final class Program: Sendable {
  public struct Result: Sendable {
    /// The negative of a signal's number where that ended it.
    public let status: Int32
    public let output: String
    public let errors: String
  }

  public struct Ended: Error {
    public let errors: String
  }

  private let process: ChildProcess
  private let errorText = Mutex("")

  /// The program `device-registry` that was built beside the tests, or the one that `TEST_PROGRAM` names.
  public static let built =
    ProcessInfo.processInfo.environment["TEST_PROGRAM"]
    ?? URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appendingPathComponent("device-registry").path

  /// - Parameter environment: `NAME=value`; nothing else is inherited.
  public init(_ arguments: [String], _ environment: [String] = [], executable: String? = nil) throws {
    process = try ChildProcess([executable ?? Self.built] + arguments, environment: environment)
    process.input.close()
  }

  /// Starts a program, and waits for its end.
  public static func run(
    _ arguments: [String], _ environment: [String] = [], executable: String? = nil
  ) async throws -> Result {
    try await Program(arguments, environment, executable: executable).end()
  }

  /// Sends it a signal.
  public func send(_ signal: Int32) { process.send(signal) }

  /// Waits for a line on standard output.
  public func outputLine() async -> String { await onOwnThread { [process] in process.output.readLine() } }

  /// The first line on standard error that has the text in it. Waits for it; throws `Ended` if there is none.
  public func errorLine(containing text: String) async throws -> String {
    try await onOwnThread { [self] in
      try errorText.withLock { errorText in
        while true {
          if let line = errorText.split(separator: "\n").first(where: { $0.contains(text) }) {
            return String(line)
          }
          let piece = process.errors.read()
          guard !piece.isEmpty else { throw Ended(errors: errorText) }
          errorText += String(decoding: piece, as: UTF8.self)
        }
      }
    }
  }

  /// Waits for the end.
  public func end() async -> Result {
    // Both at once: a program whose pipe is full waits.
    async let output = onOwnThread { [process] in String(decoding: process.output.readToEnd(), as: UTF8.self) }
    let errors = await onOwnThread { [self] in
      errorText.withLock { errorText in
        errorText += String(decoding: process.errors.readToEnd(), as: UTF8.self)
        return errorText
      }
    }
    let status = await onOwnThread { [process] in process.wait() }
    return Result(status: status, output: await output, errors: errors)
  }

  deinit {
    // A test that failed has not ended it. Nobody is to wait for it here.
    process.send(SIGKILL)
  }
}
