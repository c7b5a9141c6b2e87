/// Returns the current time.
public protocol Clock: Sendable {
  func now() -> Timestamp
}

/// A cryptographically secure source of random bytes.
public protocol RandomSource: Sendable {
  /// Fills the whole buffer.
  func fill(_ buffer: UnsafeMutableRawBufferPointer)
}
