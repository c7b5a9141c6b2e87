internal import Encoding
public import HTTP

/// Appends JSON text (RFC 8259) to a buffer. JSONEncoder would take most of the time of an answer.
public struct JSONWriter {
  public let buffer: ByteBuffer
  @usableFromInline var needsComma = false

  @inlinable public init(buffer: ByteBuffer) {
    self.buffer = buffer
  }

  @inlinable public mutating func object(_ members: (inout JSONWriter) -> Void) {
    buffer.append(UInt8(ascii: "{"))
    needsComma = false
    members(&self)
    buffer.append(UInt8(ascii: "}"))
    needsComma = true
  }

  @inlinable public mutating func array(_ elements: [some JSONWritable]) {
    buffer.append(UInt8(ascii: "["))
    needsComma = false
    for element in elements {
      if needsComma { buffer.append(UInt8(ascii: ",")) }
      element.write(to: &self)
      needsComma = true
    }
    buffer.append(UInt8(ascii: "]"))
    needsComma = true
  }

  /// - Parameter name: plain text that needs no escape.
  @inlinable public mutating func member(_ name: StaticString, _ value: some JSONWritable) {
    begin(member: name)
    value.write(to: &self)
    needsComma = true
  }

  @inlinable func begin(member name: StaticString) {
    let length = name.utf8CodeUnitCount
    buffer.append(length: length + (needsComma ? 4 : 3)) { text in
      if needsComma { text[0] = UInt8(ascii: ",") }
      let start = text.count - length - 3
      text[start] = UInt8(ascii: "\"")
      (text.baseAddress! + start + 1).update(from: name.utf8Start, count: length)
      text[text.count - 2] = UInt8(ascii: "\"")
      text[text.count - 1] = UInt8(ascii: ":")
    }
  }

  /// A string of bytes that need no escape, written by `body`.
  @inlinable public func plainString(length: Int, _ body: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    buffer.append(UInt8(ascii: "\""))
    buffer.append(length: length, body)
    buffer.append(UInt8(ascii: "\""))
  }

  /// A string of bytes that need no escape.
  public func plainString(_ bytes: UnsafeBufferPointer<UInt8>) {
    buffer.append(UInt8(ascii: "\""))
    buffer.append(bytes)
    buffer.append(UInt8(ascii: "\""))
  }

  /// A string, escaped as RFC 8259, section 7 requires.
  public func string(_ text: String) {
    var text = text
    buffer.append(UInt8(ascii: "\""))
    text.withUTF8 { JSONString.encode($0) { buffer.append($0) } }
    buffer.append(UInt8(ascii: "\""))
  }
}

/// A value that has a JSON form.
public protocol JSONWritable {
  /// The JSON Schema of that form.
  static var schema: JSONValue { get }
  func write(to json: inout JSONWriter)
}

extension String: JSONWritable {
  public static var schema: JSONValue { ["type": "string"] }
  public func write(to json: inout JSONWriter) { json.string(self) }
}

extension Bool: JSONWritable {
  public static var schema: JSONValue { ["type": "boolean"] }
  public func write(to json: inout JSONWriter) { json.buffer.append((self ? "true" : "false") as StaticString) }
}

extension Int64: JSONWritable {
  public static var schema: JSONValue { ["type": "integer"] }
  public func write(to json: inout JSONWriter) { json.buffer.append(decimal: self) }
}

extension Optional: JSONWritable where Wrapped: JSONWritable {
  public static var schema: JSONValue { Wrapped.schema.orNull }

  @inlinable public func write(to json: inout JSONWriter) {
    if let self { self.write(to: &json) } else { json.buffer.append("null" as StaticString) }
  }
}

extension Array: JSONWritable where Element: JSONWritable {
  public static var schema: JSONValue { ["type": "array", "items": Element.schema] }

  @inlinable public func write(to json: inout JSONWriter) { json.array(self) }
}

extension JSONValue {
  /// The schema of the words of an enumeration.
  static func words<Word: CaseIterable & RawRepresentable<String>>(of type: Word.Type) -> JSONValue {
    ["type": "string", "enum": .array(type.allCases.map { .string($0.rawValue) })]
  }
}

/// Words of an enumeration.
extension JSONWritable where Self: CaseIterable & RawRepresentable<String> {
  public static var schema: JSONValue { .words(of: Self.self) }
  public func write(to json: inout JSONWriter) { json.string(rawValue) }
}

/// The text of an object that was validated when it arrived.
public struct JSONText: JSONWritable {
  public static var schema: JSONValue { ["type": "object"] }
  @usableFromInline let bytes: [UInt8]
  @inlinable public init(bytes: [UInt8]) { self.bytes = bytes }
  public func write(to json: inout JSONWriter) { bytes.withUnsafeBufferPointer { json.buffer.append($0) } }
}
