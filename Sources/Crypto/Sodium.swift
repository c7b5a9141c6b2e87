internal import CSodium

/// libsodium, which must be initialised before use.
enum Sodium {
  private static let isReady = sodium_init() >= 0

  /// The first call initialises the library, later calls cost a load. Call it from any thread.
  static func start() { precondition(isReady, "libsodium finds no source of randomness") }
}

/// The operating system's random numbers.
public enum SystemRandom {
  /// Fills the whole buffer with unpredictable bytes.
  public static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    Sodium.start()
    guard let baseAddress = buffer.baseAddress else { return }
    randombytes_buf(baseAddress, buffer.count)
  }
}

/// Whether both have the same bytes, in a time that depends only on their lengths.
public func constantTimeEquals(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool
{
  guard left.count == right.count else { return false }
  guard let leftBytes = left.baseAddress, let rightBytes = right.baseAddress else { return true }
  return sodium_memcmp(leftBytes, rightBytes, left.count) == 0
}

/// Whether both have the same bytes, in a time that depends only on their lengths.
public func constantTimeEquals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.withUnsafeBufferPointer { left in
    right.withUnsafeBufferPointer { right in constantTimeEquals(left, right) }
  }
}

/// Overwrites a secret. The compiler may not remove this.
public func wipe(_ buffer: UnsafeMutableBufferPointer<UInt8>) { wipe(UnsafeMutableRawBufferPointer(buffer)) }

/// Overwrites memory that was derived from a secret.
func wipe(_ memory: UnsafeMutableRawBufferPointer) {
  guard let baseAddress = memory.baseAddress else { return }
  sodium_memzero(baseAddress, memory.count)
}
