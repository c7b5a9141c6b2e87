internal import CSodium

/// argon2id (RFC 9106) with libsodium, the hash of stored secrets.
///
/// A hash takes tens of milliseconds of a processor and `memoryKiB` of memory, by design: never compute one on an
/// event loop.
public struct Argon2id: Hashable, Sendable {
  /// Memory that one hash fills, in KiB.
  public let memoryKiB: Int
  /// Passes over that memory.
  public let iterations: Int

  /// The range that libsodium accepts (its manual, "The pwhash API").
  public static let memoryBoundsKiB = crypto_pwhash_memlimit_min() / 1024...crypto_pwhash_memlimit_max() / 1024
  /// The range that libsodium accepts.
  public static let iterationsBounds = crypto_pwhash_opslimit_min()...crypto_pwhash_opslimit_max()

  /// Throws if a cost is outside the range that libsodium accepts.
  public init(memoryKiB: Int, iterations: Int) throws(Argon2idError) {
    guard let memory = UInt(exactly: memoryKiB), Self.memoryBoundsKiB.contains(Int(memory)) else {
      throw .memoryOutOfBounds(memoryKiB)
    }
    guard let passes = UInt(exactly: iterations), Self.iterationsBounds.contains(Int(passes)) else {
      throw .iterationsOutOfBounds(iterations)
    }
    self.memoryKiB = memoryKiB
    self.iterations = iterations
  }

  /// The PHC string of the password with a new random salt: `$argon2id$v=19$m=19456,t=2,p=1$...`. Blocks. Throws
  /// `outOfMemory` if the system has no memory for it.
  public func hash(_ password: UnsafeBufferPointer<UInt8>) throws(Argon2idError) -> String {
    Sodium.start()
    let text = password.withCharacters { characters in
      withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(crypto_pwhash_STRBYTES)) { text -> String? in
        let status = crypto_pwhash_str_alg(
          text.baseAddress!, characters, UInt64(password.count), UInt64(iterations), memoryKiB * 1024,
          crypto_pwhash_ALG_ARGON2ID13)
        return status == 0 ? String(cString: text.baseAddress!) : nil
      }
    }
    guard let text else { throw .outOfMemory }
    return text
  }

  /// Whether the PHC string is that of the password, at the cost that the string names. Blocks. False also for a
  /// malformed string, and if the system has no memory for it.
  public static func verify(_ password: UnsafeBufferPointer<UInt8>, against hash: String) -> Bool {
    Sodium.start()
    return password.withCharacters { characters in
      crypto_pwhash_str_verify(hash, characters, UInt64(password.count)) == 0
    }
  }
}

/// Why argon2id was not computed.
public enum Argon2idError: Error, Hashable, Sendable, CustomStringConvertible {
  case memoryOutOfBounds(Int)
  case iterationsOutOfBounds(Int)
  case outOfMemory

  public var description: String {
    switch self {
    case .memoryOutOfBounds(let memoryKiB):
      "argon2id cannot use \(memoryKiB) KiB of memory: "
        + "\(Argon2id.memoryBoundsKiB.lowerBound) to \(Argon2id.memoryBoundsKiB.upperBound) are possible"
    case .iterationsOutOfBounds(let iterations):
      "argon2id cannot make \(iterations) passes: "
        + "\(Argon2id.iterationsBounds.lowerBound) to \(Argon2id.iterationsBounds.upperBound) are possible"
    case .outOfMemory: "the system has no memory for argon2id"
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// The bytes as C characters. An empty buffer may have no address, which C does not expect.
  fileprivate func withCharacters<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
    guard let baseAddress else { return body("") }
    return baseAddress.withMemoryRebound(to: CChar.self, capacity: count, body)
  }
}
