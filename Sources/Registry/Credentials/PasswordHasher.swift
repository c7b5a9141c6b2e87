/// Derives what is stored of a secret or a token.
public protocol PasswordHasher: Sendable {
  /// Takes tens of milliseconds of a processor by design, off the event loop. Clients wait in turn, rotations before
  /// the rest. Throws `tooManyWaiting` if too many hashes of the client wait, `overloaded` if the queue is full, `fault`
  /// if argon2id cannot allocate memory.
  func verifier(
    for secret: DeviceSecret, of client: ClientID, isRotation: Bool
  ) async throws(RegistryError) -> SecretVerifier

  /// Returns a test of whether a stored key (RFC 5802, section 3) is this secret's, in constant time. It takes
  /// microseconds: the secret's stored key is derived once.
  func storedKeyTest(of secret: DeviceSecret) -> (_ storedKey: [UInt8]) -> Bool

  /// Whether the argon2id PHC string is the secret's. Takes as long as `verifier`, and waits with the client's other
  /// hashes. Throws `tooManyWaiting`, `overloaded`.
  func verify(
    _ secret: DeviceSecret, against hmacKeyHash: String, of client: ClientID
  ) async throws(RegistryError) -> Bool

  /// The SHA-256 of the characters of a token, or of an enrolment's code.
  func hash(ofToken characters: UnsafeBufferPointer<UInt8>) -> TokenHash
}
