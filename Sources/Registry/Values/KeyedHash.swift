/// A 64-bit hash with a random key, so that no client can choose colliding values. It is Swift's SipHash, which
/// is unpredictable without the key.
struct KeyedHash: Sendable {
  private let key: (UInt64, UInt64)

  init(random: some RandomSource) {
    var key: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &key) { random.fill($0) }
    self.key = key
  }

  func callAsFunction(_ high: UInt64, _ low: UInt64) -> UInt64 {
    hash {
      $0.combine(high)
      $0.combine(low)
    }
  }

  func callAsFunction(_ text: String) -> UInt64 { hash { Self.combine(text, into: &$0) } }

  func callAsFunction(_ high: UInt64, _ low: UInt64, _ text: String) -> UInt64 {
    hash {
      $0.combine(high)
      $0.combine(low)
      Self.combine(text, into: &$0)
    }
  }

  private static func combine(_ text: String, into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }

  @inline(__always) private func hash(_ combine: (inout Hasher) -> Void) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(key.0)
    hasher.combine(key.1)
    combine(&hasher)
    return UInt64(bitPattern: Int64(hasher.finalize()))
  }
}
