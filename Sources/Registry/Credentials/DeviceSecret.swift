/// A device's secret: 64 lower-case hexadecimal characters that stand for 32 random bytes.
///
/// It lives in memory of its own, which is wiped when the last reference goes, and prints as `<redacted>`.
public struct DeviceSecret: Sendable {
  /// Characters, which are also the bytes of the HMAC key.
  public static let textLength = 64
  /// Random bytes that the characters stand for.
  public static let randomLength = 32

  private let characters: SecretBytes

  /// Makes a new secret of the random source's next 32 bytes.
  public init(random: some RandomSource) {
    characters = SecretBytes(count: Self.textLength) { characters in
      SecretBytes.withRandomBytes(Self.randomLength, from: random) { bytes in
        for (index, byte) in bytes.enumerated() {
          characters[2 * index] = Self.digit(byte >> 4)
          characters[2 * index + 1] = Self.digit(byte & 0xF)
        }
      }
    }
  }

  /// What somebody presents as a device's secret. Nil if it cannot be one. The bytes are the caller's to wipe.
  public init?(presented bytes: UnsafeBufferPointer<UInt8>) {
    guard bytes.count == Self.textLength else { return nil }
    characters = SecretBytes(count: Self.textLength) { _ = $0.update(fromContentsOf: bytes) }
  }

  /// Lends the characters. What is copied out of the closure is the caller's to wipe.
  public func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    characters.withBytes(body)
  }

  /// By arithmetic and not by a table, whose cache lines could tell of the secret.
  private static func digit(_ nibble: UInt8) -> UInt8 {
    let isLetter = (9 &- nibble) >> 7
    return UInt8(ascii: "0") &+ nibble &+ isLetter &* 39
  }
}

extension DeviceSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "<redacted>" }
  public var debugDescription: String { "<redacted>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// All that is stored of a secret: enough to check it, and requests signed with it, and not enough to sign one.
public struct SecretVerifier: Hashable, Sendable {
  /// The argon2id PHC string of the secret.
  public let hmacKeyHash: String
  /// SHA-256(HMAC-SHA-256(secret, "Client Key")), 32 bytes (RFC 5802, section 3).
  public let storedKey: [UInt8]
  /// HMAC-SHA-256(secret, "Server Key"), 32 bytes (RFC 5802, section 3).
  public let serverKey: [UInt8]

  /// Bytes of `storedKey` and of `serverKey`.
  public static let keyLength = 32

  public init(hmacKeyHash: String, storedKey: [UInt8], serverKey: [UInt8]) {
    precondition(storedKey.count == Self.keyLength && serverKey.count == Self.keyLength)
    self.hmacKeyHash = hmacKeyHash
    self.storedKey = storedKey
    self.serverKey = serverKey
  }
}

extension SecretVerifier: CustomStringConvertible, CustomReflectable {
  public var description: String { "<redacted>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
