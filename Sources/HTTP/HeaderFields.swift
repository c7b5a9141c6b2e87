internal import Encoding
private import Glibc

/// The fields of a header or trailer section, in the order of their lines. The section is kept in one piece as it was
/// received, and each line is a range of it.
public struct HeaderFields: Sendable {
  private var bytes: [UInt8]
  private var lines: [Line] = []

  /// The ranges of a line's name and value. A section is smaller than 64 KiB.
  private struct Line: Sendable {
    let nameStart: UInt16
    let nameEnd: UInt16
    let valueStart: UInt16
    let valueEnd: UInt16
  }

  /// Enough lines for most sections.
  private static let usualLines = 12

  /// No fields.
  package init() { bytes = [] }

  /// Reads the lines from `start` to the end of `section`, which must be the empty line (RFC 9112, section 5).
  ///
  /// Each line is a token, a colon, a value with optional white space around it, and CRLF. Names are stored in lower
  /// case (RFC 9110, section 5.1: they are case-insensitive). Throws `invalidField` for any other line, including
  /// folded lines (RFC 9112, section 5.2), and `headerTooLarge` for more than `maximumLines` lines.
  /// - Parameter section: consumed, so that names become lower case in place. A caller that keeps it pays for a copy.
  package init(_ section: consuming [UInt8], from start: Int = 0, maximumLines: Int) throws(Refusal) {
    precondition(section.count <= Int(UInt16.max), "a section of more than 64 KiB")
    bytes = consume section
    lines.reserveCapacity(Self.usualLines)
    if let refusal = readLines(from: start, maximumLines) { throw refusal }
  }

  private mutating func readLines(from start: Int, _ maximumLines: Int) -> Refusal? {
    bytes.withUnsafeMutableBufferPointer { bytes in
      Self.lowerCase.withUnsafeBufferPointer { lowerCase in
        let end = bytes.count - 2
        // The section ends with CRLF, so each scan below ends there at the latest.
        guard end >= start, bytes[end] == Self.carriageReturn, bytes[end + 1] == Self.lineFeed else {
          return .invalidField
        }
        var position = start
        while position < end {
          guard lines.count < maximumLines else { return .headerTooLarge }
          guard let line = Self.line(at: position, in: bytes, lowerCase) else { return .invalidField }
          lines.append(line.fields)
          position = line.end
        }
        return position == end ? nil : .invalidField
      }
    }
  }

  /// The line at a position, and the start of the next one; nil if it is malformed. Writes its name in lower case.
  @inline(__always)
  private static func line(
    at start: Int, in bytes: UnsafeMutableBufferPointer<UInt8>, _ lowerCase: UnsafeBufferPointer<UInt8>
  ) -> (fields: Line, end: Int)? {
    var position = start
    while case let byte = lowerCase[Int(bytes[position])], byte != 0 {
      bytes[position] = byte
      position += 1
    }
    let nameEnd = position
    guard nameEnd > start, bytes[nameEnd] == UInt8(ascii: ":") else { return nil }
    position += 1
    while bytes[position].isBlank { position += 1 }
    let valueStart = position
    // There is one: at least that of the empty line at the end.
    guard let found = memchr(bytes.baseAddress! + position, Int32(carriageReturn), bytes.count - position)
    else {
      return nil
    }
    let lineEnd = UnsafeMutableRawPointer(bytes.baseAddress!).distance(to: found)
    guard lineEnd + 2 < bytes.count, bytes[lineEnd + 1] == lineFeed,
      isFieldValue(UnsafeBufferPointer(rebasing: bytes[valueStart..<lineEnd]))
    else { return nil }
    var valueEnd = lineEnd
    while valueEnd > valueStart, bytes[valueEnd - 1].isBlank { valueEnd -= 1 }
    let line = Line(
      nameStart: UInt16(start), nameEnd: UInt16(nameEnd), valueStart: UInt16(valueStart),
      valueEnd: UInt16(valueEnd))
    return (line, lineEnd + 2)
  }

  // MARK: Characters

  static let carriageReturn = UInt8(ascii: "\r")
  static let lineFeed = UInt8(ascii: "\n")

  /// Whether all bytes are allowed by RFC 9110, section 5.5, including obs-text. Reads all of them, so that the
  /// compiler can vectorise the loop.
  private static func isFieldValue(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    var others: UInt8 = 0
    for byte in bytes { others |= (byte < 0x20 && byte != UInt8(ascii: "\t")) || byte == 0x7F ? 1 : 0 }
    return others == 0
  }

  /// Whether a byte may be part of a token (RFC 9110, section 5.6.2).
  static func isTokenByte(_ byte: UInt8) -> Bool { lowerCase[Int(byte)] != 0 }

  /// For each byte that may be part of a token, that byte in lower case; 0 for any other.
  private static let lowerCase: [UInt8] = (0...UInt8.max).map { $0.isTokenCharacter ? $0.lowerCased : 0 }

  // MARK: Looking up

  /// Calls `body` with each line's name, in lower case, and value.
  func forEach(_ body: (_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Void) {
    bytes.withUnsafeBufferPointer { bytes in
      for line in lines { body(Self.name(of: line, in: bytes), Self.value(of: line, in: bytes)) }
    }
  }

  /// Calls `body` with the values of a field, last line first, until it returns that it has enough. The name is in
  /// lower case.
  func forEachReversed(of name: StaticString, _ body: (_ value: UnsafeBufferPointer<UInt8>) -> Bool) {
    bytes.withUnsafeBufferPointer { bytes in
      for line in lines.reversed() where Self.name(of: line, in: bytes).equals(name) {
        guard body(Self.value(of: line, in: bytes)) else { return }
      }
    }
  }

  @inline(__always)
  private static func name(
    of line: Line, in bytes: UnsafeBufferPointer<UInt8>
  ) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: bytes[Int(line.nameStart)..<Int(line.nameEnd)])
  }

  @inline(__always)
  private static func value(
    of line: Line, in bytes: UnsafeBufferPointer<UInt8>
  ) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: bytes[Int(line.valueStart)..<Int(line.valueEnd)])
  }

  /// Whether a line has this name, which is in lower case.
  public func contains(_ name: StaticString) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      lines.contains { Self.name(of: $0, in: bytes).equals(name) }
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

  /// The same for a known field.
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
