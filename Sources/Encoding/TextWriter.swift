/// Writes ASCII text to memory that is large enough, for the texts of every signed poll: an array or a string
/// would check its capacity for each piece. Writing beyond the memory stops the program.
@frozen public struct TextWriter {
  @usableFromInline let buffer: UnsafeMutableBufferPointer<UInt8>
  @usableFromInline var count = 0

  /// Writes to the buffer from its start.
  @inlinable public init(_ buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

  /// The bytes written so far.
  @inlinable public var written: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(buffer.extracting(..<count)) }

  /// The memory for the next `length` bytes.
  @inlinable mutating func take(_ length: Int) -> UnsafeMutableBufferPointer<UInt8> {
    precondition(length <= buffer.count - count)
    defer { count += length }
    return buffer.extracting(count..<count + length)
  }

  @inlinable public mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
    _ = take(bytes.count).update(fromContentsOf: bytes)
  }

  @inlinable public mutating func append(_ text: StaticString) { text.withUTF8Buffer { append($0) } }

  @inlinable public mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { append($0) }
  }

  /// Writes a non-negative number in decimal digits.
  @inlinable public mutating func append(_ number: Int64) {
    let number = UInt64(number)
    DecimalText.write(number, to: take(DecimalText.length(of: number)))
  }

  @inlinable public mutating func append(base64 bytes: UnsafeBufferPointer<UInt8>) {
    Base64.encode(bytes, into: take(Base64.encodedLength(bytes.count)))
  }

  /// The string that `body` writes, at most `capacity` bytes.
  @inlinable public static func string(capacity: Int, _ body: (inout TextWriter) -> Void) -> String {
    String(unsafeUninitializedCapacity: capacity) { buffer in
      // The string may provide more memory than requested.
      var writer = TextWriter(buffer)
      body(&writer)
      return writer.count
    }
  }
}
