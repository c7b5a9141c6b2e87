public import Encoding
private import Glibc

/// Separate memory for a secret, wiped when the last reference is released.
public final class SecretBytes: Redacted, Sendable {
  private nonisolated(unsafe) let bytes: UnsafeMutableBufferPointer<UInt8>

  /// Passes `count` zeroed bytes to `write`, which fills them.
  public init(count: Int, write: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    bytes = .allocate(capacity: count)
    bytes.initialize(repeating: 0)
    write(bytes)
  }

  deinit {
    explicit_bzero(bytes.baseAddress!, bytes.count)
    bytes.deallocate()
  }

  /// Passes the bytes to the closure. The caller wipes what it copies.
  public func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    body(UnsafeBufferPointer(bytes))
  }

  /// Passes `count` random bytes to the closure, and wipes them afterwards.
  static func withRandomBytes(
    _ count: Int, from random: some RandomSource, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { bytes in
      random.fill(UnsafeMutableRawBufferPointer(bytes))
      body(UnsafeBufferPointer(bytes))
      explicit_bzero(bytes.baseAddress!, count)
    }
  }
}
