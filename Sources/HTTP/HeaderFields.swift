private import Glibc

/// The fields of a header, in the order of their lines, in one piece of memory.
public struct HeaderFields: Sendable {
  private var bytes: [UInt8] = []
  private var lines: [Line] = []

  private struct Line: Sendable {
    let start: Int
    let nameEnd: Int
    let valueEnd: Int
  }

  /// Bytes and lines that most headers do with.
  private static let usualBytes = 768
  private static let usualLines = 16

  package init() {
    bytes.reserveCapacity(Self.usualBytes)
    lines.reserveCapacity(Self.usualLines)
  }

  /// Bytes of all names and values.
  var byteCount: Int { bytes.count }
  var lineCount: Int { lines.count }

  /// Adds a line; its name is kept in lower case (RFC 9110, section 5.1: names are case-insensitive), its value
  /// without the white space around it (RFC 9112, section 5.1).
  package mutating func append(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
    let start = bytes.count
    bytes.append(contentsOf: name)
    let nameEnd = bytes.count
    bytes.withUnsafeMutableBufferPointer { bytes in
      for index in start..<nameEnd {
        let byte = bytes[index]
        bytes[index] = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
      }
    }
    var value = value[...]
    while value.last.map(Self.isBlank) ?? false { value.removeLast() }
    while value.first.map(Self.isBlank) ?? false { value.removeFirst() }
    bytes.append(contentsOf: value)
    lines.append(Line(start: start, nameEnd: nameEnd, valueEnd: bytes.count))
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

  /// Lends each line's name, in lower case, and value.
  func forEach(_ body: (_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Void) {
    bytes.withUnsafeBufferPointer { bytes in
      for line in lines {
        body(
          UnsafeBufferPointer(rebasing: bytes[line.start..<line.nameEnd]),
          UnsafeBufferPointer(rebasing: bytes[line.nameEnd..<line.valueEnd]))
      }
    }
  }

  /// Lends the values of a field, its last line first, until `body` says that it has enough. The name is in lower case.
  func forEachReversed(of name: StaticString, _ body: (_ value: UnsafeBufferPointer<UInt8>) -> Bool) {
    bytes.withUnsafeBufferPointer { bytes in
      for line in lines.reversed()
      where UnsafeBufferPointer(rebasing: bytes[line.start..<line.nameEnd]).equals(name) {
        guard body(UnsafeBufferPointer(rebasing: bytes[line.nameEnd..<line.valueEnd])) else { return }
      }
    }
  }

  /// The values of a field, one for each of its lines, as they were received. The name is in lower case.
  public func values(of name: StaticString) -> [String] {
    var values: [String] = []
    name.withUTF8Buffer { name in
      forEach { candidate, value in
        if candidate.equals(name) { values.append(String(decoding: value, as: UTF8.self)) }
      }
    }
    return values
  }

  /// A field's value: those of its lines, joined with `, ` (RFC 9110, section 5.2); nil where it is
  /// absent. The name is in lower case.
  public func combinedValue(of name: String) -> [UInt8]? {
    var name = name
    return name.withUTF8 { combinedValue(of: $0) }
  }

  /// The same of a field that is known here.
  func combinedValue(of name: StaticString) -> [UInt8]? { name.withUTF8Buffer { combinedValue(of: $0) } }

  private func combinedValue(of name: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    var combined: [UInt8]?
    forEach { candidate, value in
      guard candidate.equals(name) else { return }
      if combined == nil {
        combined = Array(value)
      } else {
        combined?.append(contentsOf: ", ".utf8)
        combined?.append(contentsOf: value)
      }
    }
    return combined
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// Whether these are the bytes of a literal in lower case, whatever the case of their ASCII letters.
  func equalsIgnoringCase(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount
      && indices.allSatisfy { index in
        let byte = self[index]
        return ((UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte)
          == text.utf8Start[index]
      }
  }

  /// Whether these are the bytes of a literal.
  func equals(_ text: StaticString) -> Bool { text.withUTF8Buffer(equals) }

  /// Whether these are the same bytes.
  func equals(_ other: UnsafeBufferPointer<UInt8>) -> Bool {
    count == other.count && (count == 0 || memcmp(baseAddress!, other.baseAddress!, count) == 0)
  }
}
