internal import CSodium

/// SipHash-2-4 (Aumasson and Bernstein, 2012) with libsodium: a fast keyed hash of 64 bits, for tables whose keys
/// strangers choose.
public struct SipHash: Sendable {
  /// Bytes of a key.
  public static let keyLength = 16

  public let key: [UInt8]

  /// - Parameter key: `keyLength` bytes.
  public init(key: [UInt8]) {
    precondition(key.count == Self.keyLength, "a key has 16 bytes")
    self.key = key
  }

  public func callAsFunction(_ message: UnsafeRawBufferPointer) -> UInt64 {
    var hash: UInt64 = 0
    withUnsafeMutableBytes(of: &hash) { hash in
      _ = key.withUnsafeBufferPointer { key in
        crypto_shorthash_siphash24(
          hash.baseAddress!.assumingMemoryBound(to: UInt8.self),
          message.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(message.count), key.baseAddress!)
      }
    }
    return UInt64(littleEndian: hash)
  }
}
