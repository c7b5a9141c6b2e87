public import Encoding

/// A device's secret: 32 random bytes as 64 lower-case hexadecimal characters.
///
/// The memory is wiped when the last reference is released.
public struct DeviceSecret: Redacted, Sendable {
  /// The number of characters, which are also the bytes of the HMAC key.
  public static let textLength = 64
  /// The number of random bytes that the characters encode.
  public static let randomLength = 32

  private let characters: SecretBytes

  /// Generates a secret from the random source's next 32 bytes.
  public init(random: some RandomSource) {
    characters = SecretBytes(count: Self.textLength) { characters in
      SecretBytes.withRandomBytes(Self.randomLength, from: random) { bytes in
        Hex.encode(bytes, into: characters)
      }
    }
  }

  /// A secret that a device presents. Nil if its length is wrong. The caller wipes the bytes.
  public init?(presented bytes: UnsafeBufferPointer<UInt8>) {
    guard bytes.count == Self.textLength else { return nil }
    characters = SecretBytes(count: Self.textLength) { _ = $0.update(fromContentsOf: bytes) }
  }

  /// Passes the characters to the closure. The caller wipes what it copies.
  public func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    characters.withBytes(body)
  }
}

/// What the registry stores of a secret: enough to verify it and its signatures, not enough to sign.
public struct SecretVerifier: Hashable, Redacted, Sendable {
  /// The argon2id PHC string of the secret.
  public let hmacKeyHash: String
  /// SHA-256(HMAC-SHA-256(secret, "Client Key")), 32 bytes (RFC 5802, section 3).
  public let storedKey: [UInt8]
  /// HMAC-SHA-256(secret, "Server Key"), 32 bytes (RFC 5802, section 3).
  public let serverKey: [UInt8]

  /// The number of bytes of `storedKey` and of `serverKey`.
  public static let keyLength = 32

  public init(hmacKeyHash: String, storedKey: [UInt8], serverKey: [UInt8]) {
    precondition(storedKey.count == Self.keyLength && serverKey.count == Self.keyLength)
    self.hmacKeyHash = hmacKeyHash
    self.storedKey = storedKey
    self.serverKey = serverKey
  }
}
