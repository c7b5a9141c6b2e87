internal import Crypto
public import Encoding

/// The keys with which a device signs requests and verifies answers (RFC 5802, section 3), derived from its secret
/// once.
///
/// The memory is wiped when the last reference is released.
public final class DeviceKeys: Redacted, Sendable {
  /// The client's key, the stored key, the server's key, one after the other. Written in `init` alone.
  private nonisolated(unsafe) let keys: UnsafeMutableBufferPointer<UInt8>

  /// Derives the keys from a secret's characters. The caller wipes the secret.
  public init(secret: UnsafeBufferPointer<UInt8>) {
    keys = .allocate(capacity: 3 * ScramProof.length)
    keys.initialize(repeating: 0)
    let clientKey = key(0)
    Self.authenticate(secret, "Client Key", into: clientKey)
    SHA256.hash(UnsafeBufferPointer(clientKey), into: key(1))
    Self.authenticate(secret, "Server Key", into: key(2))
  }

  deinit {
    wipe(keys)
    keys.deallocate()
  }

  /// The proof of a signature base.
  func proof(of base: [UInt8]) -> [UInt8] {
    ScramProof.make(
      base: base, clientKey: UnsafeBufferPointer(key(0)), storedKey: UnsafeBufferPointer(key(1)))
  }

  /// Whether the server signed a signature base.
  func isServerSignature(_ signature: [UInt8], of base: [UInt8]) -> Bool {
    let expected = base.withUnsafeBufferPointer {
      HMACSHA256.authenticate(key: UnsafeBufferPointer(key(2)), message: $0)
    }
    return constantTimeEquals(signature, expected)
  }

  private func key(_ index: Int) -> UnsafeMutableBufferPointer<UInt8> {
    keys.extracting(index * ScramProof.length..<(index + 1) * ScramProof.length)
  }

  private static func authenticate(
    _ secret: UnsafeBufferPointer<UInt8>, _ label: StaticString,
    into output: UnsafeMutableBufferPointer<UInt8>
  ) {
    label.withUTF8Buffer { HMACSHA256.authenticate(key: secret, message: $0, into: output) }
  }
}
