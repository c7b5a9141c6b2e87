public import Encoding

/// What SCRAM (RFC 5802, section 3) derives of a secret, with which a server checks a proof of the secret that it
/// cannot make. Without salt and iterations: the secret is 32 random bytes, which nobody chose.
public struct ScramKeys: Hashable, Redacted, Sendable {
  /// SHA-256(HMAC-SHA-256(secret, "Client Key")), 32 bytes.
  public let storedKey: [UInt8]
  /// HMAC-SHA-256(secret, "Server Key"), 32 bytes.
  public let serverKey: [UInt8]

  /// Derives both keys of a secret's bytes. The client's key, which lies between, is wiped.
  public init(secret: UnsafeBufferPointer<UInt8>) {
    storedKey = Self.storedKey(secret: secret)
    serverKey = [UInt8](unsafeUninitializedCapacity: HMACSHA256.length) { output, count in
      Self.authenticate(secret, Self.serverLabel, into: output)
      count = HMACSHA256.length
    }
  }

  /// The stored key alone: enough to check a secret that is presented itself.
  public static func storedKey(secret: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: HMACSHA256.length) { clientKey in
      authenticate(secret, clientLabel, into: clientKey)
      defer { wipe(clientKey) }
      return SHA256.hash(UnsafeBufferPointer(clientKey))
    }
  }

  private static let clientLabel: StaticString = "Client Key"
  private static let serverLabel: StaticString = "Server Key"

  private static func authenticate(
    _ secret: UnsafeBufferPointer<UInt8>, _ label: StaticString,
    into output: UnsafeMutableBufferPointer<UInt8>
  ) {
    label.withUTF8Buffer { HMACSHA256.authenticate(key: secret, message: $0, into: output) }
  }
}
