public import Encoding

/// An access token (RFC 6749, section 1.4): `drt_` and 32 random bytes in base64url. Only its hash is stored.
///
/// Its memory is wiped when the last reference goes.
public struct AccessToken: Redacted, Sendable {
  /// What every token begins with, so that one that leaked is known for what it is.
  public static let prefix = "drt_"
  /// Random bytes of a token.
  public static let randomLength = 32
  /// Characters of a token: six bits each, and the prefix.
  public static let textLength = 47

  private let characters: SecretBytes

  /// Makes a new token of the random source's next 32 bytes.
  public init(random: some RandomSource) {
    characters = SecretBytes(count: Self.textLength) { characters in
      SecretBytes.withRandomBytes(Self.randomLength, from: random) { bytes in
        _ = characters.update(fromContentsOf: Self.prefix.utf8)
        Base64URL.encode(bytes, into: characters.extracting(Self.prefix.utf8.count...))
      }
    }
  }

  /// Lends the characters. What is copied out of the closure is the caller's to wipe.
  public func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    characters.withBytes(body)
  }
}
