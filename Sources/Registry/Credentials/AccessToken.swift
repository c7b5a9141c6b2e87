public import Encoding

/// An access token (RFC 6749, section 1.4): `drt_` and 32 random bytes in base64url. Only its hash is stored.
///
/// The memory is wiped when the last reference is released.
public struct AccessToken: Redacted, Sendable {
  /// The prefix of every token, by which scanners recognise a leaked token.
  public static let prefix = "drt_"
  /// The number of random bytes in a token.
  public static let randomLength = 32
  /// The number of characters in a token: one for six bits, and the prefix.
  public static let textLength = 47

  private let characters: SecretBytes

  /// Generates a token from the random source's next 32 bytes.
  public init(random: some RandomSource) {
    characters = SecretBytes(count: Self.textLength) { characters in
      SecretBytes.withRandomBytes(Self.randomLength, from: random) { bytes in
        _ = characters.update(fromContentsOf: Self.prefix.utf8)
        Base64URL.encode(bytes, into: characters.extracting(Self.prefix.utf8.count...))
      }
    }
  }

  /// Passes the characters to the closure. The caller wipes what it copies.
  public func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    characters.withBytes(body)
  }
}
