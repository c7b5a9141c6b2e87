public import Encoding

/// The values that SCRAM (RFC 5802, section 3) derives from a secret. With them a server can verify a proof but not
/// make one. Without salt and iterations, because the secret is 32 random bytes that nobody chose.
public struct ScramKeys: Hashable, Redacted, Sendable {
  /// SHA-256(HMAC-SHA-256(secret, "Client Key")), 32 bytes.
  public let storedKey: [UInt8]
  /// HMAC-SHA-256(secret, "Server Key"), 32 bytes.
  public let serverKey: [UInt8]

  /// Derives both keys from a secret's bytes. Wipes the client's key between them.
  public init(secret: UnsafeBufferPointer<UInt8>) {
    storedKey = Self.storedKey(secret: secret)
    serverKey = [UInt8](unsafeUninitializedCapacity: HMACSHA256.length) { output, count in
      Self.authenticate(secret, Self.serverLabel, into: output)
      count = HMACSHA256.length
    }
  }

  /// Only the stored key: enough to verify a secret that is presented itself.
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
