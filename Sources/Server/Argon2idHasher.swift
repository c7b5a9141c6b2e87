internal import Crypto
internal import EventLoop
internal import Registry

/// Computes argon2id hashes and the keys of SCRAM on a thread pool.
struct Argon2idHasher: PasswordHasher, ClosableService {
  private let argon2id: Argon2id
  private let pool: WorkerPool

  /// Hashes that wait for a thread. At 25 hashes a second per core, the last one waits about five seconds on one
  /// core.
  static let maximumQueueLength = 128
  /// Hashes of one client that wait for a thread.
  static let maximumPerClient = 16
  /// Gives the event loops priority on a busy processor.
  static let niceness: Int32 = 5

  init(memoryKiB: Int, iterations: Int) throws {
    argon2id = try Argon2id(memoryKiB: memoryKiB, iterations: iterations)
    pool = try WorkerPool(
      name: "argon2id", threads: ProcessSettings.processorCount, maximumQueueLength: Self.maximumQueueLength,
      maximumPerParty: Self.maximumPerClient, niceness: Self.niceness)
  }

  /// Hashes that wait for a thread. Callable from any thread.
  var queueLength: Int { pool.queueLength }

  /// Called after the loops stop, when no request waits for a queued hash.
  func close() { pool.cancel() }

  func verifier(
    for secret: DeviceSecret, of client: ClientID, isRotation: Bool
  ) async throws(RegistryError) -> SecretVerifier {
    try await onPool(Turn(of: client.hashValue, isRotation ? .urgent : .ordinary)) { hash(secret) }.get()
  }

  func storedKeyTest(of secret: DeviceSecret) -> (_ storedKey: [UInt8]) -> Bool {
    let presented = secret.withCharacters { ScramKeys.storedKey(secret: $0) }
    return { constantTimeEquals($0, presented) }
  }

  func verify(
    _ secret: DeviceSecret, against hmacKeyHash: String, of client: ClientID
  ) async throws(RegistryError) -> Bool {
    try await onPool(Turn(of: client.hashValue)) {
      secret.withCharacters { Argon2id.verify($0, against: hmacKeyHash) }
    }
  }

  func hash(ofToken characters: UnsafeBufferPointer<UInt8>) -> TokenHash { TokenHash(SHA256.hash(characters)) }

  private func onPool<Value: Sendable>(
    _ turn: Turn, _ body: @escaping @Sendable () -> Value
  ) async throws(RegistryError) -> Value {
    do throws(QueueFull) {
      return try await pool.run(turn, body)
    } catch {
      switch error {
      case .forParty: throw .tooManyWaiting(limit: Self.maximumPerClient)
      case .forAll: throw .overloaded(queue: "argon2id")
      }
    }
  }

  private func hash(_ secret: DeviceSecret) -> Result<SecretVerifier, RegistryError> {
    secret.withCharacters { characters in
      do throws(Argon2idError) {
        let keys = ScramKeys(secret: characters)
        return .success(
          SecretVerifier(
            hmacKeyHash: try argon2id.hash(characters), storedKey: keys.storedKey, serverKey: keys.serverKey))
      } catch {
        return .failure(.fault(cause: error.description))
      }
    }
  }
}
