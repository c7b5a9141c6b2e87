/// Derives what is stored of a secret or a token.
public protocol PasswordHasher: Sendable {
  /// Takes tens of milliseconds of a processor by design, off the event loop.
  /// Throws `overloaded` when too many wait, `fault` when memory for argon2id cannot be had.
  func verifier(for secret: DeviceSecret) async throws(RegistryError) -> SecretVerifier

  /// What tells whether a stored key (RFC 5802, section 3) is the secret's, in constant time. Takes microseconds: the
  /// secret's own is derived once.
  func storedKeyTest(of secret: DeviceSecret) -> (_ storedKey: [UInt8]) -> Bool

  /// Whether the argon2id PHC string is the secret's. Takes as long as `verifier(for:)`.
  /// Throws `overloaded` when too many wait.
  func verify(_ secret: DeviceSecret, against hmacKeyHash: String) async throws(RegistryError) -> Bool

  /// The SHA-256 of a token's characters.
  func hash(ofToken characters: UnsafeBufferPointer<UInt8>) -> TokenHash
}
