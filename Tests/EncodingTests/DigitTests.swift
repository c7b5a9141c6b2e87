import Encoding
import Testing

@Suite struct HexTests {
  @Test func `A word has 16 digits in lower case`() {
    #expect(Hex.text(0) == "0000000000000000")
    #expect(Hex.text(0x0123_4567_89AB_CDEF) == "0123456789abcdef")
  }

  @Test func `Digits are read in both cases, and nothing else`() {
    for byte in 0...UInt8.max {
      let character = Character(Unicode.Scalar(byte))
      #expect(Hex.value(byte).map(Int.init) == (byte < 0x80 ? character.hexDigitValue : nil))
    }
    #expect((0..<16).allSatisfy { Hex.value(Hex.digit($0)) == $0 })
  }
}

@Suite struct UUIDTextTests {
  @Test(arguments: [
    "", "01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7", "01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7aa",
    "01936b2e7c1f7a4b9c3d2f1e0d9c8b7a0000",
    "01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7g", "-1936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a",
    "01936b2e-7c1f-7a4b-9c3d_2f1e0d9c8b7a", "{1936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7}",
  ])
  func `A UUID is read in its usual form alone`(_ text: String) {
    #expect(UUIDText.read(text.utf8) == nil)
  }

  @Test func `What was written is read`() throws {
    let text = "01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a"
    let words = try #require(UUIDText.read(text.utf8))
    #expect(words.high == 0x0193_6B2E_7C1F_7A4B && words.low == 0x9C3D_2F1E_0D9C_8B7A)
    #expect(try #require(UUIDText.read(text.uppercased().utf8)) == words)
    let written = String(unsafeUninitializedCapacity: UUIDText.length) { buffer in
      UUIDText.write(high: words.high, low: words.low, to: buffer.extracting(..<UUIDText.length))
      return UUIDText.length
    }
    #expect(written == text)
  }
}

@Suite struct DecimalTextTests {
  @Test(arguments: [0, 9, 10, 99, 100, 1_234_567_890, .max - 1, .max])
  func `What was written is read`(_ number: UInt64) {
    let length = DecimalText.length(of: number)
    let text = [UInt8](unsafeUninitializedCapacity: length) { text, count in
      DecimalText.write(number, to: text.extracting(..<length))
      count = length
    }
    #expect(String(decoding: text, as: UTF8.self) == String(number))
    #expect(DecimalText.read(text) == number)
  }

  @Test(arguments: [
    "", "-1", "+1", " 1", "1 ", "1.0", "0x1", "١", "18446744073709551616", "99999999999999999999",
  ])
  func `Only digits are a number, of 64 bits at most`(_ text: String) {
    #expect(DecimalText.read(text.utf8) == nil)
  }

  @Test func `A number can be held to bounds`() {
    #expect(DecimalText.read("0007", in: 1...7) == 7)
    for text in ["0", "8", "", "-1", "9223372036854775808"] {
      #expect(DecimalText.read(text, in: 1...7) == nil)
    }
  }
}
