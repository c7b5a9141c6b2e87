internal import CCjose
internal import Glibc

/// The shared key of tokens signed with HS256, which both signs and verifies. It prints as `<redacted>`.
public final class TokenSecret: Sendable {
  let key: VerificationKey

  /// RFC 7518, section 3.2: a key at least as long as the hash.
  public static let minimumLength = 32

  /// Nil unless there are at least `minimumLength` bytes. The secret is copied; the caller wipes its own.
  public init?(_ bytes: some Sequence<UInt8>) {
    var copy = Array(bytes)
    defer { copy.withUnsafeMutableBytes { if let start = $0.baseAddress { explicit_bzero(start, $0.count) } } }
    guard copy.count >= Self.minimumLength,
      let jwk = cjose_jwk_create_oct_spec(copy, copy.count, nil)
    else { return nil }
    key = VerificationKey(owning: jwk, id: nil, algorithms: [.hs256])
  }
}

extension TokenSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "<redacted>" }
  public var debugDescription: String { "<redacted>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
