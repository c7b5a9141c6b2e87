import Foundation
import TestSupport
import Testing

/// A process of the program that was built beside the tests, or of another one.
final class Program {
  struct Result {
    let status: Int32
    let output: String
    let errors: String
  }

  private let process = Process()
  private let output = Pipe()
  private let errors = Pipe()
  private var errorText = ""

  /// - Parameter environment: `NAME=value`; nothing else is inherited.
  init(_ arguments: [String], _ environment: [String] = [], executable: String? = nil) throws {
    let built = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appendingPathComponent("device-registry")
    process.executableURL = executable.map { URL(fileURLWithPath: $0) } ?? built
    process.arguments = arguments
    process.environment = Dictionary(
      uniqueKeysWithValues: environment.map { setting in
        let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), String(parts[1]))
      })
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.launchAlone()
  }

  static func run(
    _ arguments: [String], _ environment: [String] = [], executable: String? = nil
  ) throws -> Result {
    try Program(arguments, environment, executable: executable).end()
  }

  var processIdentifier: Int32 { process.processIdentifier }

  /// The first line on standard error that has the text in it. Waits for it.
  func errorLine(containing text: String) throws -> String {
    while true {
      if let line = errorText.split(separator: "\n").first(where: { $0.contains(text) }) { return String(line) }
      let piece = errors.fileHandleForReading.availableData
      try #require(!piece.isEmpty, "the program ended: \(errorText)")
      errorText += String(decoding: piece, as: UTF8.self)
    }
  }

  /// Waits for the end.
  func end() -> Result {
    let output = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    errorText += String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return Result(status: process.terminationStatus, output: output, errors: errorText)
  }
}
