internal import Crypto

/// The proof that a request's sender knows the secret (RFC 5802, section 3): ClientKey XOR HMAC-SHA-256(StoredKey,
/// signature base). With the stored key one can verify a proof, but not make one.
public enum ScramProof {
  /// Bytes of a proof, and of every key.
  public static let length = HMACSHA256.length

  /// Makes the proof. The caller wipes the client's key.
  public static func make(
    base: [UInt8], clientKey: UnsafeBufferPointer<UInt8>, storedKey: UnsafeBufferPointer<UInt8>
  ) -> [UInt8] {
    precondition(clientKey.count == length && storedKey.count == length)
    return [UInt8](unsafeUninitializedCapacity: length) { proof, count in
      base.withUnsafeBufferPointer { HMACSHA256.authenticate(key: storedKey, message: $0, into: proof) }
      for index in 0..<length { proof[index] ^= clientKey[index] }
      count = length
    }
  }

  /// Whether the proof was made with the secret of this stored key. Wipes the client's key that it recovers, and
  /// compares its hash in constant time.
  public static func verify(_ proof: [UInt8], base: [UInt8], storedKey: [UInt8]) -> Bool {
    verify(proof, storedKey: storedKey) { storedKey, mac in
      base.withUnsafeBufferPointer { HMACSHA256.authenticate(key: storedKey, message: $0, into: mac) }
    }
  }

  /// Whether the proof is the client's key of this stored key XOR a code of `length` bytes.
  static func verify(_ proof: [UInt8], mac code: [UInt8], storedKey: [UInt8]) -> Bool {
    verify(proof, storedKey: storedKey) { _, mac in _ = mac.update(fromContentsOf: code) }
  }

  /// - Parameter authenticate: writes the code to its second argument.
  @inline(__always) private static func verify(
    _ proof: [UInt8], storedKey: [UInt8],
    _ authenticate: (UnsafeBufferPointer<UInt8>, UnsafeMutableBufferPointer<UInt8>) -> Void
  ) -> Bool {
    guard proof.count == length, storedKey.count == length else { return false }
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: length) { key in
      storedKey.withUnsafeBufferPointer { storedKey in
        authenticate(storedKey, key)
        defer { wipe(key) }
        for index in 0..<length { key[index] ^= proof[index] }
        // The hash overwrites the key.
        SHA256.hash(UnsafeBufferPointer(key), into: key)
        return constantTimeEquals(UnsafeBufferPointer(key), storedKey)
      }
    }
  }
}
