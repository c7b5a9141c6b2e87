import Encoding
import Foundation
import Testing

@Suite struct Base64Tests {
  @Test func `What was read of random bytes in base64 is what was written`() {
    var random = SystemRandomNumberGenerator()
    for length in 0..<200 {
      let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      let text = Base64.encode(bytes)
      #expect(text.utf8.count == Base64.encodedLength(length))
      #expect(text == Data(bytes).base64EncodedString())
      #expect(Base64.decode(text) == bytes)
    }
  }

  @Test(arguments: [
    "Zg", "Zg=", "Zh==", "Zm9=", "Zm8==", "Zg==Zg==", "Z===", "====", "=", "Zm-v", "Zm 9", "Zm9v\n",
  ])
  func `What base64 would not write, it does not read`(_ text: String) {
    #expect(Base64.decode(text) == nil)
  }

  /// RFC 4648, section 10, without the padding.
  @Test(arguments: [
    ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("foobar", "Zm9vYmFy"),
    ("~~~", "fn5-"),
  ])
  func `Base64url is that of the RFC`(_ plain: String, _ encoded: String) {
    #expect(Base64URL.encode(Array(plain.utf8)) == encoded)
    #expect(Base64URL.decode(encoded[...]) == Array(plain.utf8))
  }

  @Test(arguments: ["Zh", "Z", "Zm9vZ", "Zg==", "Zm9+", "Zm 9", "Zm9v\n", "Zm9v\0", "Zm9é", "=", "-"])
  func `What base64url would not write, it does not read`(_ text: String) {
    #expect(Base64URL.decode(text[...]) == nil)
  }

  @Test func `Of all pairs of bytes, base64url reads one for each byte`() {
    let pairs = (0...UInt16.max).map { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    let read = pairs.compactMap { $0.withUnsafeBufferPointer { Base64URL.decode($0) } }
    #expect(read.count == 256 && Set(read).count == 256)
    let readPadded = pairs.compactMap { ($0 + "==".utf8).withUnsafeBufferPointer { Base64.decode($0) } }
    #expect(readPadded.count == 256 && Set(readPadded) == Set(read))
  }
}
