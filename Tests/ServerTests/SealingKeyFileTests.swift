import Commands
import Foundation
import Registry
@testable import Server
import TestSupport
import Testing

/// SEALING_KEY_FILE, and what is sealed with its keys.
@Suite("The sealing key file")
struct SealingKeyFileTests {
  private let directory = TemporaryDirectory()
  private let old = String(repeating: "0f", count: 32)
  private let new = String(repeating: "aB", count: 32)
  private let place = SealedPlace(table: "devices", column: "stored_key", id: "one")

  @Test
  func `The first key seals, and each opens what it sealed`() throws {
    let before = try sealer(old)
    let during = try sealer("\(new)\n\(old)\r\n")
    let after = try sealer("\(new)\n\n")
    #expect(during.keys == after.keys + before.keys)
    let oldBox = seal([1, 2, 3], with: before)
    let newBox = seal([4], with: during)
    #expect(SealingKeyID(ofBox: oldBox) == before.keys[0])
    #expect(SealingKeyID(ofBox: newBox) == after.keys[0])
    #expect(try open(oldBox, with: during) == [1, 2, 3])
    #expect(try open(newBox, with: during) == [4])
    #expect(try open(newBox, with: after) == [4])
  }

  @Test
  func `A box that does not open says which and why`() throws {
    let (before, after) = (try sealer(old), try sealer(new))
    let box = seal([1], with: before)
    #expect(
      throws: RegistryError.unavailable(
        cause: "devices.stored_key of one was sealed with key \(before.keys[0]), which is not in \(after.path)")
    ) { try open(box, with: after) }
    #expect(
      throws: RegistryError.unavailable(
        cause:
          "devices.stored_key of two does not open with key \(before.keys[0]): it was changed, or moved from elsewhere"
      )
    ) { try open(box, with: before, of: SealedPlace(table: "devices", column: "stored_key", id: "two")) }
    #expect(
      throws: RegistryError.unavailable(cause: "devices.stored_key of one is too short for a sealed value")
    ) {
      try open(Array(box.dropLast(2)), with: before)
    }
  }

  @Test
  func `A place is unambiguous`() {
    let place = SealedPlace(table: "a", column: "b", id: "c")
    #expect(place.associatedData == Array("a\0b\0c\0".utf8))
    #expect(place.associatedData != SealedPlace(table: "ab", column: "", id: "c").associatedData)
  }

  @Test(arguments: [
    ("", "must have 1 to 8 keys"), ("\n", "must have 1 to 8 keys"),
    (
      Array(repeating: String(repeating: "0", count: 64), count: 9).joined(separator: "\n"),
      "must have 1 to 8 keys"
    ),
    ("abc", "line 1 of"),
    (String(repeating: "0", count: 64) + "\n" + String(repeating: "g", count: 64), "line 2 of"),
    (String(repeating: "0", count: 63) + " ", "64 hexadecimal digits; `openssl rand -hex 32` generates a key"),
  ])
  func `Refuses a file that is not one key on each line, without showing it`(content: String, problem: String)
    throws
  {
    let error = #expect(throws: UsageError.self) { try sealer(content) }
    let text = try #require(error).description
    #expect(text.contains(problem) && text.hasPrefix("SEALING_KEY_FILE"))
    #expect(content.count < 60 || !text.contains(content.suffix(60)))
  }

  @Test
  func `Warns if every user can read the file`() throws {
    let path = try write(old)
    chmod(path, 0o640)
    #expect(try parse(path).warning == nil)
    chmod(path, 0o644)
    #expect(try parse(path).warning?.hasPrefix("every user can read \(path) (mode 644)") == true)
  }

  private func write(_ content: String) throws -> String {
    let path = directory.path + "/\(UUID())"
    try Data(content.utf8).write(to: URL(filePath: path))
    return path
  }

  private func parse(_ path: String) throws -> (sealer: KeyFileSealer?, warning: String?) {
    let setting = Setting.sealingKeyFile
    return try SealingKeyFile.sealer(
      try Arguments([], flags: [setting.flag], environment: [setting.rawValue: path]))
  }

  private func sealer(_ content: String) throws -> KeyFileSealer {
    try #require(try parse(try write(content)).sealer)
  }

  private func seal(_ bytes: [UInt8], with sealer: KeyFileSealer) -> [UInt8] {
    bytes.withUnsafeBufferPointer { sealer.seal($0, for: place) }
  }

  private func open(
    _ box: [UInt8], with sealer: KeyFileSealer, of place: SealedPlace? = nil
  ) throws(RegistryError) -> [UInt8] {
    try sealer.open(box, of: place ?? self.place).withBytes(Array.init)
  }
}
