import Glibc

/// A device's secret: 64 lower-case hexadecimal characters that stand for 32 random bytes.
///
/// It lives in memory of its own, which is wiped when the last reference goes, and prints as `<redacted>`.
public final class DeviceSecret: Sendable {
  /// Characters, which are also the bytes of the HMAC key.
  public static let textLength = 64
  /// Random bytes that the characters stand for.
  public static let randomLength = 32

  private nonisolated(unsafe) let characters: UnsafeMutableBufferPointer<UInt8>

  /// Makes a new secret of the random source's next 32 bytes.
  public init(random: some RandomSource) {
    characters = .allocate(capacity: Self.textLength)
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.randomLength) { bytes in
      random.fill(UnsafeMutableRawBufferPointer(bytes))
      for (index, byte) in bytes.enumerated() {
        characters.initializeElement(at: 2 * index, to: Self.digit(byte >> 4))
        characters.initializeElement(at: 2 * index + 1, to: Self.digit(byte & 0xF))
      }
      explicit_bzero(bytes.baseAddress!, Self.randomLength)
    }
  }

  deinit {
    explicit_bzero(characters.baseAddress!, Self.textLength)
    characters.deallocate()
  }

  /// Lends the characters. What is copied out of the closure is the caller's to wipe.
  public func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    body(UnsafeBufferPointer(characters))
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
