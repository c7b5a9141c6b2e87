internal import Encoding

/// Makes ids for requests that bring none: unique among all processes for practical purposes, and not secret.
struct RequestIDGenerator {
  private let prefix = UInt64.random(in: 0...(.max))
  private var count: UInt64 = 0

  /// 16 hexadecimal characters.
  mutating func next() -> String {
    count += 1
    // An odd factor is a permutation of the 64-bit numbers: no id comes twice, and neighbours look unalike.
    let id = (prefix &+ count) &* 0x9E37_79B9_7F4A_7C15
    return Hex.text(id)
  }
}
