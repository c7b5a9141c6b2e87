import Testing

@testable import Encoding

@Suite struct Base32Tests {
  private func encode(_ bytes: [UInt8]) -> String {
    String(unsafeUninitializedCapacity: Base32.encodedLength(bytes.count)) { text in
      bytes.withUnsafeBufferPointer {
        Base32.encode($0, into: text.extracting(..<Base32.encodedLength(bytes.count)))
      }
      return Base32.encodedLength(bytes.count)
    }
  }

  private func decode(_ text: String, count: Int) -> [UInt8]? {
    var isDecoded = false
    let bytes = [UInt8](unsafeUninitializedCapacity: max(1, count)) { bytes, length in
      isDecoded = Base32.decode(text.utf8, into: bytes.extracting(..<count))
      length = isDecoded ? count : 0
    }
    return isDecoded ? bytes : nil
  }

  /// RFC 4648, section 10, without the padding.
  @Test(arguments: [
    ("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB"),
    ("foobar", "MZXW6YTBOI"),
  ])
  func `It is that of the RFC, and is read in either case`(_ plain: String, _ encoded: String) {
    #expect(encode(Array(plain.utf8)) == encoded)
    #expect(decode(encoded, count: plain.utf8.count) == Array(plain.utf8))
    #expect(decode(encoded.lowercased(), count: plain.utf8.count) == Array(plain.utf8))
  }

  @Test func `What was read of random bytes is what was written`() {
    var random = SystemRandomNumberGenerator()
    for length in 0..<100 {
      let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(decode(encode(bytes), count: length) == bytes)
    }
  }

  @Test func `Of all pairs of characters, it reads one for each byte`() {
    let pairs = (0...UInt16.max).map { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    let capitals = pairs.filter { pair in !pair.contains { (0x61...0x7A).contains($0) } }
    let read = capitals.compactMap { decode(String(decoding: $0, as: UTF8.self), count: 1) }
    #expect(read.count == 256 && Set(read).count == 256)
  }

  @Test(arguments: ["MZ", "M", "MY======", "M1", "M0", "M8", "M9", "MYA", "MY ", "M-", "MÄ", "[A", "`A", "@A"])
  func `What it would not write, it does not read`(_ text: String) { #expect(decode(text, count: 1) == nil) }
}
