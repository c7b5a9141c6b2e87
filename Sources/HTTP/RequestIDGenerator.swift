/// Makes ids for requests that bring none: unique among all processes for practical purposes, and not secret.
struct RequestIDGenerator {
  private let prefix = UInt64.random(in: 0...(.max))
  private var count: UInt64 = 0

  /// 16 hexadecimal characters.
  mutating func next() -> String {
    count += 1
    // An odd factor is a permutation of the 64-bit numbers: no id comes twice, and neighbours look unalike.
    let id = (prefix &+ count) &* 0x9E37_79B9_7F4A_7C15
    return String(unsafeUninitializedCapacity: 16) { text in
      for index in 0..<16 {
        let digit = UInt8(truncatingIfNeeded: id >> UInt64(60 - 4 * index)) & 0xF
        text[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
      }
      return 16
    }
  }
}
