internal import Encoding

/// Generates ids for requests without one: unique among all processes for practical purposes, and not secret.
struct RequestIDGenerator {
  private let prefix = UInt64.random(in: 0...(.max))
  private var count: UInt64 = 0

  /// 16 hexadecimal characters.
  mutating func next() -> String {
    count += 1
    // An odd factor is a permutation of the 64-bit numbers: ids do not repeat, and neighbours look different.
    let id = (prefix &+ count) &* 0x9E37_79B9_7F4A_7C15
    return Hex.text(id)
  }
}
