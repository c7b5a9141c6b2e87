internal import Encoding
private import Glibc

/// A growing buffer of bytes, which are sent from where they are, without a copy.
///
/// A buffer that holds a secret is marked as sensitive and wiped before its memory is freed. Not Sendable: it belongs
/// to one response. An answer takes a hundred appends or more, none of which runs inside another, so the run-time
/// check of exclusive access is left out, and what appends is inlined where it is called.
public final class ByteBuffer {
  @exclusivity(unchecked) @usableFromInline var start: UnsafeMutablePointer<UInt8>
  @exclusivity(unchecked) @usableFromInline var capacity: Int
  /// Bytes that are written.
  @exclusivity(unchecked) @usableFromInline var end = 0
  let isSensitive: Bool

  @inlinable public var count: Int { end }

  /// - Parameter isSensitive: whether the memory is wiped before it is freed, also when the buffer grows.
  public init(capacity: Int = 1024, isSensitive: Bool = false) {
    self.capacity = max(capacity, 16)
    self.isSensitive = isSensitive
    start = .allocate(capacity: self.capacity)
  }

  deinit { release() }

  @inlinable public func append(_ byte: UInt8) {
    reserve(1)
    start[end] = byte
    end += 1
  }

  @inlinable public func append(_ text: StaticString) {
    append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  @inlinable public func append(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let source = bytes.baseAddress else { return }
    reserve(bytes.count)
    (start + end).update(from: source, count: bytes.count)
    end += bytes.count
  }

  public func append(utf8 text: String) {
    var text = text
    text.withUTF8 { append($0) }
  }

  /// Lets `body` write exactly `length` bytes.
  @inlinable public func append(length: Int, _ body: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    reserve(length)
    body(UnsafeMutableBufferPointer(start: start + end, count: length))
    end += length
  }

  /// Appends a number in decimal digits.
  public func append(decimal number: Int64) {
    if number < 0 { append(UInt8(ascii: "-")) }
    append(length: DecimalText.length(of: number.magnitude)) { DecimalText.write(number.magnitude, to: $0) }
  }

  /// Removes the bytes and keeps the memory.
  func removeAll() {
    if isSensitive { explicit_bzero(start, count) }
    end = 0
  }

  public func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    body(UnsafeBufferPointer(start: start, count: count))
  }

  @inlinable @inline(__always) func reserve(_ additional: Int) {
    if end + additional > capacity { grow(additional) }
  }

  @usableFromInline func grow(_ additional: Int) {
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: max(capacity * 2, count + additional))
    larger.update(from: start, count: count)
    release()
    start = larger
    capacity = max(capacity * 2, count + additional)
  }

  private func release() {
    if isSensitive { explicit_bzero(start, count) }
    start.deallocate()
  }
}
