import Foundation
import TestSupport

/// What became of a program.
struct Outcome: Sendable {
  let status: Int32
  let output: String
  let errors: String

  /// Runs a program to its end, on a thread of its own. Of the environment it has `PATH` and what it is given.
  static func of(_ program: URL, _ arguments: [String], _ environment: [String: String] = [:]) async throws
    -> Outcome
  {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try run(program, arguments, environment) })
      }
    }
  }

  private static func run(_ program: URL, _ arguments: [String], _ environment: [String: String]) throws
    -> Outcome
  {
    let process = Process()
    let (output, errors) = (Pipe(), Pipe())
    process.executableURL = program
    process.arguments = arguments
    process.environment = environment.merging(["PATH": "/usr/bin:/bin"]) { own, _ in own }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.launchAlone()
    // What these programs say fits into a pipe: neither waits for the other to be read.
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let errorText = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return Outcome(status: process.terminationStatus, output: text, errors: errorText)
  }
}

/// A file that has a secret and a line break in it, and is its owner's alone.
func secretFile(_ secret: String, in directory: TemporaryDirectory) throws -> String {
  let path = "\(directory.path)/\(UUID().uuidString)"
  guard
    FileManager.default.createFile(
      atPath: path, contents: Data((secret + "\n").utf8), attributes: [.posixPermissions: 0o600])
  else { throw CocoaError(.fileWriteUnknown) }
  return path
}
