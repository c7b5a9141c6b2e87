import Foundation
import TestSupport
import Testing

/// `device-registry device`, as far as it goes without a registry.
@Suite("The device command")
struct DeviceCommandTests {
  private static let id = "0190a5c2-7d3e-7b1a-8c4d-5e6f70819203"
  private let directory = TemporaryDirectory()

  /// A file with a text, and the flags that name it.
  private func secret(_ text: String, permissions: Int = 0o600) throws -> [String] {
    let path = "\(directory.path)/secret-\(UUID().uuidString)"
    #expect(
      FileManager.default.createFile(
        atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: permissions]))
    return ["--id", Self.id, "--secret-file", path]
  }

  private static let good = String(repeating: "0123456789abcdef", count: 4)

  @Test
  func `helps`() async throws {
    let help = try await Program.run(["device", "--help"])
    #expect(help.status == 0)
    for word in [
      "whoami", "poll", "ack", "--id", "--secret-file", "--url", "--wait", "--max", "--status", "--ca-file",
    ] {
      #expect(help.output.contains(word))
    }
    #expect(try await Program.run(["--help"]).output.contains("device "))
  }

  @Test(arguments: [
    ([], "missing argument whoami, poll or ack; usage: "), (["fly"], "must be whoami, poll or ack; usage: "),
    (["whoami", "now"], "usage"), (["ack", "--status", "placed"], "missing argument SIGNAL_ID; usage: "),
    (["whoami"], "--id"), (["whoami", "--id", id], "--secret-file"), (["whoami", "--wait", "1"], "--wait"),
    (["poll", "--wait", "x"], "--id"), (["poll", "--colour", "red"], "Unknown option --colour; see --help"),
  ])
  func `names what is wrong, and exits with 2`(arguments: [String], what: String) async throws {
    let result = try await Program.run(["device"] + arguments)
    #expect(result.status == 2)
    #expect(result.errors.contains(what), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test(arguments: [
    (["poll", "--wait", "31"], "wait"), (["poll", "--wait", "x"], "--wait"), (["poll", "--max", "0"], "max"),
    (["ack", "a"], "--status"), (["ack", "a", "--status", "eaten"], "placed, failed, skipped"),
    (["whoami", "--url", "http://registry.example.com"], "plain HTTP"),
    (["whoami", "--url", "https://registry.example.com/path"], "URL"),
  ])
  func `names values that are out of bounds, before anything is sent`(arguments: [String], what: String)
    async throws
  {
    let result = try await Program.run(["device"] + arguments + secret(Self.good))
    #expect(result.status == 2)
    #expect(result.errors.contains(what), "\(result.errors)")
  }

  @Test(arguments: [
    (good, 0o644, "chmod 600"), (good, 0o620, "chmod 600"), ("hunter2", 0o600, "64"), ("", 0o600, "64"),
  ])
  func `refuses a secret that others may read, that is malformed, or that is absent`(
    text: String, permissions: Int, what: String
  ) async throws {
    let result = try await Program.run(["device", "whoami"] + secret(text, permissions: permissions))
    #expect(result.status == 2)
    #expect(result.errors.contains(what), "\(result.errors)")
    #expect(!result.errors.contains(Self.good) && !result.errors.contains("hunter2"))
    let missing = try await Program.run(["device", "whoami", "--id", Self.id, "--secret-file", "/none"])
    #expect(missing.status == 2)
    #expect(missing.errors.contains("/none"))
  }

  @Test
  func `says when the registry is out of reach, and exits with 1; a line break after the secret is ignored`()
    async throws
  {
    let result = try await Program.run(
      ["device", "whoami", "--url", "http://127.0.0.1:1"] + secret(Self.good + "\n"))
    #expect(result.status == 1)
    #expect(result.errors.contains("cannot reach the registry"), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test
  func `says when the program that does it is missing`() async throws {
    // Copied by a separate process: a file that this one has open for writing may be open in a child of another test too,
    // and the system starts no program that is being written.
    let copy = "\(directory.path)/device-registry"
    #expect(try await Program.run([Program.built, copy], executable: "/bin/cp").status == 0)
    let result = try await Program.run(["device", "whoami"] + secret(Self.good), executable: copy)
    #expect(result.status == 1)
    #expect(result.errors.contains("device-registry-device"), "\(result.errors)")
  }
}
