internal import CCjose
public import Encoding
internal import Glibc

/// The shared key that signs and verifies HS256 tokens.
public final class TokenSecret: Redacted, Sendable {
  let key: VerificationKey

  /// RFC 7518, section 3.2: the key is at least as long as the hash.
  public static let minimumLength = 32

  /// Nil if there are fewer than `minimumLength` bytes. The secret is copied; the caller wipes its own copy.
  public init?(_ bytes: some Sequence<UInt8>) {
    var copy = Array(bytes)
    defer { copy.withUnsafeMutableBytes { if let start = $0.baseAddress { explicit_bzero(start, $0.count) } } }
    guard copy.count >= Self.minimumLength,
      let jwk = cjose_jwk_create_oct_spec(copy, copy.count, nil)
    else { return nil }
    key = VerificationKey(owning: jwk, id: nil, algorithms: [.hs256])
  }
}
