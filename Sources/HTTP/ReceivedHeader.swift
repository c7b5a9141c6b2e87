internal import Glibc

/// The fields of a header as libmicrohttpd found them, and whether they are what was sent: lines of a name and a value,
/// each ended by CRLF.
///
/// libmicrohttpd splits the header where it lies, putting a NUL in the place of each colon, CR and LF. It joins a folded
/// line (RFC 9112, section 5.2) to the *name*, in other memory; a bare LF it takes for the end of a line, a NUL for the
/// end of a value; and a line without a name it leaves out. Each would let a proxy in front see other fields than we
/// do. So a line must begin right where the one before ends, and the header end with the empty line behind the last.
struct ReceivedHeader {
  private(set) var fields = HeaderFields()
  private var isAsSent = true
  /// Where the next line must begin.
  private var lineStart: UnsafePointer<UInt8>

  /// White space that may stand before a field's value, and the colon.
  private static let maximumBlanks = 64
  /// Of CR and LF.
  private static let lineEndLength = 2

  /// - Parameter version: the end of the request line.
  init(behind version: UnsafePointer<CChar>) {
    lineStart = UnsafeRawPointer(version + strlen(version) + Self.lineEndLength)
      .assumingMemoryBound(to: UInt8.self)
  }

  mutating func append(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
    if isAsSent { isAsSent = isNextLine(name: name, value: value) }
    if let start = value.baseAddress { lineStart = start + value.count + Self.lineEndLength }
    fields.append(name: name, value: value)
  }

  /// Whether all of it was, up to its end.
  func isAsSent(upTo end: UnsafePointer<CChar>) -> Bool {
    isAsSent && UnsafeRawPointer(lineStart + Self.lineEndLength) == UnsafeRawPointer(end)
  }

  private func isNextLine(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) -> Bool {
    guard let nameStart = name.baseAddress, let valueStart = value.baseAddress, nameStart == lineStart else {
      return false
    }
    let distance = valueStart - nameStart
    // What separates the two is part of the same line.
    guard distance > name.count, distance <= name.count + Self.maximumBlanks else { return false }
    return (name.count + 1..<distance).allSatisfy {
      nameStart[$0] == UInt8(ascii: " ") || nameStart[$0] == UInt8(ascii: "\t")
    }
  }
}
