/// Writes ASCII text to memory that is large enough, for what is made of each poll: appending to an array or to a string
/// tests and counts anew for each piece.
struct TextWriter {
  private let buffer: UnsafeMutableBufferPointer<UInt8>
  private(set) var count = 0

  /// Writes to the buffer from its start. To write more than it holds stops the program.
  init(_ buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

  /// What was written.
  var written: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(rebasing: buffer[..<count]) }

  mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
    precondition(bytes.count <= buffer.count - count)
    guard let source = bytes.baseAddress else { return }
    (buffer.baseAddress! + count).update(from: source, count: bytes.count)
    count += bytes.count
  }

  mutating func append(_ text: StaticString) { text.withUTF8Buffer { append($0) } }

  mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { append($0) }
  }

  /// A number that is not negative, in decimal digits.
  mutating func append(_ number: Int64) {
    precondition(number >= 0)
    var divisor: Int64 = 1
    while number / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      append(digit: UInt8(number / divisor % 10))
      divisor /= 10
    }
  }

  private mutating func append(digit: UInt8) {
    buffer[count] = UInt8(ascii: "0") + digit
    count += 1
  }

  mutating func append(base64 bytes: UnsafeBufferPointer<UInt8>) {
    let length = Base64.encodedLength(bytes.count)
    Base64.encode(bytes, into: UnsafeMutableBufferPointer(rebasing: buffer[count..<count + length]))
    count += length
  }

  /// A string of what `body` writes, `capacity` bytes at the most.
  static func string(capacity: Int, _ body: (inout TextWriter) -> Void) -> String {
    String(unsafeUninitializedCapacity: capacity) { buffer in
      // The string may have more room than it was asked for.
      var writer = TextWriter(buffer)
      body(&writer)
      return writer.count
    }
  }
}
