import Foundation
import Registry
import Testing

@Suite("A timestamp")
struct TimestampTests {
  @Test
  func `sorts by time`() {
    #expect(Timestamp(millisecondsSince1970: 1) < Timestamp(millisecondsSince1970: 2))
  }
}

@Suite("A device id")
struct DeviceIDTests {
  @Test
  func `is a UUID of version 7 that begins with its time`() throws {
    let id = DeviceID(at: Timestamp(millisecondsSince1970: 0x0123_4567_89AB), random: CountingRandom())
    let text = id.description
    #expect(text.hasPrefix("01234567-89ab-7"))
    #expect(try #require(UUID(uuidString: text)).uuidString.lowercased() == text)
    #expect("89ab".contains(Array(text)[19]))
    #expect(DeviceID(text) == id)
  }
}

@Suite("A secret")
struct DeviceSecretTests {
  @Test
  func `is 64 lower-case hexadecimal characters of 32 random bytes`() {
    let secret = DeviceSecret(random: CountingRandom(start: 0xEF))
    let text = secret.withCharacters { String(decoding: $0, as: UTF8.self) }
    #expect(text == (0..<32).map { String(format: "%02x", (0xEF + $0) & 0xFF) }.joined())
  }

  @Test
  func `is redacted however it is printed`() {
    let secret = DeviceSecret(random: CountingRandom())
    let registered = "\(secret) \(String(reflecting: secret)) \(["a": secret])"
    var dumped = ""
    dump(secret, to: &dumped)
    let verifier = SecretVerifier(
      hmacKeyHash: "$argon2id$", storedKey: .init(repeating: 1, count: 32),
      serverKey: .init(repeating: 2, count: 32))
    for text in [registered, dumped, "\(verifier)", String(reflecting: verifier)] {
      #expect(text.contains("<redacted>"))
      #expect(!text.contains("0001") && !text.contains("argon2id") && !text.contains("1, 1"))
    }
  }
}

@Suite("A client")
struct ClientValueTests {
  @Test
  func `has an id of 1 to 64 visible ASCII characters`() {
    #expect(ClientID("demo") != nil)
    #expect(ClientID("...") != nil)
    #expect(ClientID(String(repeating: "x", count: 64)) != nil)
    for text in ["", String(repeating: "x", count: 65), "a b", "é", "a\n", "\u{7F}", ".", ".."] {
      #expect(ClientID(text) == nil)
    }
  }

  @Test
  func `has an e-mail address with one @ in its middle`() {
    #expect(Email("a@example.com")?.text == "a@example.com")
    #expect(Email("用户@例子.公司") != nil)
    for text in [
      "", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", String(repeating: "x", count: 253) + "@y",
    ] {
      #expect(Email(text) == nil)
    }
  }
}

/// Predictable bytes: each is one more than the one before.
struct CountingRandom: RandomSource {
  var start: UInt8 = 0

  func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    for index in buffer.indices { buffer[index] = start &+ UInt8(truncatingIfNeeded: index) }
  }
}
