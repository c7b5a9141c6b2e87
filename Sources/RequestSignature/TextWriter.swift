/// Writes ASCII text to memory that is large enough, for what is made of each poll: appending to an array or to a string
/// tests and counts anew for each piece. To write more than the memory holds stops the program.
package struct TextWriter {
  private let buffer: UnsafeMutableBufferPointer<UInt8>
  private var count = 0

  /// Writes to the buffer from its start.
  init(_ buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

  /// What was written.
  var written: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(buffer.extracting(..<count)) }

  /// The memory for so many bytes more.
  private mutating func take(_ length: Int) -> UnsafeMutableBufferPointer<UInt8> {
    precondition(length <= buffer.count - count)
    defer { count += length }
    return buffer.extracting(count..<count + length)
  }

  mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
    _ = take(bytes.count).update(fromContentsOf: bytes)
  }

  package mutating func append(_ text: StaticString) { text.withUTF8Buffer { append($0) } }

  package mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { append($0) }
  }

  /// A number that is not negative, in decimal digits.
  package mutating func append(_ number: Int64) {
    precondition(number >= 0)
    var length = 1
    var rest = number / 10
    while rest > 0 {
      length += 1
      rest /= 10
    }
    let digits = take(length)
    rest = number
    for index in digits.indices.reversed() {
      digits[index] = UInt8(ascii: "0") + UInt8(rest % 10)
      rest /= 10
    }
  }

  mutating func append(base64 bytes: UnsafeBufferPointer<UInt8>) {
    Base64.encode(bytes, into: take(Base64.encodedLength(bytes.count)))
  }

  /// A string of what `body` writes, `capacity` bytes at the most.
  package static func string(capacity: Int, _ body: (inout TextWriter) -> Void) -> String {
    String(unsafeUninitializedCapacity: capacity) { buffer in
      // The string may have more room than it was asked for.
      var writer = TextWriter(buffer)
      body(&writer)
      return writer.count
    }
  }
}
