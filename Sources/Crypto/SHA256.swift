internal import CNettle

/// SHA-256 (FIPS 180-4).
public enum SHA256 {
  /// Bytes of a hash.
  public static let length = 32

  /// The message's hash, `length` bytes.
  public static func hash(_ message: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: length) { output, count in
      hash(message, into: output)
      count = length
    }
  }

  /// The message's hash, `length` bytes.
  public static func hash(_ message: [UInt8]) -> [UInt8] { message.withUnsafeBufferPointer { hash($0) } }

  /// Writes the message's hash to the first `length` bytes of the buffer, which may overlap the message. Wipes
  /// intermediate values.
  public static func hash(_ message: UnsafeBufferPointer<UInt8>, into output: UnsafeMutableBufferPointer<UInt8>)
  {
    precondition(output.count >= length)
    withUnsafeTemporaryAllocation(of: sha256_ctx.self, capacity: 1) { state in
      let context = state.baseAddress
      nettle_sha256_init(context)
      nettle_sha256_update(context, message.count, message.baseAddress)
      nettle_sha256_digest(context, length, output.baseAddress)
      wipe(UnsafeMutableRawBufferPointer(state))
    }
  }
}

/// HMAC-SHA-256 (RFC 2104).
public enum HMACSHA256 {
  /// Bytes of a code.
  public static let length = SHA256.length

  /// The message's authentication code under the key, `length` bytes.
  public static func authenticate(
    key: UnsafeBufferPointer<UInt8>, message: UnsafeBufferPointer<UInt8>
  ) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: length) { output, count in
      authenticate(key: key, message: message, into: output)
      count = length
    }
  }

  /// The message's authentication code under the key, `length` bytes.
  public static func authenticate(key: [UInt8], message: [UInt8]) -> [UInt8] {
    key.withUnsafeBufferPointer { key in
      message.withUnsafeBufferPointer { message in authenticate(key: key, message: message) }
    }
  }

  /// Writes the message's authentication code to the first `length` bytes of the buffer. Wipes values derived from the
  /// key.
  public static func authenticate(
    key: UnsafeBufferPointer<UInt8>, message: UnsafeBufferPointer<UInt8>,
    into output: UnsafeMutableBufferPointer<UInt8>
  ) {
    precondition(output.count >= length)
    withUnsafeTemporaryAllocation(of: hmac_sha256_ctx.self, capacity: 1) { state in
      let context = state.baseAddress
      nettle_hmac_sha256_set_key(context, key.count, key.baseAddress)
      nettle_hmac_sha256_update(context, message.count, message.baseAddress)
      nettle_hmac_sha256_digest(context, length, output.baseAddress)
      wipe(UnsafeMutableRawBufferPointer(state))
    }
  }
}
