import Crypto
import Testing

private func hash(_ password: String, with argon2id: Argon2id) throws -> String {
  let hash = Array(password.utf8).withUnsafeBufferPointer { password in
    Result { () throws(Argon2idError) in try argon2id.hash(password) }
  }
  return try hash.get()
}

private func verify(_ password: String, against hash: String) -> Bool {
  Array(password.utf8).withUnsafeBufferPointer { Argon2id.verify($0, against: hash) }
}

@Suite("argon2id")
struct Argon2idTests {
  private let cheap = try! Argon2id(memoryKiB: 8, iterations: 1)

  @Test
  func `Writes the cost into the PHC string, and a fresh salt`() throws {
    let argon2id = try Argon2id(memoryKiB: 19456, iterations: 2)
    let text = try hash("secret", with: argon2id)
    #expect(text.hasPrefix("$argon2id$v=19$m=19456,t=2,p=1$"))
    #expect(text.split(separator: "$").count == 5)
    #expect(verify("secret", against: text))
    #expect(try hash("secret", with: argon2id) != text)
  }

  @Test(arguments: ["", "correct horse", "naïve\u{0}nul"])
  func `A hash verifies its password and no other`(password: String) throws {
    let text = try hash(password, with: cheap)
    #expect(verify(password, against: text))
    #expect(!verify(password + "x", against: text))
    #expect(!verify("another", against: text))
  }

  @Test(arguments: ["", "secret", "$argon2id$v=19$m=8,t=1,p=1$", "$2b$10$x"])
  func `An invalid hash verifies no password`(text: String) {
    #expect(!verify("secret", against: text))
  }

  @Test(arguments: [Int.min, -1, 0, 7, Int.max])
  func `A cost that libsodium does not take is refused`(memoryKiB: Int) throws {
    let error = #expect(throws: Argon2idError.memoryOutOfBounds(memoryKiB)) {
      try Argon2id(memoryKiB: memoryKiB, iterations: 1)
    }
    #expect(try #require(error).description.contains("8 to "))
  }

  @Test(arguments: [Int.min, -1, 0, 1 << 32])
  func `So is a number of passes`(iterations: Int) throws {
    let error = #expect(throws: Argon2idError.iterationsOutOfBounds(iterations)) {
      try Argon2id(memoryKiB: 8, iterations: iterations)
    }
    #expect(try #require(error).description.contains("1 to 4294967295"))
  }
}

@Suite("Random bytes and comparison")
struct SodiumTests {
  @Test
  func `Two fills differ, and an empty buffer is left alone`() {
    func fill() -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: 32)
      bytes.withUnsafeMutableBytes { SystemRandom.fill($0) }
      return bytes
    }
    #expect(fill() != fill())
    SystemRandom.fill(UnsafeMutableRawBufferPointer(start: nil, count: 0))
  }

  @Test
  func `Equal means the same length and the same bytes`() {
    #expect(constantTimeEquals([1, 2, 3], [1, 2, 3]))
    #expect(!constantTimeEquals([1, 2, 3], [1, 2, 4]))
    #expect(!constantTimeEquals([1, 2, 3], [1, 2]))
    #expect(constantTimeEquals([], []))
    let nothing = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    #expect(constantTimeEquals(nothing, nothing))
  }
}
