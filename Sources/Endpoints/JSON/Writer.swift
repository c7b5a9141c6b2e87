internal import HTTP
internal import Registry

/// Appends JSON text (RFC 8259) to a buffer: a JSONEncoder's time would be most of an answer's.
struct JSONWriter {
  let buffer: ByteBuffer
  private var needsComma = false

  init(buffer: ByteBuffer) {
    self.buffer = buffer
  }

  mutating func object(_ members: (inout JSONWriter) -> Void) {
    buffer.append(UInt8(ascii: "{"))
    needsComma = false
    members(&self)
    buffer.append(UInt8(ascii: "}"))
    needsComma = true
  }

  mutating func array(_ elements: [some JSONWritable]) {
    buffer.append(UInt8(ascii: "["))
    needsComma = false
    for element in elements {
      separate()
      element.write(to: &self)
      needsComma = true
    }
    buffer.append(UInt8(ascii: "]"))
    needsComma = true
  }

  /// - Parameter name: plain text that needs no escape.
  mutating func member(_ name: StaticString, _ value: some JSONWritable) {
    let length = name.utf8CodeUnitCount
    buffer.append(length: length + (needsComma ? 4 : 3)) { text in
      if needsComma { text[0] = UInt8(ascii: ",") }
      let start = text.count - length - 3
      text[start] = UInt8(ascii: "\"")
      (text.baseAddress! + start + 1).update(from: name.utf8Start, count: length)
      text[text.count - 2] = UInt8(ascii: "\"")
      text[text.count - 1] = UInt8(ascii: ":")
    }
    value.write(to: &self)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { buffer.append(UInt8(ascii: ",")) }
  }

  /// A string of bytes that need no escape, written by `body`.
  func plainString(length: Int, _ body: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    buffer.append(UInt8(ascii: "\""))
    buffer.append(length: length, body)
    buffer.append(UInt8(ascii: "\""))
  }

  /// A string of bytes that need no escape.
  func plainString(_ bytes: UnsafeBufferPointer<UInt8>) {
    buffer.append(UInt8(ascii: "\""))
    buffer.append(bytes)
    buffer.append(UInt8(ascii: "\""))
  }

  /// A string, with what RFC 8259, section 7 wants escaped.
  func string(_ text: String) {
    var text = text
    buffer.append(UInt8(ascii: "\""))
    text.withUTF8 { bytes in
      if bytes.allSatisfy({ !Self.needsEscape($0) }) {
        buffer.append(bytes)
      } else {
        for byte in bytes { escape(byte) }
      }
    }
    buffer.append(UInt8(ascii: "\""))
  }

  private static func needsEscape(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  private func escape(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): buffer.append("\\\"" as StaticString)
    case UInt8(ascii: "\\"): buffer.append("\\\\" as StaticString)
    case UInt8(ascii: "\n"): buffer.append("\\n" as StaticString)
    case 0..<0x20:
      buffer.append((byte < 0x10 ? "\\u000" : "\\u001") as StaticString)
      buffer.append(utf8: String(byte & 0xF, radix: 16))
    default: buffer.append(byte)
    }
  }
}

/// What has a form in JSON.
protocol JSONWritable {
  func write(to json: inout JSONWriter)
}

extension String: JSONWritable {
  func write(to json: inout JSONWriter) { json.string(self) }
}

extension Bool: JSONWritable {
  func write(to json: inout JSONWriter) { json.buffer.append((self ? "true" : "false") as StaticString) }
}

extension Int64: JSONWritable {
  func write(to json: inout JSONWriter) { json.buffer.append(utf8: String(self)) }
}

extension Optional: JSONWritable where Wrapped: JSONWritable {
  func write(to json: inout JSONWriter) {
    if let self { self.write(to: &json) } else { json.buffer.append("null" as StaticString) }
  }
}

extension Array: JSONWritable where Element: JSONWritable {
  func write(to json: inout JSONWriter) { json.array(self) }
}

extension Timestamp: JSONWritable {
  func write(to json: inout JSONWriter) { json.plainString(length: Self.textLength) { write(to: $0) } }
}

/// JSON text that was tested when it came.
struct JSONText: JSONWritable {
  let bytes: [UInt8]
  func write(to json: inout JSONWriter) { bytes.withUnsafeBufferPointer { json.buffer.append($0) } }
}

extension Identifier: JSONWritable {
  func write(to json: inout JSONWriter) { json.plainString(length: Self.textLength) { write(to: $0) } }
}

extension DeviceSecret: JSONWritable {
  func write(to json: inout JSONWriter) {
    withCharacters { json.plainString($0) }
  }
}
